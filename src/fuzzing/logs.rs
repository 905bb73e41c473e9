//! What must hold of the readers of other programs' logs: they survive any line, a visitor's words
//! inside of one say nothing, and what is secret in it is never shown.

use jiff::tz::TimeZone;

use crate::diagnose::is_hidden;
use crate::diagnose::log::{self, Clock, Program, Says};

/// Characters of a masked line with the mark behind it, each spelt out where it is hidden.
const SHOWN_MAX: usize = 301 * "\\u{10ffff}".len();

/// Lines of each program; `@` is where a visitor's words stand.
const HEARD: [&str; 7] = [
    "2026/11/22 01:02:03 [error] 7#7: *45 open() \"/srv/@\" failed (2: No such file or directory), \
     client: 192.0.2.7, server: a, request: \"GET /@ HTTP/1.1\", host: \"a\"",
    "2026/11/22 01:02:03 [error] 7#7: *45 access forbidden by rule, client: 192.0.2.7, server: a, \
     request: \"GET /@ HTTP/1.1\", host: \"@\", referrer: \"@\"",
    "[Sun Nov 22 01:02:03.456789 2026] [core:info] [pid 7:tid 140] [client 192.0.2.7:50312] \
     AH00128: File does not exist: /srv/@, referer: @",
    "[Sun Nov 22 01:02:03.456789 2026] [authz_core:error] [pid 7:tid 140] [client 192.0.2.7:50312] \
     AH01630: client denied by server configuration: /srv/@",
    "[22-Nov-2026 01:02:03] WARNING: [pool www] child 7, script '/srv/a.php' (request: \"GET /@\") \
     said something",
    "[22-Nov-2026 01:02:03] WARNING: [pool www] child 7 said into stderr: \"NOTICE: user @\"",
    "Nov 22 01:02:03 shop sshd[7]: Invalid user @ from 192.0.2.7",
];

/// A secret, and the words by which it is known as one.
const SECRET: &str = "Canary4711Secret";
const SECRETS: [&str; 9] = [
    "password=@",
    "db_password: '@'",
    "{\"api_key\":\"@\"}",
    "&token=@&",
    " Authorization: Basic @",
    " Bearer @",
    "mysql://shop:@@db.internal/",
    " /cart?id=@ ",
    " Cookie: PHPSESSID=@",
];

/// One line, as it stands in a log and as a visitor's words inside of one.
pub fn log_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let (program, says) = read(line);
        assert!(says.is_none() || program.is_some(), "{line}: {says:?} of nobody");
        let _ = log::nearest_sample(line);
    }
    // Logs are read by lines: what a program lets a visitor break into two is two.
    let said = text.lines().next().unwrap_or_default();
    for line in HEARD {
        let quiet = read(&line.replace('@', "x"));
        assert_eq!(quiet.1, None);
        let line = line.replace('@', said);
        assert_eq!(read(&line).1, None, "{line}");
    }
}

/// Takes it apart, as whoever explains it does.
fn read(line: &str) -> (Option<Program>, Option<Says>) {
    let named = |name: &str| (name == "Asia/Tokyo").then_some(TimeZone::UTC);
    let clock = Clock { zone: TimeZone::UTC, named: &named };
    let shape = log::shape(line, &clock);
    if let Some(upstream) = shape.upstream {
        assert!(line.contains(upstream), "{upstream} came from nowhere");
    }
    assert!(shape.message.len() <= line.len());
    let says = shape.program.and_then(|program| log::says(program, &shape.message));
    if let Some(Says::Of(sign)) = says {
        let _ = (log::root_of(sign), log::fix_of(sign));
    }
    (shape.program, says)
}

/// A masked line is bounded and printable, and a secret in any company is not in it: what stands
/// before it and behind it is the bytes', the first of which says how it is written.
pub fn masking(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    is_bounded(&log::masked(&text));
    let (before, after) = text.split_once('\u{1}').unwrap_or((&text, ""));
    let written = SECRETS[usize::from(kind) % SECRETS.len()];
    let secret = match written.split_once('@') {
        Some((name, rest)) => format!("{name}{SECRET}{rest}"),
        None => unreachable!("each has a place for it"),
    };
    // A quotation mark that somebody has left open ends where the secret's own begins.
    let quoted = before.contains(['\'', '"']) && written.contains(['\'', '"']);
    if quoted || text.contains(SECRET) {
        return;
    }
    let shown = log::masked(&format!("{before}{secret}{after}"));
    is_bounded(&shown);
    assert!(!shown.contains(SECRET), "{shown}");
}

fn is_bounded(shown: &str) {
    assert!(shown.len() <= SHOWN_MAX, "{} bytes", shown.len());
    assert!(!shown.chars().any(is_hidden), "{shown:?}");
}

/// A line of `journalctl -o json`: who wrote it is journald's word alone.
pub fn journal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let found = log::entry(line);
        assert_eq!(found, log::entry(line));
        let Some(found) = found else { continue };
        let fields: serde_json::Value = serde_json::from_str(line).expect("an entry is JSON");
        let Some(mut fields) = fields.as_object().cloned() else { panic!("{line}: no object") };
        fields.retain(|name, _| !name.starts_with("_T") && !name.starts_with("_P"));
        let untold = log::entry(&serde_json::Value::Object(fields).to_string());
        let untold = untold.expect("what remains is an entry");
        assert_eq!(untold.program, None, "{line}");
        assert!(untold.message.ends_with(&found.message), "{line}");
    }
    // What is no UTF-8 stands there as a list of its bytes.
    let said = serde_json::json!({
        "MESSAGE": bytes, "__REALTIME_TIMESTAMP": "5", "_TRANSPORT": "kernel", "_PID": "7",
    });
    let entry = log::entry(&said.to_string()).expect("a whole one");
    assert_eq!((entry.program, &*entry.message), (Some(Program::Kernel), &*text));
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// Names, and what stands between a name and its value.
    const COMPANY: &[&str] = &[
        "token=",
        "password",
        "db_pass",
        "secret",
        "api-key",
        "nonce",
        "otp",
        "_auth",
        "pwd",
        ":",
        "=",
        "=>",
        " ",
        "\t",
        "@",
        "://",
        "redis://",
        "/",
        "?",
        "?a=",
        "&",
        ";",
        ",",
        "<",
        ">",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "Bearer ",
        "Basic ",
        "digest ",
        "Cookie:",
        "Authorization: ",
        "set-cookie=",
        "x-auth-token",
        "yes",
        "no",
        "#0 ",
        " for query ",
        "\u{e9}",
        "\u{fffd}",
        "a",
        "4111",
        "-",
        "_",
        ".",
        "sess_",
        "\0",
    ];

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(20_000)
        })]

        #[test]
        fn a_secret_is_masked_in_any_company(
            kind in any::<u8>(),
            before in vec(select(COMPANY), 0..12),
            after in vec(select(COMPANY), 0..5),
        ) {
            let line = format!("{}\u{1}{}", before.concat(), after.concat());
            super::masking(&[&[kind], line.as_bytes()].concat());
        }
    }
}
