//! What a well-formed answer of a FastCGI application says about itself, in its page and on STDERR.
//!
//! PHP reports its own failures in answers that are whole, so the wire shows nothing of them. Here
//! are the words by which they are known, in tables with a sample a row. Pages quote such words and
//! `error_log()` can fake them: what counts is PHP's exact layout, and the status that goes with
//! it. The work is bounded, however long the answer is. Pure.

use std::path::Path;
use std::sync::LazyLock;

use memchr::memmem;

use super::cause::Cause;
use super::faults::ForbiddenReason;
use super::report::Certainty::{self, Certain, Likely};

/// How much of a page is read.
const BODY_MAX: usize = 64 * 1024;
/// How far an error may be from its beginning to its line number; a stack trace lies between.
const ERROR_MAX: usize = 16 * 1024;
/// How many errors of one text are looked at.
const ERRORS_MAX: usize = 16;
/// How much of the words is kept as evidence.
const EVIDENCE_MAX: usize = 1024;

/// What every error has in its name, in each layout.
static ERROR: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"error"));

/// Whether an answer is well and says nothing that would have to be read closer. Asked of every
/// answer that an application gives.
pub fn is_quiet(status: u16, body: &[u8], has_stderr: bool) -> bool {
    status < 400 && !has_stderr && ERROR.find(&body[..body.len().min(BODY_MAX)]).is_none()
}

/// What the application was asked to run.
#[derive(Debug)]
pub struct Sent<'a> {
    pub filename: &'a str,
    pub root: &'a Path,
}

/// How PHP lays out an error that ends a script (php-src, `php_error_cb()` in main/main.c).
struct Layout {
    before: &'static [u8],
    /// The end of the error's name with what follows it.
    mark: &'static [u8],
    line: &'static [u8],
    after_line: &'static [u8],
}

/// On STDERR; PHP-FPM puts `PHP message: ` before it and `; ` between two.
const LOGGED: Layout =
    Layout { before: b"PHP ", mark: b"error:  ", line: b" on line ", after_line: b"" };
/// In a page, with `display_errors`.
const HTML: Layout = Layout {
    before: b"<br />\n<b>",
    mark: b"error</b>:  ",
    line: b"</b> on line <b>",
    after_line: b"</b>",
};
/// The same with `html_errors` off.
const TEXT: Layout =
    Layout { before: b"\n", mark: b"error: ", line: b" on line ", after_line: b"" };

/// The names that PHP has for errors that end a script.
const NAMES: [&[u8]; 3] = [b"Fatal error", b"Parse error", b"Recoverable fatal error"];
/// Where the next message of PHP-FPM's STDERR begins.
const NEXT_MESSAGE: &[u8] = b"; PHP message: ";

/// Words, a number, words: how PHP says that the memory is used up (Zend/zend_alloc.c).
const MEMORY: [(&[u8], &[u8]); 2] =
    [(b"Allowed memory size of ", b" bytes exhausted"), (b"Out of memory (allocated ", b"")];
/// The same of the time (Zend/zend_execute_API.c); one `second` has no `s`.
const TIME: [(&[u8], &[u8]); 1] = [(b"Maximum execution time of ", b" second")];

/// The heading of the page that WordPress has for it, also inside JSON.
const WORDPRESS: &[u8] = b"<h1>Error establishing a database connection<";
/// What WordPress shows in place of a fatal error, also inside JSON.
const WORDPRESS_CRITICAL: &[u8] = b"There has been a critical error on this website";
/// Words of drivers whose server does not answer: MySQL's by PDO and by mysqli (2002 is the code
/// CR_CONNECTION_ERROR of its client), PostgreSQL's by libpq, Redis' by two clients.
const HELPERS: [&[u8]; 7] = [
    b"SQLSTATE[HY000] [2002]",
    b"(HY000/2002)",
    b"mysqli_sql_exception: Connection refused",
    b"mysqli_sql_exception: No such file or directory",
    b"\tIs the server running ",
    b"RedisException: Connection refused",
    b"Predis\\Connection\\ConnectionException: ",
];

