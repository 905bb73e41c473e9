//! A PHP site in a temporary directory: its pages, its files, and what its pages leave behind.
//!
//! Each run of a page is counted, by a file that PHP runs before it. Everything that must never be
//! read from outside says [`SECRET`]; everything that must never be run would say [`EXECUTED`].

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::support::tools::{self, BigFile};

/// The content of /hello.txt.
pub const HELLO: &[u8] = b"Good day from a file.\n";
/// What no answer may hold.
pub const SECRET: &str = "the secret of this house";
/// What no answer may hold either: it is put together only when the code is run.
pub const EXECUTED: &str = "this was executed";
/// Code for files that are not to be run.
pub const CODE: &str = "<?php echo 'this was ', 'executed';";
/// A front controller.
pub const FRONT: &str = "<?php echo 'front controller';";

/// The pages that most tests ask for.
const PAGES: &[(&str, &str)] = &[
    (
        "hello.php",
        "<?php header('X-From: php'); header('Set-Cookie: a=1'); header('Set-Cookie: b=2', false);
         echo 'Good day from PHP.';",
    ),
    ("redirect.php", "<?php header('Location: /elsewhere?from=here', true, 302);"),
    (
        "status.php",
        "<?php http_response_code((int) $_GET['is']); header('Retry-After: 120'); echo 'As said.';",
    ),
    ("unmodified.php", "<?php http_response_code(304); header('ETag: \"x\"');"),
    ("nothing.php", "<?php http_response_code(204);"),
    (
        "variables.php",
        "<?php header('Content-Type: application/json');
         echo json_encode($_SERVER, JSON_INVALID_UTF8_SUBSTITUTE);",
    ),
    (
        "echo.php",
        "<?php header('Content-Type: application/json');
         $in = fopen('php://input', 'rb'); $hash = hash_init('md5'); $length = 0;
         while (!feof($in)) {
             $piece = fread($in, 65536); $length += strlen($piece); hash_update($hash, $piece);
         }
         echo json_encode(['method' => $_SERVER['REQUEST_METHOD'], 'length' => $length,
             'declared' => $_SERVER['CONTENT_LENGTH'] ?? null, 'md5' => hash_final($hash),
             'post' => $_POST]);",
    ),
    (
        "stream.php",
        "<?php $in = fopen('big.bin', 'rb');
         if (isset($_GET['length'])) { header('Content-Length: ' . filesize('big.bin')); }
         while (!feof($in)) { echo fread($in, 65536); flush(); }",
    ),
    (
        "headers.php",
        "<?php for ($i = 0; $i < (int) $_GET['count']; $i++) {
             header(\"X-Long-$i: \" . str_repeat('x', (int) $_GET['size']));
         }
         echo 'after the headers';",
    ),
    // error_log() goes to STDERR, a kilobyte at a time.
    (
        "loud.php",
        "<?php for ($i = 0; $i < 1024; $i++) { error_log(str_repeat('e', 1011)); }
         if (isset($_GET['fatal'])) { no_such_function(); }
         echo 'done';",
    ),
    // Waits for a file that the test makes when it has seen the first part.
    (
        "two_parts.php",
        "<?php echo \"first part\\n\"; flush();
         for ($i = 0; $i < 3000 && !file_exists('../data/go'); $i++) { usleep(10000); clearstatcache(); }
         echo \"second part\\n\";",
    ),
    // In small steps: a signal ends a sleep early.
    ("sleep.php", "<?php for ($i = 0; $i < 3000; $i++) { usleep(20000); } echo 'slept';"),
    ("wait.php", "<?php for ($i = 0; $i < 150; $i++) { usleep(20000); } echo 'waited';"),
    (
        "part.php",
        "<?php echo \"first part\\n\"; flush(); for ($i = 0; $i < 3000; $i++) { usleep(20000); }
         echo 'second part';",
    ),
    (
        "part_of_length.php",
        "<?php header('Content-Length: 100000'); echo \"first part\\n\"; flush(); sleep(60);",
    ),
    ("die.php", "<?php posix_kill(getmypid(), (int) $_GET['by']); sleep(60);"),
    (
        "burst.php",
        "<?php echo str_repeat('x', 100000); flush(); posix_kill(getmypid(), 9); sleep(60);",
    ),
    // Says what became of its reader.
    (
        "reader.php",
        "<?php ignore_user_abort(false);
         register_shutdown_function(function () {
             $became = connection_aborted() ? 'left' : 'stayed';
             file_put_contents(__DIR__ . '/../data/reader', $became);
         });
         for ($i = 0; $i < 1500; $i++) { echo str_repeat('x', 1000); flush(); usleep(20000); }",
    ),
    // Answers before the request's body is there; PHP itself ends when it has read all of it.
    (
        "early.php",
        "<?php http_response_code(413); header('Content-Length: 8'); echo 'too much'; flush();",
    ),
    ("parse.php", "<?php\necho 'a' b;"),
    ("fatal.php", "<?php\nheader('X-Own: kept');\nno_such_function();"),
    ("fatal_late.php", "<?php echo 'begun'; flush();\nno_such_function();"),
    ("memory.php", "<?php\n$all = str_repeat('x', 200 << 20);"),
    ("endless.php", "<?php\nset_time_limit(1); while (true);"),
    ("faked.php", "<?php error_log('PHP Fatal error:  in name only'); echo 'all is well';"),
    ("no_colon.php", "<?php header('this is no header field'); echo 'body';"),
    ("bad_status.php", "<?php header('Status: abc'); echo 'body';"),
    ("bad_name.php", "<?php header('Bad Name: x'); echo 'body';"),
];

