//! The path of a request as names of files: decoded once, and refused where two readers could
//! disagree about it.
//!
//! Pure. What is refused here could only mean a way out of the site, or something else to PHP than
//! to us. Whether a name exists, or may be given, is not asked here.

/// As long as any path that the kernel takes (path_resolution(7)).
const DECODED_BYTES_MAX: usize = 4096;

/// Why a path is not looked at: nobody sends such a thing by accident, or no file is called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// `*`, or what a client made up.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// RFC 3986 §2.1: a percent sign is followed by two hexadecimal digits.
    #[error("the percent sign at byte {at} begins no escape")]
    Escape { at: usize },
    /// NUL would end the path in C, the others only serve to confuse logs and consoles.
    #[error("a control character at byte {at}")]
    Control { at: usize },
    /// A separator to Windows, and to programs that came from there.
    #[error("a backslash at byte {at}")]
    Backslash { at: usize },
    /// One name to us, two to whoever decodes first and splits then.
    #[error("an encoded slash at byte {at}")]
    EncodedSlash { at: usize },
    /// RFC 3986 §5.2.4 would have the client remove it: what is left of one is an attempt.
    #[error("a dot segment before byte {at}")]
    DotSegment { at: usize },
    #[error("the path is longer than {DECODED_BYTES_MAX} bytes")]
    TooLong,
}

/// A path below the root of a site, decoded: names with one slash between two, none at the ends.
///
/// No name is empty, `.` or `..`, and none holds a slash, a backslash or a control character. A
/// name need not be UTF-8, as no file's has to; the overlong `%c0%ae` is two odd bytes and no dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePath {
    names: Vec<u8>,
    folder: bool,
}

impl SitePath {
    /// Reads a path as it stands in the request, without its query.
    ///
    /// Slashes in a row count as one: so the kernel reads them, and nginx and Apache before PHP.
    /// What is encoded twice is decoded once, and is then a file's odd name.
    ///
    /// # Errors
    /// See [`PathFault`]; `at` counts in `raw`.
    pub fn read(raw: &[u8]) -> Result<SitePath, PathFault> {
        if raw.first() != Some(&b'/') {
            return Err(PathFault::NotAbsolute);
        }
        let mut names: Vec<u8> = Vec::with_capacity(raw.len());
        let mut at = 1;
        let mut name_start = 0;
        while let Some(&byte) = raw.get(at) {
            let decoded = if byte == b'%' { escaped(raw, at)? } else { byte };
            match decoded {
                b'/' if byte == b'%' => return Err(PathFault::EncodedSlash { at }),
                b'/' if names.len() == name_start => {}
                b'/' => {
                    check_name(&names[name_start..], at)?;
                    names.push(b'/');
                    name_start = names.len();
                }
                b'\\' => return Err(PathFault::Backslash { at }),
                0x00..=0x1f | 0x7f => return Err(PathFault::Control { at }),
                other => names.push(other),
            }
            at += if byte == b'%' { 3 } else { 1 };
        }
        check_name(&names[name_start..], at)?;
        if names.len() > DECODED_BYTES_MAX {
            return Err(PathFault::TooLong);
        }
        // The root is a folder too, and so is what ends with a slash.
        let folder = names.len() == name_start;
        if folder {
            names.pop();
        }
        Ok(SitePath { names, folder })
    }

    /// The names, with one slash between two; empty for the root itself.
    pub fn names(&self) -> &[u8] {
        &self.names
    }

    /// Whether the path ends with a slash, or is the root.
    pub fn is_folder(&self) -> bool {
        self.folder
    }

    /// The ends in [`SitePath::names`] of the paths that end in a script's name, shortest first.
    pub fn script_ends(&self) -> impl Iterator<Item = usize> {
        let slashes = self.names.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let ends = slashes.map(|(at, _)| at).chain([self.names.len()]);
        ends.filter(|end| super::rules::is_script(&self.names[..*end]))
    }

    /// What follows the first `end` bytes of the names, as PATH_INFO has it: empty, or from a slash
    /// on (RFC 3875 §4.1.5).
    pub fn rest(&self, end: usize) -> Vec<u8> {
        let slash: &[u8] = if self.folder { b"/" } else { b"" };
        [&self.names[end..], slash].concat()
    }

