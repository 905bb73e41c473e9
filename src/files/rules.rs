//! What is never given, whatever the path that leads to it: hidden files, the source of PHP under
//! any name, and what the operator's list says.
//!
//! Pure, and by the name alone, so that the answer says nothing about what exists. The first two
//! rules are not to be configured; `config` holds the list and its default.

use super::media;
use crate::config::{Endings, Files};

/// Why something is never given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// A name that begins with a dot, such as `.git` or `.htpasswd`.
    Hidden,
    /// PHP's source in a disguise, such as `config.php.bak`, or as a file and not as a script.
    Source,
    /// The pattern at this position of [`Files::deny`].
    Listed { pattern: usize },
}

/// Extensions that PHP's source goes by, as servers run it and as programs include it (the last
/// five are Drupal's); a digit may follow `php`.
const SOURCE: [&[u8]; 14] = [
    b"php", b"phtml", b"phtm", b"pht", b"phps", b"phpt", b"phar", b"inc", b"ctp", b"module",
    b"install", b"engine", b"profile", b"theme",
];

/// The rule against giving what lies at `path`, if there is one: names without a leading slash,
/// with one between two. A path that ends in a script's name is not its source.
pub fn denial(files: &Files, path: &[u8]) -> Option<Denial> {
    if is_hidden(path) {
        return Some(Denial::Hidden);
    }
    let name = last_name(path);
    if !is_script(name) && is_source(name) {
        return Some(Denial::Source);
    }
    let endings = Endings::of(path);
    let mut globs = files.deny.iter();
    let listed = globs.position(|glob| glob.may_cover(&endings) && glob.covers(path));
    listed.map(|pattern| Denial::Listed { pattern })
}

/// Whether PHP may run a file of this name: the extension exactly as PHP-FPM's
/// `security.limit_extensions` has it.
pub fn is_script(path: &[u8]) -> bool {
    path.ends_with(b".php")
}

/// The name after the last slash.
pub fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Whether a name on the path begins with a dot. RFC 8615 §3 puts `/.well-known/` at the root.
fn is_hidden(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/');
    let first = names.next().filter(|name| *name != b".well-known");
    first.into_iter().chain(names).any(|name| name.starts_with(b"."))
}

/// Whether a file of this name holds PHP's source: it has one of its extensions, or had one before
/// another was put behind it that says nothing of what is inside.
///
/// `photo.php.jpg` is a picture and `index.php.html` a page, whatever they were made from.
fn is_source(name: &[u8]) -> bool {
    let Some(dot) = name.iter().position(|byte| *byte == b'.') else { return false };
    let extensions = name[dot + 1..].rsplit(|byte| *byte == b'.');
    let mut extensions = extensions.filter(|extension| !extension.is_empty());
    let last_is = extensions.next().is_some_and(is_source_extension);
    last_is || extensions.any(is_source_extension) && !media::is_shown(name)
}

/// Compares up to what an editor, a copy or Windows put behind it: `php~`, `php_old`, `php `.
fn is_source_extension(extension: &[u8]) -> bool {
    let end = extension.iter().position(|byte| !byte.is_ascii_alphanumeric());
    let word = &extension[..end.unwrap_or(extension.len())];
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let stem = &word[..word.len() - digits];
    let is_php_with_digits = stem.eq_ignore_ascii_case(b"php");
    is_php_with_digits || SOURCE.iter().any(|source| word.eq_ignore_ascii_case(source))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn shown(path: &str) -> &'static str {
        let files = Files::new(PathBuf::from("/srv"));
        match denial(&files, path.as_bytes()) {
            None => "given",
            Some(Denial::Hidden) => "hidden",
            Some(Denial::Source) => "source",
            Some(Denial::Listed { .. }) => "listed",
        }
    }

    #[test]
    fn given_and_not() {
        for (expected, paths) in [
            (
                "given",
                "index.php a/index.php x.jpg.php style.css a.b/c.d README robots.txt php inc \
                 phpinfo.html a.phpx a.include photo.php.jpg x.PHP.png index.php.html a.inc.css \
                 movie.php.mp4 .well-known/acme-challenge/x.y .well-known x a. a..b",
            ),
            (
                "hidden",
                ".git/config .env a/.htpasswd .. ... a/.well-known/x .well-known/.x .php a/.php \
                 .git .well-knownx/a",
            ),
            (
                "source",
                "x.PHP x.Php x.php3 x.PHP8 x.php74 x.phtml x.pht x.phar x.phps x.inc a/b.INC \
                 x.php.bak x.php~ x.php. x.php.. x.php.1 x.php.txt x.php.zip x.php.gz \
                 x.php.unknown x.php_old x.php-2020 x.php,v x.php#x x.phtml.old x.php.bak.orig \
                 x.php.xml x.php.json views.module x.install #x.php# wp-config.php.save x.ctp",
            ),
            (
                "listed",
                "a~ x.BAK x.swp php.ini a/app.CONF prod.env dump.sql dump.sql.gz x.sqlite x.db \
                 composer.json a/composer.lock package.json web.config wp-config.php \
                 wp-config-sample.php x.log error_log id_rsa cert.pem a.yml",
            ),
        ] {
            for path in paths.split_whitespace() {
                assert_eq!(shown(path), expected, "{path}");
            }
        }
        assert_eq!(shown("x.php "), "source");
        assert_eq!(shown("x.php .jpg"), "given");
        assert_eq!(shown(""), "given");
    }

    /// Without a list only what is listed is given.
    #[test]
    fn the_list_is_the_operators() {
        let mut files = Files::new(PathBuf::from("/srv"));
        files.deny.clear();
        assert_eq!(denial(&files, b"dump.sql"), None);
        assert_eq!(denial(&files, b"x.php.bak"), Some(Denial::Source));
        assert_eq!(denial(&files, b".env"), Some(Denial::Hidden));
    }

    #[test]
    fn scripts() {
        for (path, expected) in
            [("a/x.php", true), ("x.jpg.php", true), ("x.PHP", false), ("x.php5", false)]
        {
            assert_eq!(is_script(path.as_bytes()), expected, "{path}");
        }
    }
}
