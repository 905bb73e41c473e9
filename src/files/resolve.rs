//! What the path of a request means on this site: a file, a script, or nothing.
//!
//! Follows `try` in its order. The name is judged before the file system is asked, so that a
//! denial says nothing about what exists. Opens files through `root`; runs and sends nothing.

use rustix::io::Errno;

use super::media;
use super::path::{PathFault, SitePath};
use super::root::{Closed, Found, Kind, Opened, Root};
use super::rules::{self, Denial};
use crate::config::{Files, Try};

/// What answers the request.
#[derive(Debug)]
pub enum Target {
    File(Opened),
    /// A folder with an index was asked for without its slash: the path that it has, encoded.
    Redirect {
        path: String,
    },
    Script(Script),
}

/// A script that PHP is to run, as RFC 3875 and PHP-FPM name its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// SCRIPT_NAME: decoded, from a slash on (RFC 3875 §4.1.13).
    pub script_name: Vec<u8>,
    /// PATH_INFO: what follows it, empty or from a slash on (RFC 3875 §4.1.5).
    pub path_info: Vec<u8>,
    /// SCRIPT_FILENAME: where PHP finds it.
    pub filename: Vec<u8>,
}

/// Why nothing answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Path(#[from] PathFault),
    /// By its name, whether it exists or not; or by what a symbolic link led to.
    #[error("never given")]
    Denied(Denial),
    #[error("no such file")]
    NotFound,
    /// A link leads out of the root (EXDEV) or in a circle (ELOOP).
    #[error("not followed (errno {errno})")]
    Link { errno: i32 },
    /// It is there, and we have no right to it.
    #[error("not permitted (errno {errno})")]
    Forbidden { errno: i32 },
    /// Whether it is there could not be found out: EMFILE, EIO and the like.
    #[error("cannot be opened (errno {errno})")]
    Io { errno: i32 },
}

/// One request's path on one site.
#[derive(Clone, Copy)]
struct Asked<'a> {
    root: &'a Root,
    files: &'a Files,
    path: &'a SitePath,
}

/// Says what `raw_path` means, as it stands in the request without its query.
///
/// # Errors
/// See [`Refusal`]. A name that is never given is refused before anything else is asked; what
/// follows a script in the path is the script's own, and is not judged.
pub fn resolve(root: &Root, files: &Files, raw_path: &str) -> Result<Target, Refusal> {
    let path = SitePath::read(raw_path.as_bytes())?;
    let asked = Asked { root, files, path: &path };
    let names = path.names();
    let judged = path.script_ends().next().unwrap_or(names.len());
    deny(files, &names[..judged])?;

    let here = root.is_here().map_err(|errno| Refusal::from(Closed::Errno(errno)))?;
    let mut known = None;
    // No folder lies behind a script, so this comes first wherever `{path}` stands.
    if files.attempts.contains(&Try::File) {
        let end = match here {
            true => script_here(asked, &mut known)?,
            false => script_away(&path),
        };
        if let Some(end) = end {
            return Ok(Target::Script(script(files, &names[..end], path.rest(end))));
        }
    }
    if judged < names.len() {
        deny(files, names)?;
    }
    match here {
        true => resolve_here(asked, known),
        false => resolve_away(asked),
    }
}

/// Follows `try` on this host; `known` is what was seen at the path so far.
fn resolve_here(asked: Asked<'_>, mut known: Option<Kind>) -> Result<Target, Refusal> {
    for attempt in &asked.files.attempts {
        let found = match attempt {
            Try::File => file(asked, &mut known)?,
            Try::Folder => folder(asked, known)?,
            Try::Fallback(path) => return fallback(asked, path),
            Try::NotFound => None,
        };
        if let Some(target) = found {
            return Ok(target);
        }
    }
    Err(Refusal::NotFound)
}