    /// The path as a folder's address: encoded again, so that it is of this site whatever slashes
    /// it had (RFC 3986 §3.3: `//` at the front would name a host).
    pub fn folder_address(&self) -> String {
        let mut address = String::with_capacity(self.names.len() + 2);
        address.push('/');
        for byte in &self.names {
            match byte {
                b'/' | b'-' | b'.' | b'_' | b'~' => address.push(char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => address.push(char::from(*byte)),
                byte => {
                    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
                    address.extend(['%', digit(byte >> 4), digit(byte & 15)]);
                }
            }
        }
        if !self.names.is_empty() {
            address.push('/');
        }
        address
    }
}

fn check_name(name: &[u8], at: usize) -> Result<(), PathFault> {
    match name {
        b"." | b".." => Err(PathFault::DotSegment { at }),
        _ => Ok(()),
    }
}

/// The byte that the escape at `at` stands for.
fn escaped(raw: &[u8], at: usize) -> Result<u8, PathFault> {
    let digit = |offset: usize| {
        let byte = raw.get(at + offset)?;
        char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
    };
    match (digit(1), digit(2)) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        (None, _) | (_, None) => Err(PathFault::Escape { at }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    /// The names, with a slash at the end of a folder; or the refusal.
    fn read(raw: &str) -> Result<String, PathFault> {
        let path = SitePath::read(raw.as_bytes())?;
        let slash = if path.is_folder() { "/" } else { "" };
        Ok(path.names().escape_ascii().to_string() + slash)
    }

    #[test]
    fn names() {
        for (raw, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/a", "a"),
            ("/a/", "a/"),
            ("//a///b//", "a/b/"),
            ("/a%20b", "a b"),
            ("/%41%7e", "A~"),
            ("/%e4%bd%a0", r"\xe4\xbd\xa0"),
            ("/a+b;c=d,e@f:g", "a+b;c=d,e@f:g"),
            ("/...", "..."),
            ("/..a/a../.a", "..a/a../.a"),
            ("/.../x", ".../x"),
            ("/..;/x", "..;/x"),
            ("/x.php/", "x.php/"),
            ("/x.php%20", "x.php "),
            ("/x.php.", "x.php."),
            // Decoded once: the rest are odd names of files.
            ("/%252e%252e/x", "%2e%2e/x"),
            ("/%252f", "%2f"),
            ("/%2500", "%00"),
            ("/%c0%ae%c0%ae/x", r"\xc0\xae\xc0\xae/x"),
            ("/%ef%bc%8f", r"\xef\xbc\x8f"),
        ] {
            assert_eq!(read(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn refusals() {
        use PathFault::*;
        for (raw, fault) in [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("a/b", NotAbsolute),
            ("%2fa", NotAbsolute),
            ("/..", DotSegment { at: 3 }),
            ("/.", DotSegment { at: 2 }),
            ("/./a", DotSegment { at: 2 }),
            ("/a/../b", DotSegment { at: 5 }),
            ("/a/..", DotSegment { at: 5 }),
            ("/%2e%2e/a", DotSegment { at: 7 }),
            ("/.%2E/a", DotSegment { at: 5 }),
            ("/%2e", DotSegment { at: 4 }),
            ("/x.php/..", DotSegment { at: 9 }),
            ("//../a", DotSegment { at: 4 }),
            ("/..%2f..%2fetc/passwd", EncodedSlash { at: 3 }),
            ("/a%2Fb", EncodedSlash { at: 2 }),
            ("/a%5cb", Backslash { at: 2 }),
            ("/a\\b", Backslash { at: 2 }),
            ("/..%5c..%5cx", Backslash { at: 3 }),
            ("/x.php%00.jpg", Control { at: 6 }),
            ("/a%0d%0ab", Control { at: 2 }),
            ("/a%7f", Control { at: 2 }),
            ("/a\tb", Control { at: 2 }),
            ("/%", Escape { at: 1 }),
            ("/%4", Escape { at: 1 }),
            ("/a%4g", Escape { at: 2 }),
            ("/%u002e", Escape { at: 1 }),
            ("/%%32%65", Escape { at: 1 }),
            ("/%+1", Escape { at: 1 }),
        ] {
            assert_eq!(read(raw), Err(fault), "{raw}");
        }
    }

    /// A name may be too long for a file: the site's own addresses need not be files.
    #[test]
    fn lengths() {
        let path = |length: usize| format!("/{}", "%61".repeat(length));
        assert_eq!(read(&path(4096)), Ok("a".repeat(4096)));
        assert_eq!(read(&path(4097)), Err(PathFault::TooLong));
        assert_eq!(read(&"/".repeat(9000)).as_deref(), Ok("/"));
    }

    #[test]
    fn scripts_and_what_follows() {
        for (raw, expected) in [
            ("/", ""),
            ("/a.phpx", ""),
            ("/index.php", "index.php|"),
            ("/index.php/", "index.php|/"),
            ("/index.php/a//b/", "index.php|/a/b/"),
            ("/a.php/b.php/c", "a.php|/b.php/c a.php/b.php|/c"),
            ("/a/x.PHP", ""),
        ] {
            let path = SitePath::read(raw.as_bytes()).unwrap();
            let shown = |end: usize| {
                let rest = path.rest(end);
                format!("{}|{}", path.names()[..end].escape_ascii(), rest.escape_ascii())
            };
            let ends: Vec<String> = path.script_ends().map(shown).collect();
            assert_eq!(ends.join(" "), expected, "{raw}");
        }
    }

    #[test]
    fn addresses_of_folders() {
        for (raw, expected) in [
            ("/", "/"),
            ("/a", "/a/"),
            ("//evil.example", "/evil.example/"),
            ("/a%20b/%C3%BC", "/a%20b/%C3%BC/"),
            ("/a%3fb%23c%25d", "/a%3Fb%23c%25d/"),
        ] {
            assert_eq!(SitePath::read(raw.as_bytes()).unwrap().folder_address(), expected);
        }
    }

    proptest! {
        /// Whatever comes in, it stays below the root, and its address leads back to it.
        #[test]
        fn never_leaves_the_root(raw in any_path()) {
            let Ok(path) = SitePath::read(&raw) else { return Ok(()) };
            let text = String::from_utf8_lossy(path.names()).into_owned();
            let joined = Path::new("/srv/site").join(&text);
            prop_assert!(joined.starts_with("/srv/site"));
            let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
            prop_assert!(joined.components().all(plain));
            let again = SitePath::read(path.folder_address().as_bytes()).unwrap();
            prop_assert_eq!(again.names(), path.names());
            prop_assert!(again.is_folder());
        }
    }

    /// Pieces that attacks are made of, among any others.
    fn any_path() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "/", "..", ".", "%2e", "%2E%2e", "%2f", "%5c", "\\", "%00", "%25", "2e", "%c0%ae",
                "a", ".php", "%", "//", ";", "?", " ",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..12)
            .prop_map(|pieces| [b"/".to_vec(), pieces.concat()].concat())
    }
}