const SCRIPT_UNKNOWN: &[u8] = b"Primary script unknown";
/// Whole pages of a 404: PHP-FPM's and that of other PHP servers.
const SCRIPT_UNKNOWN_PAGES: [&[u8]; 2] = [b"File not found.\n", b"No input file specified.\n"];
/// The whole page of a 403.
const SCRIPT_FORBIDDEN_PAGE: &[u8] = b"Access denied.\n";
const LIMIT_EXTENSIONS: &[u8] = b"(see security.limit_extensions)";
const NOT_OPENED: &[u8] = b"Unable to open primary script: ";
const NOT_PERMITTED: &[u8] = b" (Permission denied)";

/// The cause that an answer names; `None` for one that is well, or says nothing of itself.
///
/// `body` is what there is of the page when its head goes out. `None` when the answer is over:
/// then STDERR is all there is, and it ends with the error that ended the script.
pub fn said(
    status: u16,
    body: Option<&[u8]>,
    stderr: &[u8],
    sent: &Sent<'_>,
) -> Option<(Cause, Certainty)> {
    let page = body.map(|body| &body[..body.len().min(BODY_MAX)]);
    let errors = errors_that_count(status, page, stderr);
    helper(status, page, stderr, &errors)
        .or_else(|| ended(&errors))
        .or_else(|| critical(status, page?))
        .or_else(|| script(status, page, stderr, sent))
}

/// The same for a failed answer of PHP behind another server: its page is all there is.
pub(super) fn in_page(status: u16, body: &[u8]) -> Option<(Cause, Certainty)> {
    let page = &body[..body.len().min(BODY_MAX)];
    let errors = errors_that_count(status, Some(page), b"");
    helper(status, Some(page), b"", &errors)
        .or_else(|| ended(&errors))
        .or_else(|| critical(status, page))
}

/// An error in PHP's layout.
#[derive(Debug, Clone, Copy)]
struct PhpError<'a> {
    /// From its first word to its line number.
    message: &'a [u8],
    /// The place stands behind it, as PHP writes it.
    placed: bool,
    /// Nothing comes after it.
    last: bool,
}

/// The errors of a text, first to last.
fn errors<'a>(text: &'a [u8], layout: &'static Layout) -> impl Iterator<Item = PhpError<'a>> {
    let begins = move |mark: &usize| {
        let name_end = mark + b"error".len();
        NAMES.iter().any(|name| {
            let head = text[..name_end].strip_suffix(*name);
            head.is_some_and(|head| head.ends_with(layout.before))
        })
    };
    let marks = memmem::find_iter(text, layout.mark).filter(begins).take(ERRORS_MAX);
    marks.map(move |mark| {
        let rest = &text[mark + layout.mark.len()..];
        let near = &rest[..rest.len().min(ERROR_MAX)];
        let near = &near[..memmem::find(near, NEXT_MESSAGE).unwrap_or(near.len())];
        match place_end(near, layout) {
            Some(end) => {
                let last = rest[end..].trim_ascii().is_empty();
                PhpError { message: &near[..end], placed: true, last }
            }
            None => PhpError { message: near, placed: false, last: false },
        }
    })
}

/// Where the line number of an error ends: the last one, since a stack trace may quote others.
fn place_end(text: &[u8], layout: &Layout) -> Option<usize> {
    let start = memmem::rfind(text, layout.line)? + layout.line.len();
    let digits = digits(&text[start..]);
    let end = start + digits;
    (digits > 0 && text[end..].starts_with(layout.after_line))
        .then_some(end + layout.after_line.len())
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The errors that this answer is known to have ended by, with how sure that is.
fn errors_that_count<'a>(
    status: u16,
    page: Option<&'a [u8]>,
    stderr: &'a [u8],
) -> Vec<(PhpError<'a>, Certainty)> {
    let failed = status >= 500;
    let body = page.unwrap_or_default();
    // A page about PHP shows the plain layout as it is, in the midst of its text.
    let shown = errors(body, &HTML)
        .filter(|error| error.placed)
        .chain(errors(body, &TEXT).filter(|error| error.placed && (failed || error.last)));
    // Beside an answer that is well, the words alone may be a page's own.
    let logged = errors(stderr, &LOGGED)
        .filter(|error| failed || (page.is_none() && error.placed && error.last))
        .map(|error| (error, if failed { Certain } else { Likely }));
    shown.map(|error| (error, Certain)).chain(logged).collect()
}

