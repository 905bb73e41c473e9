//! WordPress's files in a temporary directory: Debian's own, without the links that lead out of it,
//! with a configuration for the test's database, and with things that nobody may see.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::database::{self, Database};

/// Stands in every planted file; no answer may ever show it.
pub const SECRET: &str = "nobody outside may read this either";

/// Files that lie in many a real site and are nobody's business.
pub const PLANTED: [&str; 6] = [
    "wp-content/debug.log",
    "wp-config.php~",
    "wp-config.php.bak",
    ".git/config",
    ".user.ini",
    "dump.sql",
];

const SOURCE: &str = "/usr/share/wordpress";
const THEME: &str = "wp-content/themes/twentytwentythree";
const MISSING: &str = "this test needs WordPress and its theme: \
     apt-get install wordpress wordpress-theme-twentytwentythree";

/// A directory with all that WordPress needs beside PHP and a database.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
}

impl Site {
    pub fn new() -> Site {
        let source = Path::new(SOURCE);
        assert!(source.join(THEME).exists(), "{MISSING}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        copy(source, dir.path());
        let site = Site { dir };
        let uploads = site.root().join("wp-content/uploads");
        fs::create_dir(&uploads).expect("a directory");
        fs::set_permissions(&uploads, fs::Permissions::from_mode(0o777)).expect("a mode");
        for name in PLANTED {
            site.plant(name, format!("; {SECRET}\n").as_bytes());
        }
        site
    }

    /// The directory that is served.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a file there, past WordPress.
    pub fn plant(&self, name: &str, content: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Makes a file an hour old: that of this second has no ETag yet that its parts could go by
    /// (RFC 9110 section 8.8.1).
    pub fn age(&self, name: &str) {
        let file = File::options().append(true).open(self.root().join(name)).expect("a file");
        let hour = Duration::from_secs(3600);
        file.set_modified(SystemTime::now() - hour).expect("its time");
    }

    /// Tells WordPress its database and its address, and to leave the outside alone.
    pub fn configure(&self, database: &Database, origin: &str) {
        let mut text = String::from("<?php\n$table_prefix = 'wp_';\n");
        let host = format!("localhost:{}", database.socket().display());
        for (name, value) in [
            ("DB_NAME", database::NAME),
            ("DB_USER", database::NAME),
            ("DB_PASSWORD", database::PASSWORD),
            ("DB_HOST", &host),
            ("DB_CHARSET", "utf8mb4"),
            ("WP_HOME", origin),
            ("WP_SITEURL", origin),
        ] {
            text += &format!("define('{name}', '{value}');\n");
        }
        for name in ["AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE"] {
            text += &format!("define('{name}_KEY', '{name} key of a test');\n");
            text += &format!("define('{name}_SALT', '{name} salt of a test');\n");
        }
        for name in ["WP_HTTP_BLOCK_EXTERNAL", "DISABLE_WP_CRON", "AUTOMATIC_UPDATER_DISABLED"] {
            text += &format!("define('{name}', true);\n");
        }
        text += "defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');\n";
        text += "require_once ABSPATH . 'wp-settings.php';\n";
        self.plant("wp-config.php", text.as_bytes());
    }
}

/// Copies what is there and what its links lead to, but no translations, a third of it all.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    // PHP's workers have an account of their own.
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("a mode");
    let entries = fs::read_dir(from).expect(MISSING);
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let target: PathBuf = to.join(path.file_name().expect("an entry has a name"));
        if !path.is_dir() {
            fs::copy(&path, &target).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else if !path.ends_with("wp-content/languages") {
            copy(&path, &target);
        }
    }
}
