//! A line of an error log, taken apart: which program's it is, its message, and whom it names.
//!
//! nginx puts what it knows of the request behind its message, Apache before it; PHP's own words
//! arrive inside of either and of PHP-FPM's. Pure.

use std::borrow::Cow;

use super::time::{Clock, stamp};

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Program {
    #[strum(serialize = "nginx")]
    Nginx,
    #[strum(serialize = "Apache")]
    Apache,
    #[strum(serialize = "PHP-FPM")]
    Fpm,
    #[strum(serialize = "PHP")]
    Php,
    #[strum(serialize = "systemd")]
    Systemd,
    #[strum(serialize = "kernel")]
    Kernel,
}

/// A line's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape<'a> {
    pub time: Option<jiff::Timestamp>,
    /// `None` where only a continuation of another line was given, or one of an unknown program.
    pub program: Option<Program>,
    pub message: Cow<'a, str>,
    /// The backend that it names, as it stands there.
    pub upstream: Option<&'a str>,
}

impl Program {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Takes a line apart.
pub fn shape<'a>(line: &'a str, clock: &Clock<'_>) -> Shape<'a> {
    let line = line.trim_end();
    let stamp = stamp(line, clock);
    let (time, rest) = stamp.map_or((None, line), |stamp| (Some(stamp.time), stamp.rest));
    let bracket = line.starts_with('[');
    let of = |program, message: &'a str| Shape {
        time,
        program: Some(program),
        message: message.into(),
        upstream: None,
    };
    if time.is_some() && bracket && rest.starts_with('[') && !rest.starts_with("[pool ") {
        return apache(of(Program::Apache, groups(rest)), groups(rest));
    }
    if time.is_some() && !bracket && rest.starts_with('[') {
        return nginx(of(Program::Nginx, rest), rest);
    }
    if let Some(message) = fpm(rest) {
        return inner(of(Program::Fpm, message), message);
    }
    if let Some(message) = php(rest) {
        return of(Program::Php, message);
    }
    let unknown = Shape { time, program: None, message: rest.into(), upstream: None };
    // As a journal and syslog have it: `… host php-fpm8.2[7]: message`.
    match identified(rest) {
        Some(("systemd", message)) => of(Program::Systemd, message),
        Some(("kernel", message)) => of(Program::Kernel, after_uptime(message)),
        // What it says of a start before its log is open; `apachectl` starts it for systemd.
        Some(("apachectl" | "apache2" | "httpd", message)) if is_numbered(message) => {
            apache(of(Program::Apache, message), message)
        }
        _ if time.is_none() && after_uptime(line) != line => {
            of(Program::Kernel, after_uptime(line))
        }
        // The same before nginx has read where its log is.
        Some(("nginx", message)) => match emergency(message) {
            Some(message) => of(Program::Nginx, message),
            None => unknown,
        },
        Some((_, message)) => {
            // PHP-FPM puts its own stamp also before what it says to a journal.
            let stamped = self::stamp(message, clock).filter(|_| message.starts_with('['));
            let message = stamped.map_or(message, |stamp| stamp.rest);
            match (fpm(message), php(message)) {
                (Some(message), _) => inner(of(Program::Fpm, message), message),
                (None, Some(message)) => of(Program::Php, message),
                (None, None) => unknown,
            }
        }
        None => unknown,
    }
}

/// `[error] 7#7: *45 message, client: …, server: …, upstream: "…"`.
fn nginx<'a>(shape: Shape<'a>, rest: &'a str) -> Shape<'a> {
    let message = rest.split_once(": ").map_or(rest, |(_, message)| message);
    let numbered = message.strip_prefix('*').and_then(|message| message.split_once(' '));
    let message = numbered.map_or(message, |(_, message)| message);
    let upstream = message.rsplit_once(", upstream: \"").map(|(_, upstream)| upstream);
    let upstream = upstream.and_then(|upstream| upstream.split('"').next());
    let message = message.split(", client: ").next().unwrap_or(message);
    inner(Shape { message: message.into(), upstream, ..shape }, message)
}

