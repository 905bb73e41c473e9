//! Pictures of the pages for a person to look at, and a sheet of them all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::chromium::Tab;
use super::views::{Case, SCHEMES, WIDTHS};

/// A folder of pictures below cargo's target directory.
#[derive(Debug)]
pub struct Pictures {
    dir: PathBuf,
    /// Of each page its heading on the sheet and the start of its pictures' names.
    pages: Mutex<Vec<(String, String)>>,
}

impl Pictures {
    /// The folder `pages`, emptied, if the environment asks for pictures.
    pub fn wanted() -> Option<Pictures> {
        std::env::var_os("CAUSEWAY_PICTURES")?;
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target");
        let dir = target.join("pages");
        // It may not be there yet.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the folder of the pictures");
        Some(Pictures { dir, pages: Mutex::new(Vec::new()) })
    }

    /// Takes the page as it lies now, in its whole length.
    pub fn take(&self, tab: &mut Tab, case: &Case, scheme: &str, width: u32) {
        let name = case.path().trim_start_matches('/').replace('/', ".");
        let picture = tab.picture();
        fs::write(self.dir.join(file(&name, scheme, width)), picture).expect("a picture");
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.last().is_none_or(|(_, last)| *last != name) {
            pages.push((case.path(), name));
        }
    }

    /// Writes the sheet.
    pub fn finish(self) -> PathBuf {
        let mut pages = self.pages.into_inner().unwrap_or_else(PoisonError::into_inner);
        pages.sort();
        pages.dedup();
        let mut sheet = String::from(
            "<!doctype html><meta charset=\"utf-8\"><title>Pages</title><style>\
             body{font:14px sans-serif;margin:1rem}div{display:flex;gap:8px;overflow-x:auto}\
             a{flex:none;height:20rem;overflow:hidden;border:1px solid #999}\
             img{width:11rem;display:block}h2{font-size:1rem}</style>\n",
        );
        for (heading, name) in &pages {
            sheet += &format!("<h2>{heading}</h2><div>");
            for scheme in SCHEMES {
                for width in WIDTHS {
                    let file = file(name, scheme, width);
                    sheet += &format!(
                        "<a href=\"{file}\"><img src=\"{file}\" loading=\"lazy\" \
                         alt=\"{scheme} {width}\"></a>"
                    );
                }
            }
            sheet += "</div>\n";
        }
        let path = self.dir.join("index.html");
        fs::write(&path, sheet).expect("the sheet");
        path
    }
}

fn file(name: &str, scheme: &str, width: u32) -> String {
    format!("{name}.{scheme}.{width}.jpeg")
}
