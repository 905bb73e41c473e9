//! The only place where text becomes safe to show.
//!
//! [`html`] is used for every value in HTML, element or attribute; [`plain`] for every character of
//! plain text; [`sf_string`] for strings of structured fields (RFC 8941). Pure.

use crate::diagnose::is_hidden;

/// Appends a text to HTML, as content of an element or of a quoted attribute.
pub fn html(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            c => plain(out, c),
        }
    }
}

/// Appends a character to plain text; one that would steer a terminal is spelt out.
pub fn plain(out: &mut String, c: char) {
    if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
}

/// Appends a quoted string of RFC 8941 section 3.3.3; what it cannot hold is left out.
pub fn sf_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {}
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_holds_no_markup_and_no_controls() {
        let mut out = String::new();
        html(&mut out, "<script a='1' b=\"2\">&\u{1b}\u{202e}é</script>");
        assert_eq!(
            out,
            "&lt;script a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;\\u{1b}\\u{202e}é&lt;/script&gt;"
        );
    }

    #[test]
    fn structured_strings_are_quoted_ascii() {
        let mut out = String::new();
        sf_string(&mut out, "a\"b\\c\r\né\x7f~");
        assert_eq!(out, r#""a\"b\\c~""#);
    }
}