/// `(111)Connection refused: [client 192.0.2.1:5] message, referer: …`: the error's number stands
/// before the last group (Apache's ErrorLogFormat).
fn apache<'a>(shape: Shape<'a>, rest: &'a str) -> Shape<'a> {
    const BEFORE: [&str; 4] = [
        " attempt to connect to Unix domain socket ",
        " attempt to connect to ",
        " backend: ",
        " remote server ",
    ];
    let rest = rest.split(", referer: ").next().unwrap_or(rest);
    let named = BEFORE.iter().find_map(|before| rest.split_once(before));
    let upstream = named.and_then(|(_, named)| named.split([' ', ',']).next());
    let shape = Shape { upstream, ..shape };
    match rest.split_once(": [client ").filter(|_| rest.starts_with('(')) {
        Some((error, client)) => {
            let said = client.split_once("] ").map_or(client, |(_, said)| said);
            Shape { message: format!("{error}: {said}").into(), ..shape }
        }
        None => inner(Shape { message: rest.into(), ..shape }, rest),
    }
}

/// `nginx: [emerg] …`, as it is on its standard error.
fn emergency(message: &str) -> Option<&str> {
    message.strip_prefix("nginx: ").unwrap_or(message).strip_prefix("[emerg] ")
}

/// `AH00526: …`, or an error's number and words before that.
fn is_numbered(message: &str) -> bool {
    let numbered = |text: &str| {
        let digits = text.strip_prefix("AH").and_then(|rest| rest.split_once(": "));
        digits.is_some_and(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let after_error = message.split_once(": ").filter(|_| message.starts_with('('));
    numbered(message) || after_error.is_some_and(|(_, rest)| numbered(rest))
}

/// What stands behind groups in brackets.
fn groups(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        rest = after;
    }
    rest
}

/// `WARNING: [pool www] child 7 …`.
fn fpm(text: &str) -> Option<&str> {
    const LEVELS: [&str; 5] = ["ALERT: ", "ERROR: ", "WARNING: ", "NOTICE: ", "DEBUG: "];
    if text.starts_with("[pool ") || text.starts_with("script_filename = ") {
        return Some(text);
    }
    LEVELS.iter().find_map(|level| text.strip_prefix(level))
}

fn php(text: &str) -> Option<&str> {
    const BEGINNINGS: [&str; 5] =
        ["PHP Fatal ", "PHP Parse ", "PHP Warning: ", "PHP Recoverable ", "WordPress database "];
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)).then_some(text)
}

/// PHP's words inside of another program's, which begins with its own: what stands further inside
/// may be a visitor's.
fn inner<'a>(shape: Shape<'a>, message: &'a str) -> Shape<'a> {
    const BEFORE: [&str; 2] =
        ["FastCGI sent in stderr: \"PHP message: ", "AH01071: Got error 'PHP message: "];
    let said = match BEFORE.iter().find_map(|before| message.strip_prefix(before)) {
        Some(said) => php(said),
        None => php(of_child(message).unwrap_or(message)),
    };
    match said {
        Some(message) => Shape { program: Some(Program::Php), message: message.into(), ..shape },
        None => shape,
    }
}

/// `[pool www] child 7 said into stderr: "NOTICE: PHP message: PHP …`.
fn of_child(message: &str) -> Option<&str> {
    let (_, child) = message.strip_prefix("[pool ")?.split_once("] child ")?;
    let said = child.trim_start_matches(|c: char| c.is_ascii_digit());
    said.strip_prefix(" said into stderr: \"NOTICE: PHP message: ")
}

/// `Nov 22 01:02:03 host systemd[1]: message` and `systemd[1]: message`.
fn identified(text: &str) -> Option<(&str, &str)> {
    let (before, message) = text.split_once(": ")?;
    let name = before.rsplit(' ').next()?;
    let name = name.split('[').next()?;
    let known = before.split(' ').count() <= 5 && !name.is_empty();
    known.then_some((name, message))
}

