//! Elements of `deny`: patterns for the names of files and folders.
//!
//! Pure. `*.sql` without a slash covers a name at any depth, `/private/*` is anchored at the site's
//! root; `*` stands for any characters within a name, `**` for any number of names. What lies below
//! a covered name is covered too. Capitals make no difference: to deny too much is the safe error.

use std::fmt;

use super::error::Fault;

const SHAPE: &str = "a name such as \"*.sql\", or a path from the root such as \"/private/*\"";

/// One pattern of names, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// At least one.
    parts: Vec<Part>,
    /// Whether the first part is a name in the root; a pattern that is not anchored has one part.
    anchored: bool,
    /// The character that a covered name ends with, in lower case; `None` where it may be any.
    ending: Option<u8>,
}

/// The characters that a path's names end with, in lower case: they tell most of a list's patterns
/// not to cover it, without a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Endings([u64; 4]);

/// What one name is compared with. Nearly all patterns are of the first two kinds, for which one
/// comparison is enough; a list of them is gone through for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Whole(String),
    /// `*` and this.
    Tail(String),
    /// With a `*` elsewhere, or several.
    Like(String),
    /// Any number of names.
    Names,
}

impl Endings {
    pub fn of(path: &[u8]) -> Endings {
        let mut set = [0; 4];
        for (at, byte) in path.iter().enumerate() {
            if path.get(at + 1).is_none_or(|next| *next == b'/') {
                let byte = byte.to_ascii_lowercase();
                set[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
        }
        Endings(set)
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & 1 << (byte & 63) != 0
    }
}

impl Glob {
    /// Whether it is worth asking if the pattern covers a path whose names end so.
    pub fn may_cover(&self, endings: &Endings) -> bool {
        self.ending.is_none_or(|ending| endings.contains(ending))
    }

    /// Whether the pattern covers `path`: names without a leading slash, with one between two.
    ///
    /// Takes time linear in the length of `path`, for each character of the pattern.
    pub fn covers(&self, path: &[u8]) -> bool {
        let names = path.split(|byte| *byte == b'/');
        match self.anchored {
            false => names.into_iter().any(|name| self.parts[0].is_like(name)),
            true => self.covers_from_root(names),
        }
    }

    /// As in [`is_like`], only the last `**` has to be tried again: whatever the one before it
    /// could take as well, the last one can.
    fn covers_from_root<'a>(&self, mut names: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        let mut at = 0;
        let mut retry = None;
        while let Some(part) = self.parts.get(at) {
            at += 1;
            if *part == Part::Names {
                retry = Some((at, names.clone()));
                continue;
            }
            let Some(name) = names.next() else { return false };
            if part.is_like(name) {
                continue;
            }
            let Some((after, from)) = &mut retry else { return false };
            from.next();
            (at, names) = (*after, from.clone());
        }
        // What is left of the path lies below what the pattern covers.
        true
    }
}

impl Part {
    fn new(text: &str) -> Part {
        match text.strip_prefix('*') {
            _ if text == "**" => Part::Names,
            None if !text.contains('*') => Part::Whole(text.to_owned()),
            Some(tail) if !tail.contains('*') => Part::Tail(tail.to_owned()),
            Some(_) | None => Part::Like(text.to_owned()),
        }
    }

    fn ending(&self) -> Option<u8> {
        let (Part::Whole(text) | Part::Tail(text) | Part::Like(text)) = self else { return None };
        text.bytes().last().filter(|last| *last != b'*').map(|last| last.to_ascii_lowercase())
    }