/// Follows `try` where the site is on another host, and nothing is known of its files.
///
/// A folder goes to the front controller, since that is what most of them are; without one, and at
/// the root, to the index that PHP would run there.
fn resolve_away(asked: Asked<'_>) -> Result<Target, Refusal> {
    let Asked { files, path, .. } = asked;
    let front = files.attempts.iter().find_map(|attempt| match attempt {
        Try::Fallback(path) if rules::is_script(path.as_bytes()) => Some(&path.as_bytes()[1..]),
        Try::Fallback(_) | Try::File | Try::Folder | Try::NotFound => None,
    });
    let index = files.index.iter().find(|name| rules::is_script(name.as_bytes()));
    let by_index = files.attempts.contains(&Try::Folder) && path.is_folder();
    if by_index
        && (front.is_none() || path.names().is_empty())
        && let Some(index) = index
    {
        let name = inside(path.names(), index);
        deny(files, &name)?;
        return Ok(Target::Script(script(files, &name, Vec::new())));
    }
    let front = front.ok_or(Refusal::NotFound)?;
    Ok(Target::Script(script(files, front, Vec::new())))
}

/// Where the script on the way to the path ends, if there is one: a regular file, so that nothing
/// runs through `/uploads/picture.jpg/x.php`.
fn script_here(asked: Asked<'_>, known: &mut Option<Kind>) -> Result<Option<usize>, Refusal> {
    let Asked { root, files, path } = asked;
    for end in path.script_ends() {
        match root.kind(files, &path.names()[..end])? {
            Kind::File => return Ok(Some(end)),
            // A folder with a script's name: the script may come later.
            Kind::Folder if end == path.names().len() => *known = Some(Kind::Folder),
            Kind::Folder => {}
            // And nothing lies below nothing.
            Kind::Nothing => {
                *known = Some(Kind::Nothing);
                break;
            }
        }
    }
    Ok(None)
}

/// The first name of a script, unless a file seems to stand before it: PHP would go up to that one
/// (`cgi.fix_pathinfo`), and it may be an upload.
fn script_away(path: &SitePath) -> Option<usize> {
    let end = path.script_ends().next()?;
    let names = &path.names()[..end];
    let before = &names[..names.len() - rules::last_name(names).len()];
    let mut before = before.split(|byte| *byte == b'/');
    (!before.any(|name| media::known(name).is_some())).then_some(end)
}

fn file(asked: Asked<'_>, known: &mut Option<Kind>) -> Result<Option<Target>, Refusal> {
    let Asked { root, files, path } = asked;
    if path.is_folder() || known.is_some() || rules::is_script(path.names()) {
        return Ok(None);
    }
    *known = Some(match root.open(files, path.names())? {
        Found::File(opened) => return Ok(Some(Target::File(opened))),
        Found::Folder => Kind::Folder,
        Found::Nothing => Kind::Nothing,
    });
    Ok(None)
}

/// The folder by its index; one that has none is nothing to a visitor, and not listed.
fn folder(asked: Asked<'_>, known: Option<Kind>) -> Result<Option<Target>, Refusal> {
    let Asked { root, files, path } = asked;
    let kind = match known {
        _ if path.names().is_empty() => Kind::Folder,
        Some(kind) => kind,
        None => root.kind(files, path.names())?,
    };
    if kind != Kind::Folder {
        return Ok(None);
    }
    for index in &files.index {
        let name = inside(path.names(), index);
        deny(files, &name)?;
        if rules::is_script(&name) || !path.is_folder() {
            if root.kind(files, &name)? != Kind::File {
                continue;
            }
            return Ok(Some(match path.is_folder() {
                true => Target::Script(script(files, &name, Vec::new())),
                false => Target::Redirect { path: path.folder_address() },
            }));
        }
        if let Found::File(opened) = root.open(files, &name)? {
            return Ok(Some(Target::File(opened)));
        }
    }
    Ok(None)
}

/// The last resort. A script is not looked for: if it is missing, PHP says so, and that is what
/// the operator has to be told.
fn fallback(asked: Asked<'_>, path: &str) -> Result<Target, Refusal> {
    let Asked { root, files, .. } = asked;
    let names = &path.as_bytes()[1..];
    if rules::is_script(names) {
        return Ok(Target::Script(script(files, names, Vec::new())));
    }
    deny(files, names)?;
    match root.open(files, names)? {
        Found::File(opened) => Ok(Target::File(opened)),
        Found::Folder | Found::Nothing => Err(Refusal::NotFound),
    }
}

