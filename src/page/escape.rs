//! The only place where text becomes safe to show.
//!
//! [`html`] is used for every value in HTML, element or attribute; [`plain`] for every character of
//! plain text; [`sf_string`] for strings of structured fields (RFC 8941). Pure.

use crate::diagnose::is_hidden;

/// Appends a text to HTML, as content of an element or of a quoted attribute.
pub fn html(out: &mut String, text: &str) {
    // What needs no escape is copied in runs: it is nearly everything.
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    while let Some(step) = bytes[at..].iter().position(|&byte| SUSPECT[usize::from(byte)]) {
        at += step;
        let Some(c) = text[at..].chars().next() else { break };
        let entity = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            c if c != '\n' && is_hidden(c) => "",
            c => {
                at += c.len_utf8();
                continue;
            }
        };
        out.push_str(&text[copied..at]);
        at += c.len_utf8();
        copied = at;
        if entity.is_empty() { plain(out, c) } else { out.push_str(entity) }
    }
    out.push_str(&text[copied..]);
}

/// The bytes that may begin a character which HTML escapes: its five, ASCII controls, and the
/// first bytes in UTF-8 of all that [`is_hidden`] names. A hit is thus a boundary of characters.
static SUSPECT: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = true;
        control += 1;
    }
    let others = b"&<>\"'\x7f\xc2\xd8\xe2\xef\xf3";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

/// Appends a character to plain text; one that would steer a terminal is spelt out.
pub fn plain(out: &mut String, c: char) {
    if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
}

/// Appends a text to plain text, spelt out where it would steer a terminal.
pub fn plain_text(out: &mut String, text: &str) {
    if is_printable_ascii(text) {
        out.push_str(text)
    } else {
        text.chars().for_each(|c| plain(out, c))
    }
}

/// Whether every byte is a character of one column that needs no escape; most of the text is.
pub fn is_printable_ascii(text: &str) -> bool {
    // Without a branch a byte, so that the compiler looks at many at once.
    text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte))
}

/// Appends a quoted string of RFC 8941 section 3.3.3; what it cannot hold is left out.
pub fn sf_string(out: &mut String, text: &str) {
    out.push('"');
    // A name, as nearly all of them are.
    if text.bytes().fold(true, |plain, byte| plain & (byte == b'_' || byte.is_ascii_alphanumeric()))
    {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                ' '..='~' => out.push(c),
                _ => {}
            }
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
    fn every_character_that_needs_an_escape_is_found() {
        for c in '\0'..=char::MAX {
            let mut out = String::new();
            html(&mut out, c.encode_utf8(&mut [0; 4]));
            let kept = !is_hidden(c) && !"&<>\"'".contains(c) || c == '\n';
            assert_eq!(out.chars().eq([c]), kept, "{c:?}");
        }
    }

    #[test]
    fn structured_strings_are_quoted_ascii() {
        let mut out = String::new();
        sf_string(&mut out, "a\"b\\c\r\né\x7f~");
        assert_eq!(out, r#""a\"b\\c~""#);
    }
}
