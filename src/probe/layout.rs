//! The layout of this host, read once.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::diagnose::{Layout, MARKERS, OS_RELEASE, PHP_FOLDER};

/// More versions of PHP than anybody installs side by side.
const NAMES_MAX: usize = 64;

static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
    let os_release = OS_RELEASE.iter().find_map(|path| fs::read_to_string(path).ok());
    let found: Vec<_> = MARKERS.into_iter().filter(|path| Path::new(path).exists()).collect();
    Layout::of(&os_release.unwrap_or_default(), &found, &names(PHP_FOLDER))
});

/// What is known of this host; the first call reads some small files.
pub fn layout() -> &'static Layout {
    &LAYOUT
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(NAMES_MAX).flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
