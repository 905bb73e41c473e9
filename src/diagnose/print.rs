//! Values in print: visible, bounded, with the names that operators search for. Pure.

use std::time::Duration;

use super::dns::{self, Extended};

/// Characters of one value that are shown; the rest says nothing new.
const VALUE_CHARS: usize = 120;
/// Characters of an application's own lines that are shown, from both ends: they begin with what
/// went wrong first and end with the last words.
const LINES_CHARS: usize = 600;

/// Whether a character would steer a terminal or reorder a line in place of being seen: controls,
/// line separators, marks of direction and of zero width.
pub fn is_hidden(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text with its hidden characters spelt out, cut to a bounded length.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(VALUE_CHARS * 4));
    for (i, c) in text.chars().enumerate() {
        if i == VALUE_CHARS {
            shown.push('…');
            break;
        }
        if is_hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// Lines as one, with their hidden characters spelt out and the middle left out of long ones.
pub fn abridged(lines: &str) -> String {
    let mut shown = String::with_capacity(lines.len().min(LINES_CHARS * 4));
    let count = lines.chars().count();
    let left_out = LINES_CHARS / 2..count.saturating_sub(LINES_CHARS / 2);
    for (i, c) in lines.chars().enumerate() {
        if left_out.contains(&i) {
            if i == left_out.start {
                shown.push_str(" … ");
            }
            continue;
        }
        match c {
            '\n' => shown.push_str(" | "),
            c if is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Bytes as printable ASCII, cut to a bounded length.
pub fn escaped(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(VALUE_CHARS + 4);
    for &byte in bytes {
        if shown.len() >= VALUE_CHARS {
            shown.push('…');
            break;
        }
        match byte {
            // Quotes stay as they are: these bytes are shown, not compiled.
            b'\'' | b'"' => shown.push(char::from(byte)),
            _ => shown.extend(byte.escape_ascii().map(char::from)),
        }
    }
    shown
}

/// An extended error with its name and the resolver's own words: `6 DNSSEC Bogus (no keys)`.
pub fn extended_error(error: &Extended) -> String {
    let mut shown = error.code.to_string();
    if let Some(name) = dns::info_code_name(error.code) {
        shown.push(' ');
        shown.push_str(name);
    }
    if !error.text.is_empty() {
        shown.push_str(&format!(" ({})", error.text));
    }
    shown
}

/// A duration as seconds to the millisecond: `3.001 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{}.{:03} s", duration.as_secs(), duration.subsec_millis())
}

/// A Unix time as RFC 3339 in UTC; the number itself where no calendar holds it.
pub fn rfc3339(unix: u64) -> String {
    let time = i64::try_from(unix).ok().and_then(|unix| jiff::Timestamp::from_second(unix).ok());
    time.map_or_else(|| format!("{unix} s after 1970"), |time| time.to_string())
}

/// The name of a DNS response code in IANA's registry.
pub fn rcode_name(rcode: u16) -> String {
    let name = match rcode {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        11 => "DSOTYPENI",
        16 => "BADVERS",
        17 => "BADKEY",
        18 => "BADTIME",
        19 => "BADMODE",
        20 => "BADNAME",
        21 => "BADALG",
        22 => "BADTRUNC",
        23 => "BADCOOKIE",
        _ => return format!("RCODE{rcode}"),
    };
    name.to_owned()
}

/// An error number of Linux with its name: `ECONNREFUSED (111)`.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        1 => "EPERM",
        2 => "ENOENT",
        4 => "EINTR",
        5 => "EIO",
        6 => "ENXIO",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        20 => "ENOTDIR",
        22 => "EINVAL",
        23 => "ENFILE",
        24 => "EMFILE",
        32 => "EPIPE",
        36 => "ENAMETOOLONG",
        40 => "ELOOP",
        64 => "ENONET",
        71 => "EPROTO",
        88 => "ENOTSOCK",
        90 => "EMSGSIZE",
        91 => "EPROTOTYPE",
        92 => "ENOPROTOOPT",
        93 => "EPROTONOSUPPORT",
        95 => "EOPNOTSUPP",
        97 => "EAFNOSUPPORT",
        98 => "EADDRINUSE",
        99 => "EADDRNOTAVAIL",
        100 => "ENETDOWN",
        101 => "ENETUNREACH",
        102 => "ENETRESET",
        103 => "ECONNABORTED",
        104 => "ECONNRESET",
        105 => "ENOBUFS",
        106 => "EISCONN",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        112 => "EHOSTDOWN",
        113 => "EHOSTUNREACH",
        114 => "EALREADY",
        115 => "EINPROGRESS",
        _ => return format!("errno {errno}"),
    };
    format!("{name} ({errno})")
}

/// A signal of Linux with its name: `SIGSEGV (11)`.
pub fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    format!("{name} ({number})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped_and_bounded() {
        assert_eq!(escaped(b"a\x1b[2J\"\xff\r\n\\"), "a\\x1b[2J\"\\xff\\r\\n\\\\");
        let long = escaped(&[0; 1000]);
        assert!(long.chars().count() <= VALUE_CHARS + 4 && long.ends_with('…'));
    }

    #[test]
    fn text_is_visible_and_bounded() {
        assert_eq!(visible("naïve\u{1b}\u{202e}"), "naïve\\u{1b}\\u{202e}");
        assert_eq!(visible(&"x".repeat(500)).chars().count(), VALUE_CHARS + 1);
    }

    #[test]
    fn lines_are_one_and_long_ones_keep_both_ends() {
        assert_eq!(abridged("in x.php:1\n#0 {main}\u{1b}"), "in x.php:1 | #0 {main}\\u{1b}");
        let both = abridged(&format!("first{}last", "-".repeat(10_000)));
        assert!(both.starts_with("first-") && both.ends_with("-last") && both.contains(" … "));
        assert_eq!(both.chars().count(), LINES_CHARS + 3);
        let whole = "x".repeat(LINES_CHARS);
        assert_eq!(abridged(&whole), whole);
    }

    #[test]
    fn numbers_have_their_names() {
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 s after 1970");
        assert_eq!(seconds(Duration::from_millis(3001)), "3.001 s");
        assert_eq!(errno_name(111), "ECONNREFUSED (111)");
        assert_eq!(errno_name(-7), "errno -7");
        assert_eq!(rcode_name(2), "SERVFAIL");
        assert_eq!(rcode_name(77), "RCODE77");
    }
}
