//! What a page of the operator's own may wear and run: the style sheets and scripts that stand in
//! it, known by their SHA-256 (Content Security Policy Level 3 section 2.3.1), and nothing that is
//! fetched. Pure.

use std::fmt::Write;
use std::ops::Range;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The policy of a page with these style sheets and scripts in it.
pub fn policy(styles: &[String], scripts: &[String]) -> String {
    let mut policy = "default-src 'none'".to_owned();
    for (directive, sources) in [("style-src", styles), ("script-src", scripts)] {
        if !sources.is_empty() {
            // Writing into a String cannot fail.
            let _ = write!(policy, "; {directive} {}", sources.join(" "));
        }
    }
    if !scripts.is_empty() {
        // A script may ask the site whether it is back.
        policy.push_str("; connect-src 'self'");
    }
    policy.push_str("; img-src data:; font-src data:; base-uri 'none'; form-action 'none'");
    policy
}

/// The source expression that stands for a text.
pub fn source(text: &str) -> String {
    // A browser sees every line's end as LF (HTML, section 13.2.3.5).
    let normal = text.replace("\r\n", "\n").replace('\r', "\n");
    let digest = digest::digest(&digest::SHA256, normal.as_bytes());
    format!("'sha256-{}'", STANDARD.encode(digest))
}

/// The style sheets or scripts of a page: where the text of each `<name …>` stands.
pub fn blocks<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let tag = from + find(&page[from..], &["<", name])?;
            let behind = tag + 1 + name.len();
            from = behind;
            let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
            if !page.as_bytes().get(behind).is_some_and(ends) {
                continue;
            }
            let start = behind + page[behind..].find('>')? + 1;
            let end = start + find(&page[start..], &["</", name])?;
            from = end;
            return Some(start..end);
        }
    })
}

/// Where a text begins in another, whatever its capitals.
fn find(text: &str, parts: &[&str]) -> Option<usize> {
    let wanted = parts.concat();
    let mut windows = text.as_bytes().windows(wanted.len());
    windows.position(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_the_hash_of_what_a_browser_sees() {
        assert_eq!(source("a{}\r\n"), source("a{}\n"));
        assert_ne!(source("a{}"), source("a{}\n"));
        // RFC 6234's own example: SHA-256 of "abc".
        assert_eq!(source("abc"), "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='");
    }

    #[test]
    fn blocks_are_what_stands_between_the_tags() {
        let page = "<STYLE>a</style><styles>x</styles><style media=\"print\">b</Style ><style>c";
        let found: Vec<_> = blocks(page, "style").map(|block| &page[block]).collect();
        assert_eq!(found, ["a", "b"]);
        assert_eq!(blocks("é<script", "script").count(), 0);
    }

    #[test]
    fn nothing_is_allowed_but_what_stands_there() {
        assert_eq!(
            policy(&["'a'".into(), "'b'".into()], &[]),
            "default-src 'none'; style-src 'a' 'b'; img-src data:; font-src data:; \
             base-uri 'none'; form-action 'none'"
        );
        assert!(policy(&[], &["'s'".into()]).contains("script-src 's'; connect-src 'self'"));
    }
}