    fn is_like(&self, name: &[u8]) -> bool {
        match self {
            Part::Whole(whole) => name.eq_ignore_ascii_case(whole.as_bytes()),
            Part::Tail(tail) => {
                let start = name.len().checked_sub(tail.len());
                start.is_some_and(|start| name[start..].eq_ignore_ascii_case(tail.as_bytes()))
            }
            Part::Like(pattern) => is_like(pattern, name),
            Part::Names => true,
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any bytes.
fn is_like(pattern: &str, name: &[u8]) -> bool {
    let pattern = pattern.as_bytes();
    let (mut p, mut n) = (0, 0);
    // After the last `*`: where the pattern goes on, and where in the name it was last tried.
    let mut retry = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                p += 1;
                retry = Some((p, n));
            }
            (None, None) => return true,
            (Some(wanted), Some(byte)) if wanted.eq_ignore_ascii_case(byte) => {
                p += 1;
                n += 1;
            }
            (Some(_) | None, Some(_)) => {
                let Some((after, tried)) = &mut retry else { return false };
                *tried += 1;
                (p, n) = (*after, *tried);
            }
            (Some(_), None) => return false,
        }
    }
}

/// Reads an element of `deny`.
///
/// # Errors
/// A slash inside a pattern that does not begin with one, an empty, `.` or `..` name, `**` beside
/// other characters, or a character that other tools give a meaning to.
pub fn glob(text: &str) -> Result<Glob, Fault> {
    let wrong = |why: String| Fault::new(why).expected(SHAPE);
    if let Some(odd) = text.chars().find(|c| "?[]{}\\!".contains(*c) || c.is_control()) {
        let shown = odd.escape_default();
        return Err(wrong(format!("`{shown}` has no meaning in a pattern")));
    }
    let anchored = text.starts_with('/');
    let inner = text.strip_prefix('/').unwrap_or(text);
    let meant = format!("/{}", inner.trim_matches('/'));
    let meant = |fault: Fault| fault.nearest(glob(&meant).is_ok().then_some(meant));
    if !anchored && text.contains('/') {
        return Err(meant(wrong(format!("`{text}` has a slash inside, but none in front"))));
    }
    if anchored && inner.len() > 1 && inner.ends_with('/') {
        return Err(meant(wrong(format!("`{text}` ends with a slash"))));
    }
    for name in inner.split('/') {
        if matches!(name, "" | "." | "..") {
            return Err(wrong(format!("`{text}` is not a pattern: no file is called `{name}`")));
        }
        if name.contains("**") && (name != "**" || !anchored) {
            return Err(wrong(format!("`**` in `{text}` is not a whole name")));
        }
    }
    let mut parts: Vec<Part> = inner.split('/').map(Part::new).collect();
    // Below a folder: with whatever lies below what is covered, one name says it.
    if let Some(last) = parts.last_mut().filter(|last| **last == Part::Names) {
        *last = Part::new("*");
    }
    let ending = match parts.as_slice() {
        [part] if !anchored => part.ending(),
        _ => None,
    };
    Ok(Glob { parts, anchored, ending })
}

/// As the configuration writes it.
impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 || self.anchored {
                f.write_str("/")?;
            }
            match part {
                Part::Whole(text) | Part::Like(text) => f.write_str(text)?,
                Part::Tail(tail) => write!(f, "*{tail}")?,
                Part::Names => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_and_not() {
        for (pattern, covered, other) in [
            ("*.sql", "dump.sql a/b/DUMP.SQL old.sql/x", "sql .sqlx dump.sql.gz"),
            ("composer.json", "composer.json a/Composer.JSON", "acomposer.json composer.jsonx"),
            ("wp-config*.*", "wp-config.php wp-config-sample.php.x", "wp-config xwp-config.php"),
            ("*", "a a/b", ""),
            ("*~", "a~ b/~", "a~b"),
            ("a*b*c", "abc aXbYc abbc abcbc", "ab ac abcd"),
            ("/private", "private private/a/b PRIVATE", "a/private privately"),
            ("/private/*", "private/a private/a/b", "private a/private/b"),
            ("/private/**", "private/a private/a/b", "private"),
            ("/a/**/*.php", "a/x.php a/b/c/x.php a/b.php/c", "x.php b/x.php a/x.phpx a"),
            ("/**/x/y", "x/y a/x/y a/x/b/x/y/z x/x/y", "x y a/x x/a/y"),
            ("/**/a/**/b", "a/b a/x/b a/a/x/y/b", "b/a a b"),
            ("/*/cache", "a/cache b/cache/c", "cache a/b/cache"),
        ] {
            let read = glob(pattern).unwrap();
            for path in covered.split(' ').filter(|path| !path.is_empty()) {
                assert!(read.covers(path.as_bytes()), "{pattern} covers {path}");
                assert!(read.may_cover(&Endings::of(path.as_bytes())), "{pattern}, {path}");
            }
            for path in other.split(' ').filter(|path| !path.is_empty()) {
                assert!(!read.covers(path.as_bytes()), "{pattern} does not cover {path}");
            }
        }
    }

    #[test]
    fn bad_patterns() {
        for (text, near) in [
            ("", None),
            ("/", None),
            ("private/*", Some("/private/*")),
            ("private/", Some("/private")),
            ("/private/", Some("/private")),
            ("/a//b", None),
            ("/a/../b", None),
            (".", None),
            ("**", None),
            ("/a**", None),
            ("**/a", Some("/**/a")),
            ("*.db?", None),
            ("*.{sql,ini}", None),
            ("!a", None),
            ("a\n", None),
        ] {
            assert_eq!(glob(text).unwrap_err().nearest.as_deref(), near, "{text}");
        }
    }

    /// No pattern makes a long path expensive: a second would be a thousand times too long.
    #[test]
    fn long_paths_take_linear_time() {
        let name = "a".repeat(4000);
        let path = "a/".repeat(2000) + "a";
        let many_stars = glob(&"*a".repeat(60)).unwrap();
        let many_paths = glob(&("/**/a".repeat(60) + "/b")).unwrap();
        assert!(many_stars.covers(name.as_bytes()));
        assert!(!glob(&("*a".repeat(60) + "b")).unwrap().covers(name.as_bytes()));
        assert!(!many_paths.covers(path.as_bytes()));
    }
}
