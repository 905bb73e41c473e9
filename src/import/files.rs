//! The files of a nginx: the one that was named, and what its `include` lines put in their place.
//!
//! The only part of the room that touches the file system. A relative name is looked for where the
//! main file lies and in the folders above it, since a site's own file names what lies in
//! /etc/nginx. Everything is bounded; a file within itself is an error, one that is missing is not.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::config::{Fault, Problems};

use super::tree::{self, Directive};

/// Over all files, each counted as often as it is included.
const BYTES_MAX: u64 = 4 << 20;
/// Times that a file is read.
const FILES_MAX: usize = 1000;
/// Files within files.
const DEPTH_MAX: usize = 10;
/// Names of one folder that a pattern is compared with.
const NAMES_MAX: usize = 10_000;
/// Folders above the main file in which a relative name may lie.
const ABOVE_MAX: usize = 3;

/// Files that nginx, Debian and certbot ship, and that say nothing of a site; they need not be
/// here.
const SHIPPED: [&str; 12] = [
    "mime.types",
    "fastcgi_params",
    "fastcgi.conf",
    "proxy_params",
    "uwsgi_params",
    "scgi_params",
    "koi-utf",
    "koi-win",
    "win-utf",
    "fastcgi-php.conf",
    "ssl-dhparams.pem",
    "options-ssl-nginx.conf",
];

/// Why there is nothing to carry over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It is not in nginx's syntax.
    #[error("{0}")]
    Syntax(Problems),
}

/// A whole configuration: one tree, and the names of the files that it came from.
#[derive(Debug)]
pub struct Source {
    pub directives: Vec<Directive>,
    pub files: Vec<PathBuf>,
    /// Where the main file lies, from `/` on: relative names start there.
    pub folder: PathBuf,
}

/// Reads a file and what it includes.
///
/// # Errors
/// The main file cannot be read, or one of them not be understood.
pub fn read(path: &Path) -> Result<Source, ImportError> {
    let mut reader = Reader { main: path, files: Vec::new(), bytes: 0, open: Vec::new() };
    let unreadable = |source| ImportError::Unreadable { path: path.to_owned(), source };
    let text = reader.text(path).map_err(unreadable)?;
    let directives = reader.file(path, text)?;
    let files = reader.files;
    let folder = fs::canonicalize(path).ok();
    let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
    Ok(Source { directives, files, folder })
}

struct Reader<'a> {
    main: &'a Path,
    files: Vec<PathBuf>,
    bytes: u64,
    /// Those that are being read, from the outside in.
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    fn text(&mut self, path: &Path) -> io::Result<String> {
        let mut bytes = Vec::new();
        let left = BYTES_MAX - self.bytes;
        File::open(path)?.take(left + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes += bytes.len() as u64;
        // Comments in other encodings are common, and no directive depends on them.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn file(&mut self, path: &Path, text: String) -> Result<Vec<Directive>, ImportError> {
        let number = self.files.len();
        self.files.push(path.to_owned());
        let wrong = |problem| {
            ImportError::Syntax(Problems::new(path.to_owned(), text.clone(), vec![problem]))
        };
        let directives = tree::parse(&text, number).map_err(wrong)?;
        self.open.push(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
        let spliced = self.splice(directives, &text);
        self.open.pop();
        spliced
    }

    /// Puts what each `include` names in its place; one that finds nothing stays.
    fn splice(
        &mut self,
        directives: Vec<Directive>,
        text: &str,
    ) -> Result<Vec<Directive>, ImportError> {
        let mut spliced = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if let Some(block) = directive.block.take() {
                directive.block = Some(self.splice(block, text)?);
            }
            match directive.name == "include" && directive.block.is_none() {
                true => self.include(directive, text, &mut spliced)?,
                false => spliced.push(directive),
            }
        }
        Ok(spliced)
    }

    fn include(
        &mut self,
        directive: Directive,
        text: &str,
        spliced: &mut Vec<Directive>,
    ) -> Result<(), ImportError> {
        let pattern = directive.argument(0).to_owned();
        let is_pattern = pattern.contains(['*', '?', '[']);
        let found = self.find(&pattern);
        if found.is_empty() && !is_pattern && !is_shipped(&pattern) {
            spliced.push(directive);
        } else if !is_shipped_table(&pattern) {
            for path in found {
                self.included(&path, &directive, text, spliced)?;
            }
        }
        Ok(())
    }

    fn included(
        &mut self,
        path: &Path,
        directive: &Directive,
        outer: &str,
        spliced: &mut Vec<Directive>,
    ) -> Result<(), ImportError> {
        let from = self.files[directive.place.file].clone();
        let refuse = |message: String, expected: &str| {
            let fault = Fault::new(message).expected(expected);
            let problem = fault.at(directive.place.span.clone());
            Err(ImportError::Syntax(Problems::new(from, outer.to_owned(), vec![problem])))
        };
        let shown = path.display();
        let same = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.open.contains(&same) {
            return refuse(format!("`{shown}` includes itself"), "files that come to an end");
        }
        if self.open.len() >= DEPTH_MAX || self.files.len() >= FILES_MAX {
            let limits = format!("at most {FILES_MAX} files, {DEPTH_MAX} within each other");
            return refuse(format!("`{shown}` is one file too many"), &limits);
        }
        let text = match self.text(path) {
            Ok(text) => text,
            Err(error) => {
                let expected = "a readable file, and less than 4 MiB in all";
                return refuse(format!("cannot read `{shown}`: {error}"), expected);
            }
        };
        spliced.extend(self.file(path, text)?);
        Ok(())
    }

    /// What a name or a pattern stands for: in the first folder that has any of it.
    fn find(&self, pattern: &str) -> Vec<PathBuf> {
        let pattern = Path::new(pattern);
        if pattern.is_absolute() {
            return matching(Path::new("/"), pattern);
        }
        let beside = self.main.parent().unwrap_or(Path::new(""));
        let found = matching(beside, pattern);
        if !found.is_empty() {
            return found;
        }
        let here = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
        let Ok(folder) = fs::canonicalize(here) else { return Vec::new() };
        let mut above = folder.ancestors().skip(1).take(ABOVE_MAX);
        let found = above
            .find_map(|folder| Some(matching(folder, pattern)).filter(|found| !found.is_empty()));
        found.unwrap_or_default()
    }
}

