//! Files at well-known places whose names have a part that varies: one folder a version of PHP, one
//! file a pool. Bounded, sorted, and never below a path that somebody else gave.

use std::fs;
use std::path::{Path, PathBuf};

/// Names in one folder that are looked at.
const NAMES_MAX: usize = 4096;
/// What one pattern may bring.
const FOUND_MAX: usize = 1024;

/// What is there by a pattern, in which each part of the path may have one `*`.
pub fn places(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some((before, after)) => {
                let inside = found.iter().flat_map(|folder| within(folder, before, after));
                inside.take(FOUND_MAX).collect()
            }
        };
    }
    found.retain(|path| path.exists());
    found
}

fn within(folder: &Path, before: &str, after: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(NAMES_MAX).flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| {
        let whole = name.len() >= before.len() + after.len();
        whole && name.starts_with(before) && name.ends_with(after) && !name.starts_with('.')
    });
    names.sort_unstable();
    names.into_iter().map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_brings_what_is_there_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        for name in ["8.2/fpm/b.conf", "8.2/fpm/a.conf", "7.4/fpm/c.conf", "8.2/fpm/.x.conf"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = places(&format!("{root}/*/fpm/*.conf"));
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(root).unwrap()).collect();
        assert_eq!(names, ["7.4/fpm/c.conf", "8.2/fpm/a.conf", "8.2/fpm/b.conf"].map(Path::new));
        assert_eq!(places(&format!("{root}/8.2/fpm/a.conf")).len(), 1);
        assert_eq!(places(&format!("{root}/9*/fpm")), [""; 0].map(PathBuf::from));
    }
}