/// The files of one site.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
}

impl Site {
    /// A site without a front controller.
    pub fn new() -> Site {
        let site = Site { dir: tempfile::tempdir().expect("a temporary directory") };
        for (name, mode) in [("", 0o755), ("www", 0o755), ("data", 0o777)] {
            fs::create_dir_all(site.path(name)).expect("a directory");
            fs::set_permissions(site.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let counter = format!(
            "<?php file_put_contents('{}', basename($_SERVER['SCRIPT_FILENAME']) . \"\\n\",
                 FILE_APPEND | LOCK_EX);",
            site.path("data/runs").display()
        );
        fs::write(site.counter(), counter).expect("a file");
        fs::write(site.path("secret.txt"), SECRET).expect("a file");
        for (name, text) in PAGES {
            site.put(name, text);
        }
        site.put("hello.txt", HELLO);
        site
    }

    /// DOCUMENT_ROOT.
    pub fn root(&self) -> PathBuf {
        self.path("www")
    }

    /// What the proxy's block says about it, with more lines after that.
    pub fn block(&self, more: &str) -> String {
        format!("root = \"{}\"\n{more}", self.root().display())
    }

    /// A file in the root, in folders that are made for it. It is an hour old, since an ETag or a
    /// date of this second may be a weak one.
    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let mut file = File::create(&path).expect("a file");
        file.write_all(content.as_ref()).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("its time");
        path
    }

    /// Makes /big.bin, whose bytes do not repeat.
    pub fn big_file(&self) -> BigFile {
        tools::big_file(self.root().join("big.bin"))
    }

    /// The pages that PHP has run, in order, by the names of their files.
    pub fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("data/runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What a page wrote about itself.
    pub fn note(&self, name: &str) -> Option<String> {
        let note = fs::read_to_string(self.path("data").join(name)).ok()?;
        // It is made before it is written.
        (!note.is_empty()).then_some(note)
    }

    /// Makes a file that a page waits for.
    pub fn signal(&self, name: &str) {
        fs::write(self.path("data").join(name), "").expect("a file");
    }

    /// What PHP runs before each page.
    pub fn counter(&self) -> PathBuf {
        self.path("counter.php")
    }

    /// A path beside the root, which is out of the site's reach.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Changes a file's mode.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}