/// The files below `folder` that a pattern names, in the order of their names.
fn matching(folder: &Path, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for part in pattern.components() {
        let Component::Normal(name) = part else {
            match part {
                Component::ParentDir => found.iter_mut().for_each(|path| path.push("..")),
                Component::Normal(_)
                | Component::CurDir
                | Component::RootDir
                | Component::Prefix(_) => {}
            }
            continue;
        };
        let text = name.to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        found = found.iter().flat_map(|path| names_like(path, &text)).collect();
    }
    found.retain(|path| path.is_file());
    found
}

fn names_like(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = fs::read_dir(here) else { return Vec::new() };
    let names =
        entries.take(NAMES_MAX).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let hidden = pattern.starts_with('.');
    let mut names: Vec<String> = names
        .filter(|name| hidden || !name.starts_with('.'))
        .filter(|name| is_like(name.as_bytes(), pattern.as_bytes()))
        .collect();
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// glob(7) for one name: `*`, `?` and `[a-z]`. Only the last `*` has to be tried again.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let taken = match pattern.get(from) {
            Some(b'*') => {
                retry = Some((at, from + 1));
                from += 1;
                continue;
            }
            None if at == name.len() => return true,
            None => None,
            Some(_) => name.get(at).and_then(|byte| one_like(*byte, &pattern[from..])),
        };
        if let Some(taken) = taken {
            at += 1;
            from += taken;
            continue;
        }
        let Some((tried, after)) = &mut retry else { return false };
        if *tried >= name.len() {
            return false;
        }
        *tried += 1;
        (at, from) = (*tried, *after);
    }
}

/// How much of the pattern one character takes, if it fits.
fn one_like(byte: u8, pattern: &[u8]) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let end = rest.iter().skip(1).position(|byte| *byte == b']')? + 1;
            let (set, negated) = match &rest[..end] {
                [b'!' | b'^', set @ ..] => (set, true),
                set => (set, false),
            };
            let ranges = set.windows(3).filter(|range| range[1] == b'-');
            let inside = set.contains(&byte)
                || ranges.into_iter().any(|range| (range[0]..=range[2]).contains(&byte));
            (inside != negated).then_some(end + 2)
        }
        [other, ..] => (*other == byte).then_some(1),
        [] => None,
    }
}

fn is_shipped(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| SHIPPED.iter().any(|known| name == *known))
}

/// The table of media types: thousands of lines that no site depends on.
fn is_shipped_table(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == "mime.types")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, like) in [
            ("*", "shop", true),
            ("*.conf", "shop.conf", true),
            ("*.conf", "shop.conf~", false),
            ("a*b*c", "axxbxbc", true),
            ("a*b*c", "axxbxb", false),
            ("?[0-9]x", "a7x", true),
            ("?[!0-9]x", "a7x", false),
            ("[ab", "a", false),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(is_like(name.as_bytes(), pattern.as_bytes()), like, "{pattern} {name}");
        }
        assert!(!is_like(&[b'a'; 5000], "*a*a*a*a*b".as_bytes()));
    }
}