fn script(files: &Files, names: &[u8], path_info: Vec<u8>) -> Script {
    let script_name = [b"/", names].concat();
    let root = files.root.as_os_str().as_encoded_bytes();
    Script { filename: [root, &script_name].concat(), script_name, path_info }
}

fn inside(folder: &[u8], name: &str) -> Vec<u8> {
    let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
    [folder, slash, name.as_bytes()].concat()
}

fn deny(files: &Files, names: &[u8]) -> Result<(), Refusal> {
    rules::denial(files, names).map_or(Ok(()), |denial| Err(Refusal::Denied(denial)))
}

impl From<Closed> for Refusal {
    fn from(closed: Closed) -> Refusal {
        match closed {
            Closed::Denied(denial) => Refusal::Denied(denial),
            Closed::Errno(errno @ (Errno::XDEV | Errno::LOOP)) => {
                Refusal::Link { errno: errno.raw_os_error() }
            }
            Closed::Errno(errno @ (Errno::ACCESS | Errno::PERM)) => {
                Refusal::Forbidden { errno: errno.raw_os_error() }
            }
            Closed::Errno(errno) => Refusal::Io { errno: errno.raw_os_error() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::{Config, parse};

    /// A site like WordPress, with what an attacker and an operator may have left in it.
    fn site() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "index.php",
            "style.css",
            "a b.txt",
            "wp-config.php",
            "wp-admin/index.php",
            "wp-includes/js/x.js",
            "docs/index.html",
            "uploads/evil.jpg",
            "uploads/evil.php.jpg",
            "uploads/x.php",
            "dir.php/in.php",
            "dir.php/y.css",
            "empty.php/x",
            ".git/config",
            ".well-known/acme-challenge/token",
            "x.php.bak",
            "X.PHP",
            "x.php ",
            "x.php.",
            "dump.sql",
            "%2e%2e/odd",
            "private/x.txt",
            "evil.example/index.html",
        ] {
            let path = folder.path().join("site").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        std::fs::write(folder.path().join("secret.txt"), "x").unwrap();
        for (link, target) in [
            ("out.txt", "../secret.txt"),
            ("out", ".."),
            ("css", "style.css"),
            ("source.txt", "wp-config.php"),
            ("run.php", "uploads/evil.jpg"),
        ] {
            symlink(target, folder.path().join("site").join(link)).unwrap();
        }
        let pipe = folder.path().join("site/pipe.txt");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        folder
    }

    fn files(root: &std::path::Path, keys: &str) -> Files {
        let root = root.display();
        let block = format!("[upstream.a]\nservers = [\"fastcgi://a:9000\"]\nroot = \"{root}\"");
        let config: Config = parse(&format!("{block}\n{keys}"), "a.toml".as_ref()).unwrap();
        config.upstreams[0].files.clone().unwrap()
    }

    fn shown(root: &Root, files: &Files, path: &str) -> String {
        match resolve(root, files, path) {
            Ok(Target::File(opened)) => format!("file {}", opened.path.escape_ascii()),
            Ok(Target::Redirect { path }) => format!("to {path}"),
            Ok(Target::Script(script)) => {
                let root = files.root.to_str().unwrap().as_bytes();
                assert_eq!(script.filename, [root, &script.script_name].concat());
                let (name, info) = (script.script_name, script.path_info);
                format!("run {}|{}", name.escape_ascii(), info.escape_ascii())
            }
            Err(Refusal::Path(_)) => "bad path".to_owned(),
            Err(Refusal::Denied(_)) => "denied".to_owned(),
            Err(Refusal::NotFound) => "not found".to_owned(),
            Err(Refusal::Link { errno }) => format!("link {errno}"),
            Err(Refusal::Forbidden { errno }) => format!("forbidden {errno}"),
            Err(Refusal::Io { errno }) => format!("io {errno}"),
        }
    }

    fn check(folder: &std::path::Path, keys: &str, rows: &[(&str, &str)]) {
        let files = files(folder, keys);
        let root = Root::new(&files);
        for (path, expected) in rows {
            assert_eq!(shown(&root, &files, path), *expected, "{path} with {keys:?}");
        }
    }

    #[test]
    fn a_site_with_a_front_controller() {
        let folder = site();
        check(
            &folder.path().join("site"),
            "",
            &[
                ("/", "run /index.php|"),
                ("/index.php", "run /index.php|"),
                ("/index.php/", "run /index.php|/"),
                ("/index.php/a/b", "run /index.php|/a/b"),
                ("/index.php/.hidden/dump.sql", "run /index.php|/.hidden/dump.sql"),
                ("/my-post", "run /index.php|"),
                ("/my-post/", "run /index.php|"),
                ("/2024/05/%D1%8F/", "run /index.php|"),
                ("/style.css", "file style.css"),
                ("//style.css", "file style.css"),
                ("/style.css/", "run /index.php|"),
                ("/a%20b.txt", "file a b.txt"),
                ("/css", "file css"),
                ("/wp-admin", "to /wp-admin/"),
                ("//wp-admin", "to /wp-admin/"),
                ("/wp-admin/", "run /wp-admin/index.php|"),
                ("/wp-includes", "run /index.php|"),
                ("/wp-includes/", "run /index.php|"),
                ("/wp-includes/js/x.js", "file wp-includes/js/x.js"),
                ("/docs/", "file docs/index.html"),
                ("/docs", "to /docs/"),
                ("//evil.example", "to /evil.example/"),
                ("/uploads/x.php", "run /uploads/x.php|"),
                ("/dir.php/in.php/z", "run /dir.php/in.php|/z"),
                ("/dir.php/y.css", "file dir.php/y.css"),
                ("/dir.php", "run /index.php|"),
                ("/missing.php", "run /index.php|"),
                ("/missing.php/a/b.php", "run /index.php|"),
            ],
        );
    }

    /// Nothing leads out, runs an upload, or shows what is never given.
    #[test]
    fn attempts_to_get_out() {
        let folder = site();
        check(
            &folder.path().join("site"),
            "deny = [\"*.sql\", \"/private/*\"]",
            &[
                ("/../secret.txt", "bad path"),
                ("/%2e%2e/secret.txt", "bad path"),
                ("/uploads/..%2f..%2fsecret.txt", "bad path"),
                ("/..%5csecret.txt", "bad path"),
                ("/style.css%00.php", "bad path"),
                ("/x.php/..", "bad path"),
                ("/index.php/../../x", "bad path"),
                ("/%252e%252e/odd", "file %2e%2e/odd"),
                ("/%252e%252e/secret.txt", "run /index.php|"),
                ("/%c0%ae%c0%ae/secret.txt", "run /index.php|"),
                ("/.../secret.txt", "denied"),
                ("/out.txt", "link 18"),
                ("/out/secret.txt", "link 18"),
                ("/source.txt", "denied"),
                ("/run.php", "denied"),
                ("/pipe.txt", "run /index.php|"),
                ("/uploads/evil.jpg", "file uploads/evil.jpg"),
                ("/uploads/evil.jpg/x.php", "run /index.php|"),
                ("/uploads/evil.jpg/.php", "denied"),
                ("/uploads/evil.php.jpg", "file uploads/evil.php.jpg"),
                ("/.git/config", "denied"),
                ("/.git/missing", "denied"),
                ("/.well-known/acme-challenge/token", "file .well-known/acme-challenge/token"),
                ("/.well-known/missing", "run /index.php|"),
                ("/x.php.bak", "denied"),
                ("/X.PHP", "denied"),
                ("/x.php%20", "denied"),
                ("/x.php.", "denied"),
                ("/x.php/", "run /index.php|"),
                ("/missing.phtml", "denied"),
                ("/dump.sql", "denied"),
                ("/missing.sql", "denied"),
                ("/private/x.txt", "denied"),
                ("/private//x.txt", "denied"),
                ("/%70rivate/x.txt", "denied"),
                ("/missing.php/.git/config", "denied"),
            ],
        );
    }

    #[test]
    fn other_orders_of_try() {
        let folder = site();
        let root = folder.path().join("site");
        let plain = "try = [\"{path}\", \"{path}/\", \"=404\"]";
        check(
            &root,
            plain,
            &[
                ("/", "run /index.php|"),
                ("/wp-admin/", "run /wp-admin/index.php|"),
                ("/wp-includes/", "not found"),
                ("/style.css", "file style.css"),
                ("/missing", "not found"),
                ("/missing.php", "not found"),
                ("/uploads/evil.jpg/x.php", "not found"),
            ],
        );
        check(
            &root,
            "try = [\"/index.php\"]",
            &[
                ("/style.css", "run /index.php|"),
                ("/uploads/x.php", "run /index.php|"),
                ("/index.php/a", "run /index.php|"),
                ("/.git/config", "denied"),
                ("/index.php/.git/config", "denied"),
            ],
        );
        check(
            &root,
            "try = [\"{path}\", \"/docs/index.html\"]",
            &[
                ("/", "file docs/index.html"),
                ("/wp-admin/", "file docs/index.html"),
                ("/index.php", "run /index.php|"),
            ],
        );
        check(&root, "try = [\"{path}\", \"/missing.html\"]", &[("/missing", "not found")]);
        check(&root, "try = [\"/wp-config.php\"]", &[("/x", "run /wp-config.php|")]);
        check(&root, "try = [\"{path}\", \"/x.php.bak\"]", &[("/missing", "denied")]);
        check(
            &root,
            "try = [\"{path}/\", \"{path}\"]",
            &[
                ("/uploads/x.php", "run /uploads/x.php|"),
                ("/style.css", "file style.css"),
                ("/wp-admin", "to /wp-admin/"),
            ],
        );
        check(
            &root,
            "index = [\"index.html\"]",
            &[("/", "not found"), ("/docs/", "file docs/index.html"), ("/wp-admin", "not found")],
        );
        check(
            &root,
            "try = [\"{path}\"]\nsymlinks = \"anywhere\"",
            &[("/out.txt", "file out.txt"), ("/source.txt", "denied")],
        );
    }

    #[test]
    fn a_site_on_another_host() {
        let nowhere = std::path::Path::new("/nonexistent/site");
        check(
            nowhere,
            "",
            &[
                ("/", "run /index.php|"),
                ("/index.php/a", "run /index.php|/a"),
                ("/blog/index.php", "run /blog/index.php|"),
                ("/v1.2/x.php", "run /v1.2/x.php|"),
                ("/a.php/b.php", "run /a.php|/b.php"),
                ("/my-post/", "run /index.php|"),
                ("/style.css", "run /index.php|"),
                ("/uploads/evil.jpg/x.php", "run /index.php|"),
                ("/uploads/evil.jpg/x.php/y.php", "run /index.php|"),
                ("/.env", "denied"),
                ("/.git/x.php", "denied"),
                ("/X.PHP", "denied"),
                ("/dump.sql", "denied"),
                ("/../x.php", "bad path"),
            ],
        );
        check(
            nowhere,
            "try = [\"{path}\", \"{path}/\", \"=404\"]",
            &[
                ("/", "run /index.php|"),
                ("/admin/", "run /admin/index.php|"),
                ("/admin", "not found"),
                ("/admin/x.php", "run /admin/x.php|"),
                ("/style.css", "not found"),
                ("/a.jpg/x.php", "not found"),
            ],
        );
        check(
            nowhere,
            "try = [\"/front.php\"]",
            &[("/", "run /front.php|"), ("/x.php", "run /front.php|")],
        );
        check(
            nowhere,
            "try = [\"{path}\", \"/index.html\"]",
            &[("/", "not found"), ("/x.php", "run /x.php|")],
        );
    }

    #[test]
    fn errors_of_the_file_system() {
        for (errno, expected) in [
            (Errno::ACCESS, Refusal::Forbidden { errno: 13 }),
            (Errno::XDEV, Refusal::Link { errno: 18 }),
            (Errno::MFILE, Refusal::Io { errno: 24 }),
            (Errno::IO, Refusal::Io { errno: 5 }),
        ] {
            assert_eq!(Refusal::from(Closed::Errno(errno)), expected);
        }
    }
}
