//! `causeway generate`: the files of a package that are made from the program's own definitions.
//!
//! One list of names and bytes; what stands in each is decided where its definitions are. Existing
//! files are written over, others in the folder left alone.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config;

use super::{EX_CANTCREAT, catalog, completions, manual, say};

/// One file of a package.
#[derive(Debug)]
pub struct Part {
    /// Its name within the folder.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Writes every part into a folder, which is made where it is missing, and names each.
pub fn generate(folder: &Path) -> ExitCode {
    for part in parts() {
        let path = folder.join(&part.name);
        if let Err(error) = write(&path, &part.bytes) {
            let _ = writeln!(io::stderr(), "causeway: cannot write {}: {error}", path.display());
            return EX_CANTCREAT.into();
        }
        say(&format!("{}\n", path.display()));
    }
    ExitCode::SUCCESS
}

fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    parts.extend(catalog::parts());
    parts.extend(manual::parts());
    parts.extend(completions::parts());
    let schema = format!("{:#}\n", config::schema());
    parts.push(Part { name: "causeway.schema.json".to_owned(), bytes: schema.into_bytes() });
    parts
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_parts_have_one_name() {
        let mut names = HashSet::new();
        for part in parts() {
            assert!(!part.bytes.is_empty(), "{} is empty", part.name);
            assert!(names.insert(part.name.clone()), "{} comes twice", part.name);
        }
    }
}