/// A service behind the application does not answer, and the application says so.
fn helper(
    status: u16,
    page: Option<&[u8]>,
    stderr: &[u8],
    errors: &[(PhpError<'_>, Certainty)],
) -> Option<(Cause, Certainty)> {
    let down = |words: &[u8]| Cause::HelperServicesDown { message: evidence(words) };
    let named = |text: &[u8]| HELPERS.iter().find_map(|words| memmem::find(text, words));
    let in_error = errors.iter().find(|(error, _)| named(error.message).is_some());
    if let Some((error, certainty)) = in_error {
        return Some((down(error.message), *certainty));
    }
    if status < 500 {
        return None;
    }
    let page = page.unwrap_or_default();
    if memmem::find(page, WORDPRESS).is_some() {
        return Some((down(&WORDPRESS[b"<h1>".len()..WORDPRESS.len() - 1]), Certain));
    }
    [stderr, page].into_iter().find_map(|text| Some((down(line(text, named(text)?)), Likely)))
}

/// The line around a place in a text.
fn line(text: &[u8], at: usize) -> &[u8] {
    let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
    let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
    // The words themselves must not fall to the cut.
    &text[start.max(at.saturating_sub(EVIDENCE_MAX / 2))..end]
}

/// An error of PHP's own ended the script. Its limits name themselves; they go before the rest.
fn ended(errors: &[(PhpError<'_>, Certainty)]) -> Option<(Cause, Certainty)> {
    let says = |rows: &[(&[u8], &[u8])]| {
        errors.iter().find(|(error, _)| rows.iter().any(|row| is_limit(error.message, row)))
    };
    let (found, certainty) = if let Some((error, certainty)) = says(&MEMORY) {
        (Cause::PhpOutOfMemory { message: evidence(error.message) }, certainty)
    } else if let Some((error, certainty)) = says(&TIME) {
        (Cause::PhpExecutionTimeout { message: evidence(error.message) }, certainty)
    } else {
        let (error, certainty) = errors.first()?;
        (Cause::PhpFatalError { message: evidence(error.message) }, certainty)
    };
    Some((found, *certainty))
}

/// A fatal error that WordPress keeps to itself.
fn critical(status: u16, page: &[u8]) -> Option<(Cause, Certainty)> {
    let shown = status >= 500 && memmem::find(page, WORDPRESS_CRITICAL).is_some();
    shown.then(|| (Cause::PhpFatalError { message: evidence(WORDPRESS_CRITICAL) }, Certain))
}

/// Whether what is known of a fatal error is that there was one.
pub fn is_wordless(message: &str) -> bool {
    message.is_empty() || message.as_bytes() == WORDPRESS_CRITICAL
}

/// Whether a message begins with these words around a number.
fn is_limit(message: &[u8], (before, after): &(&[u8], &[u8])) -> bool {
    message.strip_prefix(*before).is_some_and(|rest| {
        let number = digits(rest);
        number > 0 && rest[number..].starts_with(after)
    })
}

/// The script was not run at all.
fn script(
    status: u16,
    page: Option<&[u8]>,
    stderr: &[u8],
    sent: &Sent<'_>,
) -> Option<(Cause, Certainty)> {
    let logged = |words| memmem::find(stderr, words).is_some();
    let filename = || sent.filename.to_owned();
    let certainty = |logged| if logged { Certain } else { Likely };
    match status {
        404 => {
            let unknown = logged(SCRIPT_UNKNOWN);
            let shown = page.is_some_and(|page| SCRIPT_UNKNOWN_PAGES.contains(&page));
            let root = sent.root.to_owned();
            let stderr = evidence(stderr);
            let cause = Cause::FcgiScriptNotFound { filename: filename(), root, stderr };
            (unknown || shown).then_some((cause, certainty(unknown)))
        }
        403 => {
            let reason = if logged(LIMIT_EXTENSIONS) {
                ForbiddenReason::LimitExtensions
            } else if logged(NOT_OPENED) && logged(NOT_PERMITTED) {
                ForbiddenReason::Permission
            } else if page == Some(SCRIPT_FORBIDDEN_PAGE) {
                ForbiddenReason::Unknown
            } else {
                return None;
            };
            let known = reason != ForbiddenReason::Unknown;
            let stderr = evidence(stderr);
            let cause = Cause::FcgiScriptForbidden { filename: filename(), reason, stderr };
            Some((cause, certainty(known)))
        }
        _ => None,
    }
}

/// The beginning of a program's words, as text.
fn evidence(words: &[u8]) -> String {
    String::from_utf8_lossy(&words[..words.len().min(EVIDENCE_MAX)]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::cause::Code;
    use super::*;

    const PHP: &str = "PHP message: PHP Fatal error:  ";

    fn code(status: u16, body: Option<&[u8]>, stderr: &[u8]) -> Option<(Code, Certainty)> {
        let sent = Sent { filename: "/var/www/x.php", root: Path::new("/var/www") };
        said(status, body, stderr, &sent).map(|(cause, certainty)| (cause.code(), certainty))
    }

    /// What PHP and drivers write for the errors that have a cause of their own.
    const MESSAGES: [(&str, Code); 16] = [
        ("Uncaught Error: Call to undefined function f() in /x.php:2", Code::PhpFatalError),
        ("Class A cannot extend final class B", Code::PhpFatalError),
        ("gone", Code::PhpFatalError),
        // A page's own words of a limit are none of PHP's.
        ("Uncaught Exception: Allowed memory size of 1 bytes exhausted", Code::PhpFatalError),
        ("Maximum execution time of a page", Code::PhpFatalError),
        (
            "Allowed memory size of 33554432 bytes exhausted (tried to allocate 2097152 bytes)",
            Code::PhpOutOfMemory,
        ),
        (
            "Out of memory (allocated 2097152 bytes) (tried to allocate 20480 bytes)",
            Code::PhpOutOfMemory,
        ),
        ("Maximum execution time of 1 second exceeded", Code::PhpExecutionTimeout),
        ("Maximum execution time of 30 seconds exceeded", Code::PhpExecutionTimeout),
        (
            "Uncaught PDOException: SQLSTATE[HY000] [2002] Connection refused in /db.php:5",
            Code::HelperServicesDown,
        ),
        ("mysqli_connect(): (HY000/2002): Connection refused", Code::HelperServicesDown),
        (
            "Uncaught mysqli_sql_exception: Connection refused in /db.php:3",
            Code::HelperServicesDown,
        ),
        (
            "Uncaught mysqli_sql_exception: No such file or directory in /db.php:3",
            Code::HelperServicesDown,
        ),
        (
            "Uncaught PDOException: SQLSTATE[08006] [7] connection to server at \"db\", port 5432 \
             failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP \
             connections? in /db.php:9",
            Code::HelperServicesDown,
        ),
        ("Uncaught RedisException: Connection refused in /c.php:7", Code::HelperServicesDown),
        (
            "Uncaught Predis\\Connection\\ConnectionException: Connection refused \
             [tcp://127.0.0.1:6379] in /c.php:155",
            Code::HelperServicesDown,
        ),
    ];

    /// Each error on STDERR and in the page, in each of PHP's layouts.
    #[test]
    fn errors_are_known_in_every_layout() {
        for (message, cause) in MESSAGES {
            let trace = "\nStack trace:\n#0 /on line 3(4): f('on line 5')\n#1 {main}\n  thrown";
            for message in [message.to_owned(), format!("{message}{trace}")] {
                let certain = Some((cause, Certain));
                for name in ["Fatal error", "Parse error", "Recoverable fatal error"] {
                    let logged = format!("PHP message: PHP {name}:  {message} in /x.php on line 2");
                    assert_eq!(code(500, Some(b""), logged.as_bytes()), certain, "{logged}");
                    assert_eq!(code(503, Some(b"Sorry."), logged.as_bytes()), certain, "{logged}");
                    let html = format!(
                        "<p>begun<br />\n<b>{name}</b>:  {message} in <b>/x.php</b> on line \
                         <b>2</b><br />\n</p>"
                    );
                    let text = format!("begun\n{name}: {message} in /x.php on line 2\n");
                    for shown in [html, text] {
                        assert_eq!(code(200, Some(shown.as_bytes()), b""), certain, "{shown}");
                        assert_eq!(code(500, Some(shown.as_bytes()), b""), certain, "{shown}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_row_of_a_table_has_its_sample() {
        let samples: Vec<&[u8]> = MESSAGES.iter().map(|(text, _)| text.as_bytes()).collect();
        let rows = HELPERS.into_iter().chain(MEMORY.iter().chain(&TIME).map(|row| row.0));
        for words in rows {
            let met = samples.iter().any(|sample| memmem::find(sample, words).is_some());
            assert!(met, "{}", words.escape_ascii());
        }
    }

    /// The script had flushed its output; the error came with the end of the answer.
    #[test]
    fn an_error_that_ends_a_page_is_known_without_the_page() {
        let closing = format!("{PHP}Uncaught Error: no in /x.php:1\n  thrown in /x.php on line 1");
        let likely = Some((Code::PhpFatalError, Likely));
        assert_eq!(code(200, None, closing.as_bytes()), likely);
        assert_eq!(code(200, None, format!("{closing}\n").as_bytes()), likely);
        let after_others = format!("PHP message: PHP Warning:  old in /x.php on line 9; {closing}");
        assert_eq!(code(200, None, after_others.as_bytes()), likely);
        assert_eq!(code(500, None, closing.as_bytes()), Some((Code::PhpFatalError, Certain)));
    }

    /// Words that anybody may write, beside an answer that is well.
    #[test]
    fn words_in_a_sound_answer_are_no_error() {
        let real = format!("{PHP}gone in /x.php on line 2");
        let helper = "PHP message: PHP Warning:  mysqli_real_connect(): (HY000/2002): Connection \
                      refused in /x.php on line 2";
        for (status, body, stderr) in [
            (200, Some("all is well"), real.as_str()),
            (404, Some("Not here."), real.as_str()),
            (200, None, "PHP message: PHP Fatal error:  in name only"),
            (200, None, &format!("{real}; PHP message: and we went on")),
            (200, None, helper),
            (200, Some("all is well"), helper),
            // Pages about PHP.
            (200, Some("<pre>\nFatal error: gone in /x.php on line 2</pre><p>How?"), ""),
            (200, Some("<pre>\nFatal error: gone in /x.php on line 2\n</pre>"), ""),
            (200, Some("It says <b>Fatal error</b>:  x in <b>y</b> on line <b>2</b>"), ""),
            (200, Some("<br />\n<b>Fatal error</b>:  this is feared"), ""),
            (200, Some("<br />\n<b>Warning</b>:  x in <b>/x</b> on line <b>2</b><br />\n"), ""),
            (200, Some("<h1>Error establishing a database connection</h1>"), ""),
            (200, Some("What SQLSTATE[HY000] [2002] means"), ""),
            (200, Some("File not found.\n"), ""),
            (404, Some("File not found."), ""),
            (404, Some("Sorry: File not found.\n"), ""),
            (403, Some("Access denied"), ""),
            (403, Some("Access denied.\n\n"), ""),
            (500, Some(""), ""),
            (500, Some("Sorry."), "PHP message: PHP Warning:  x in /x.php on line 2"),
            (200, None, ""),
        ] {
            let found = code(status, body.map(str::as_bytes), stderr.as_bytes());
            assert_eq!(found, None, "{status} {body:?} {stderr:?}");
        }
    }

    #[test]
    fn a_helper_that_is_down_is_known_in_a_failed_answer() {
        let page = "<div class=\"wp-die-message\"><h1>Error establishing a database \
                    connection</h1></div>";
        let json = "{\"message\":\"<h1>Error establishing a database connection<\\/h1>\"}";
        let warned = "PHP message: PHP Warning:  mysqli_real_connect(): (HY000/2002): No such \
                      file or directory in /x.php on line 2";
        let long = "x".repeat(3 * EVIDENCE_MAX);
        let shown = format!("<h1>{long}SQLSTATE[HY000] [2002] Connection refused{long}</h1>");
        for (body, stderr, certainty) in [
            (page, "", Certain),
            (json, "", Certain),
            ("Sorry.", warned, Likely),
            (shown.as_str(), "", Likely),
        ] {
            let found = code(500, Some(body.as_bytes()), stderr.as_bytes());
            assert_eq!(found, Some((Code::HelperServicesDown, certainty)), "{body}");
        }
        let sent = Sent { filename: "", root: Path::new("") };
        let Some((Cause::HelperServicesDown { message }, _)) =
            said(500, Some(shown.as_bytes()), b"", &sent)
        else {
            panic!("not named");
        };
        assert!(message.contains("SQLSTATE[HY000] [2002]"), "{message}");
        assert!(message.len() <= EVIDENCE_MAX);
    }

    /// The first cause in this order, whatever was written first.
    #[test]
    fn what_led_to_the_rest_goes_first() {
        let errors = [
            ("SQLSTATE[HY000] [2002] Connection refused", Code::HelperServicesDown),
            ("Allowed memory size of 1 bytes exhausted", Code::PhpOutOfMemory),
            ("Maximum execution time of 1 second exceeded", Code::PhpExecutionTimeout),
            ("gone", Code::PhpFatalError),
        ];
        for (at, (_, cause)) in errors.iter().enumerate() {
            let logged = errors[at..].iter().rev();
            let logged = logged.map(|(error, _)| format!("{PHP}{error} in /x on line 1"));
            let stderr = logged.collect::<Vec<_>>().join("; ");
            assert_eq!(
                code(500, Some(b""), stderr.as_bytes()),
                Some((*cause, Certain)),
                "{stderr}"
            );
        }
        let both = format!("{PHP}gone in /x on line 1; Primary script unknown");
        assert_eq!(code(404, Some(b""), both.as_bytes()).unwrap().0, Code::FcgiScriptNotFound);
    }

    #[test]
    fn a_script_that_was_not_run_is_named() {
        let missing = |certainty| Some((Code::FcgiScriptNotFound, certainty));
        let page: &[u8] = b"File not found.\n";
        assert_eq!(code(404, Some(page), b"Primary script unknown"), missing(Certain));
        assert_eq!(code(404, Some(b""), b"Primary script unknown"), missing(Certain));
        assert_eq!(code(404, Some(page), b""), missing(Likely));
        assert_eq!(code(404, Some(b"No input file specified.\n"), b""), missing(Likely));
        let sent = Sent { filename: "/srv/x.jpg/y.php", root: Path::new("/srv") };
        let extension = "Access to the script '/srv/x.jpg' has been denied (see \
                         security.limit_extensions)";
        let unreadable = "PHP message: PHP Warning:  PHP Request Startup: Failed to open stream: \
                          Permission denied in Unknown on line 0; Unable to open primary script: \
                          /srv/x.php (Permission denied)";
        for (stderr, expected, certainty) in [
            (extension, ForbiddenReason::LimitExtensions, Certain),
            (unreadable, ForbiddenReason::Permission, Certain),
            ("", ForbiddenReason::Unknown, Likely),
        ] {
            let found = said(403, Some(SCRIPT_FORBIDDEN_PAGE), stderr.as_bytes(), &sent);
            let filename = sent.filename.to_owned();
            let stderr = stderr.to_owned();
            let cause = Cause::FcgiScriptForbidden { filename, reason: expected, stderr };
            assert_eq!(found, Some((cause, certainty)));
        }
    }

    /// Only the beginning of a page is read, and an error may be cut anywhere.
    #[test]
    fn long_and_cut_answers_are_bounded() {
        let error = "<br />\n<b>Fatal error</b>:  x in <b>/x.php</b> on line <b>2</b><br />\n";
        let mut page = "y".repeat(BODY_MAX - error.len());
        page.push_str(error);
        assert!(code(200, Some(page.as_bytes()), b"").is_some());
        page.insert_str(0, error.trim_end_matches("</b><br />\n"));
        assert_eq!(code(200, Some(page.as_bytes()), b""), None);
        let many = "<br />\n<b>Fatal error</b>:  ".repeat(4000);
        assert_eq!(code(200, Some(many.as_bytes()), many.as_bytes()), None);
        let logged = format!("{PHP}\u{fffd}x in /x.php on line 2");
        for cut in 0..=error.len() {
            let _ = code(200, Some(&error.as_bytes()[..cut]), b"");
        }
        for cut in 0..=logged.len() {
            let _ = code(200, None, &logged.as_bytes()[..cut]);
            let _ = code(500, Some(b""), &logged.as_bytes()[..cut]);
        }
    }
}
