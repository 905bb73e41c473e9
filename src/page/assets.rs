//! Style sheet and script of the page, and the policy that allows them alone.
//!
//! Both stand in the page itself, known to the browser by their hashes: a page about a site that
//! does not answer can fetch nothing from it. Pure.

use std::sync::LazyLock;

use super::policy::source;

/// Style sheet and script as they stand in the page, without comments and indentation.
static STYLE: LazyLock<String> = LazyLock::new(|| stripped(include_str!("style.css")));
static SCRIPT: LazyLock<String> = LazyLock::new(|| stripped(include_str!("script.js")));

/// What the page may do (CSP level 3): its own style and script by their SHA-256, and asking its
/// own address whether the site is back.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'",
        source(style()),
        source(script()),
    )
});

/// The style sheet.
pub fn style() -> &'static str {
    &STYLE
}

/// The script.
pub fn script() -> &'static str {
    &SCRIPT
}

/// The value of Content-Security-Policy.
pub fn policy() -> &'static str {
    &POLICY
}

/// Without the lines that only we read. In both files a comment has lines of its own.
fn stripped(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let kept = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    kept.filter(|line| !line.starts_with("/*")).fold(String::new(), |out, line| out + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_at_home() {
        assert_eq!(stripped("/* a */\n.b {\n  c:d\n}\n\n// e\n"), ".b {\nc:d\n}\n");
        for text in [style(), script()] {
            assert!(!text.contains("</") && !text.contains("<!--"), "{text}");
        }
    }
}