/// `[12345.678901] message` of the kernel's ring.
fn after_uptime(text: &str) -> &str {
    let inside = text.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match inside {
        Some((uptime, rest)) if uptime.trim().parse::<f64>().is_ok() => rest,
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_program_are_taken_apart() {
        let clock = Clock { zone: jiff::tz::TimeZone::UTC, named: &|_| None };
        for (line, program, message, upstream) in [
            (
                "2026/11/22 01:02:03 [error] 7#7: *45 no live upstreams while connecting to \
                 upstream, client: 192.0.2.7, server: , request: \"GET / HTTP/1.1\", upstream: \
                 \"http://shop/\", host: \"a\"",
                Some(Program::Nginx),
                "no live upstreams while connecting to upstream",
                Some("http://shop/"),
            ),
            (
                "2026/11/22 01:02:03 [error] 7#7: *45 FastCGI sent in stderr: \"PHP message: PHP \
                 Fatal error:  x\" while reading response header from upstream, client: 192.0.2.7",
                Some(Program::Php),
                "PHP Fatal error:  x\" while reading response header from upstream",
                None,
            ),
            (
                "[Sun Nov 22 01:02:03.4 2026] [proxy_http:error] [pid 7:tid 8] (104)Connection \
                 reset by peer: [client 192.0.2.7:5] AH01102: error reading status line from \
                 remote server 127.0.0.1:8080, referer: http://shop.example/",
                Some(Program::Apache),
                "(104)Connection reset by peer: AH01102: error reading status line from remote \
                 server 127.0.0.1:8080",
                Some("127.0.0.1:8080"),
            ),
            (
                "[Sun Nov 22 01:02:03.4 2026] [php:error] [pid 7] [client 192.0.2.7:5] PHP Fatal \
                 error:  x",
                Some(Program::Php),
                "PHP Fatal error:  x",
                None,
            ),
            (
                "[22-Nov-2026 01:02:03] WARNING: [pool www] child 7 said into stderr: \"NOTICE: \
                 PHP message: PHP Warning:  x\"",
                Some(Program::Php),
                "PHP Warning:  x\"",
                None,
            ),
            ("[22-Nov-2026 01:02:03] NOTICE: x: y", Some(Program::Fpm), "x: y", None),
            (
                "Nov 22 01:02:03 shop php-fpm8.2[7]: [22-Nov-2026 01:02:03] NOTICE: x",
                Some(Program::Fpm),
                "x",
                None,
            ),
            ("php-fpm8.2: [22-Nov-2026 01:02:03] ERROR: x", Some(Program::Fpm), "x", None),
            ("shop apachectl[7]: AH00526: x", Some(Program::Apache), "AH00526: x", None),
            ("apache2: (98)y: AH00072: x", Some(Program::Apache), "(98)y: AH00072: x", None),
            ("apachectl: Action 'start' failed.", None, "apachectl: Action 'start' failed.", None),
            ("app: AH00526: x", None, "app: AH00526: x", None),
            ("nginx: nginx: [emerg] x in y:7", Some(Program::Nginx), "x in y:7", None),
            ("nginx: [emerg] x: y", Some(Program::Nginx), "x: y", None),
            ("nginx: x", None, "nginx: x", None),
            ("Nov 22 01:02:03 shop php-fpm8.2[7]: NOTICE: x", Some(Program::Fpm), "x", None),
            ("systemd[1]: Started x.service", Some(Program::Systemd), "Started x.service", None),
            ("[ 12.5] Out of memory", Some(Program::Kernel), "Out of memory", None),
            ("kernel: [12.5] Out of memory", Some(Program::Kernel), "Out of memory", None),
            ("something else: entirely", None, "something else: entirely", None),
            ("", None, "", None),
        ] {
            let shape = shape(line, &clock);
            assert_eq!((shape.program, shape.upstream), (program, upstream), "{line}");
            assert_eq!(shape.message, message, "{line}");
        }
    }

    #[test]
    fn every_beginning_of_a_line_is_survived() {
        let clock = Clock { zone: jiff::tz::TimeZone::UTC, named: &|_| None };
        for line in [
            "[Sun Nov 22 01:02:03 2026] [a:b] [pid 7] (1)é: [client é] AH1: é, referer: é",
            "2026/11/22 01:02:03 [error] 7#7: *45 é, client: é, upstream: \"é\"",
            "Nov 22 01:02:03 é kernel: [ 1.2] é",
        ] {
            for (end, _) in line.char_indices() {
                shape(&line[..end], &clock);
                shape(&line[end..], &clock);
            }
        }
    }
}
