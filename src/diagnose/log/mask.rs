//! A line of a log without what is nobody's business: passwords, tokens, cookies, query strings,
//! addresses of mail, numbers of cards.
//!
//! What looks like one is taken for one: to show too little costs a look into the log itself. The
//! result is one printable line of a bounded length. Pure.

use crate::diagnose::print::is_hidden;

/// Characters of a line that are shown: those of its beginning, which name the program's trouble.
const CHARS_MAX: usize = 300;
/// Characters that are looked at; the rest could not be shown.
const LOOKED_AT_MAX: usize = 1024;
/// What stands in a secret's place.
const MASK: &str = "***";

/// Parts of names whose values are secrets, in lower case.
const NAMES: [&str; 21] = [
    "db_pass",
    "jsessionid",
    "otp",
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "private_key",
    "access_key",
    "signature",
    "credential",
    "sessid",
    "session_id",
    "nonce",
    "_auth",
];
/// Names whose values go on to the line's end: fields of HTTP.
const FIELDS: [&str; 4] = ["authorization", "set-cookie", "cookie", "x-auth-token"];
/// Words behind which a secret stands.
const SCHEMES: [&str; 3] = ["bearer ", "basic ", "digest "];
/// What MySQL says in a password's place: "(using password: YES)".
const HARMLESS: [&str; 2] = ["yes", "no"];
/// Behind these words stands a statement or a call with its values.
const QUOTING: [&str; 13] = [
    " for query ",
    "->__construct(",
    " in query: ",
    "#0 ",
    "#1 ",
    "#2 ",
    "#3 ",
    "#4 ",
    "#5 ",
    "#6 ",
    "#7 ",
    "#8 ",
    "#9 ",
];

/// The shortest run of letters and digits that may be a random key, and of hexadecimal digits that
/// may be a digest; addresses of the kernel have 16.
const KEY_MIN: usize = 20;
const HEX_MIN: usize = 32;
/// How often a random key changes between small letters, capitals and digits, and its digits; long
/// names of classes and files have fewer.
const KEY_CHANGES_MIN: usize = 6;
const KEY_DIGITS_MIN: usize = 2;
/// Digits of a card (ISO/IEC 7812-1).
const CARD: std::ops::RangeInclusive<usize> = 13..=19;

/// A line as it may be shown.
pub fn masked(line: &str) -> String {
    let mut text: String = line.chars().take(LOOKED_AT_MAX).collect();
    // Schemes first: one that stands as a value would be masked in its secret's place.
    for step in [user_infos, schemes, fields, values, queries, quoted, mails, cards, keys] {
        text = step(&text);
    }
    let mut shown = String::with_capacity(text.len().min(CHARS_MAX * 4));
    for (i, c) in text.chars().enumerate() {
        if i == CHARS_MAX {
            shown.push('…');
            break;
        }
        if is_hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// `scheme://user:password@host`.
fn user_infos(text: &str) -> String {
    replace(text, |rest| {
        let authority = rest.strip_prefix("://")?;
        let end = authority.find(|c: char| ends_word(c) || c == '/').unwrap_or(authority.len());
        let at = authority[..end].rfind('@')?;
        Some((format!("://{MASK}"), "://".len() + at))
    })
}

/// `Cookie: a=1; b=2`, to the end of the quotes or of the line.
fn fields(text: &str) -> String {
    named(text, &FIELDS, |value| {
        let line = value.find('\n').unwrap_or(value.len());
        // One that stands in quotation marks ends with them; those inside of it come in pairs.
        let is_odd = |mark: &char| value[..line].matches(*mark).count() % 2 == 1;
        let odd = ['"', '\''].into_iter().find(is_odd);
        let end = odd.and_then(|mark| value[..line].rfind(mark)).unwrap_or(line);
        // One inside of a word, as in O'Brien, ends nothing.
        let after = value[end..line].chars().nth(1);
        match after.is_none_or(|c| matches!(c, ' ' | ',' | ')' | ']' | '}')) {
            true => end,
            false => line,
        }
    })
}

/// `password=…`, `"token": "…"`, `secret => '…'`.
fn values(text: &str) -> String {
    named(text, &NAMES, |value| {
        let end = value.find(|c: char| ends_word(c) || matches!(c, '&' | ';' | ','));
        let end = end.unwrap_or(value.len());
        let harmless = HARMLESS.iter().any(|word| value[..end].eq_ignore_ascii_case(word));
        if harmless { 0 } else { end }
    })
}

/// Masks the value behind a name and `=`, `:` or `=>`; `length` says how long it is.
fn named(text: &str, names: &[&str], length: impl Fn(&str) -> usize) -> String {
    replace(text, |rest| {
        let name = names.iter().find(|name| starts(rest, name))?;
        let after = rest[name.len()..].trim_start_matches(is_name).trim_start_matches(['"', '\'']);
        let after = after.trim_start_matches([' ', ']']);
        let value = after.strip_prefix("=>").or_else(|| after.strip_prefix(['=', ':']))?;
        let value = value.trim_start_matches(' ');
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, long) = match quote {
            Some(quote) => (&value[1..], value[1..].find(quote).unwrap_or(value.len() - 1)),
            None => (value, with_inner(value, length(value), &length)),
        };
        let before = rest.len() - value.len();
        (long > 0).then(|| (format!("{}{MASK}", &rest[..before]), before + long))
    })
}

/// The length of a value with what belongs to it where it is the name of a secret itself, or ends
/// with one: `token=xdb_password: '…'`.
fn with_inner(value: &str, mut long: usize, length: impl Fn(&str) -> usize) -> usize {
    let is_named = |long: usize| {
        let value = value[..long].to_ascii_lowercase();
        NAMES.iter().any(|name| value.contains(name))
    };
    while is_named(long) {
        let rest = value[long..].trim_start_matches(' ');
        let next = rest.trim_start_matches(['=', ':', '>', ' ']);
        let ends = next.len() == rest.len() && !value[..long].ends_with(['=', ':']);
        // What is found by itself is left to be found.
        if ends || SCHEMES.iter().chain(&FIELDS).any(|word| starts(next, word)) {
            break;
        }
        let begin = value.len() - next.len();
        let end = begin
            + match next.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                Some(quote) => 1 + next[1..].find(quote).unwrap_or(next.len() - 1),
                None => length(next),
            };
        if end == long {
            break;
        }
        long = end;
    }
    long
}

/// `Bearer …`.
fn schemes(text: &str) -> String {
    replace(text, |rest| {
        let scheme = SCHEMES.iter().find(|scheme| starts(rest, scheme))?;
        let value = &rest[scheme.len()..];
        let word = |value: &str| value.find(ends_word).unwrap_or(value.len());
        let long = with_inner(value, word(value), word);
        (long >= 8).then(|| (format!("{}{MASK}", &rest[..scheme.len()]), scheme.len() + long))
    })
}

/// What stands behind the `?` of a target.
fn queries(text: &str) -> String {
    replace(text, |rest| {
        let query = rest.strip_prefix('?')?;
        let end = query.find(ends_word).unwrap_or(query.len());
        query[..end].contains('=').then(|| (format!("?{MASK}"), 1 + end))
    })
}

/// The values in a statement or in the arguments of a call.
fn quoted(text: &str) -> String {
    let Some(from) = QUOTING.iter().filter_map(|words| text.find(words)).min() else {
        return text.to_owned();
    };
    let (before, quoting) = text.split_at(from);
    let mut shown = before.to_owned();
    for (i, part) in quoting.split('\'').enumerate() {
        match i % 2 {
            0 => shown.push_str(part),
            _ => shown.push_str(&format!("'{MASK}'")),
        }
    }
    shown
}

fn mails(text: &str) -> String {
    words(
        text,
        |c| c.is_alphanumeric() || "@.!#$%&+-_~".contains(c),
        |word| {
            let word = word.trim_end_matches('.');
            let (local, domain) = word.rsplit_once('@')?;
            let known = domain.split_once('.').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
            (known && !local.is_empty()).then_some(word.len())
        },
    )
}

/// Numbers with the check digit of a card (Luhn), with blanks or dashes between their groups.
fn cards(text: &str) -> String {
    words(
        text,
        |c| c.is_ascii_digit() || matches!(c, ' ' | '-'),
        |word| {
            let word = word.trim_end_matches([' ', '-']);
            let digits: Vec<u32> = word.chars().filter_map(|c| c.to_digit(10)).collect();
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            (is_number && CARD.contains(&digits.len()) && is_card(&digits)).then_some(word.len())
        },
    )
}

fn is_card(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| match i % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

/// Digests and random keys.
fn keys(text: &str) -> String {
    words(
        text,
        |c| c.is_ascii_alphanumeric() || "+=_-".contains(c),
        |word| {
            let hex = word.len() >= HEX_MIN && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            let random = word.len() >= KEY_MIN && digits >= KEY_DIGITS_MIN;
            (hex || random && changes(word) >= KEY_CHANGES_MIN || is_session(word))
                .then_some(word.len())
        },
    )
}

/// A file of PHP's sessions has the session's name.
fn is_session(word: &str) -> bool {
    word.strip_prefix("sess_").is_some_and(|id| id.len() >= KEY_MIN)
}

fn changes(word: &str) -> usize {
    let kind = |byte: &u8| match byte {
        b'0'..=b'9' => Some(0),
        b'a'..=b'z' => Some(1),
        b'A'..=b'Z' => Some(2),
        _ => None,
    };
    let pairs = word.as_bytes().windows(2).map(|pair| (kind(&pair[0]), kind(&pair[1])));
    pairs.filter(|(a, b)| a.is_some() && b.is_some() && a != b).count()
}

/// Puts `MASK` in the place of what `length` says at the beginning of each word of these
/// characters; a word begins with a letter or a digit.
fn words(text: &str, of: impl Fn(char) -> bool, length: impl Fn(&str) -> Option<usize>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let long = match c.is_alphanumeric() {
            true => rest.find(|c| !of(c)).unwrap_or(rest.len()),
            false => 0,
        };
        let step = match length(&rest[..long]) {
            Some(masked) if long > 0 => {
                shown.push_str(MASK);
                masked
            }
            Some(_) | None => {
                let step = long.max(c.len_utf8());
                shown.push_str(&rest[..step]);
                step
            }
        };
        rest = &rest[step..];
    }
    shown
}

/// Asks `what` at each character what is to stand in place of how many bytes.
fn replace(text: &str, what: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let step = match what(rest) {
            Some((other, long)) => {
                shown.push_str(&other);
                long
            }
            None => {
                shown.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[step..];
    }
    shown
}

fn starts(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|begun| begun.eq_ignore_ascii_case(word))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | ']' | '}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        for (line, shown) in [
            ("mysql://shop:s3cret@db.internal:3306/shop", "mysql://***@db.internal:3306/shop"),
            ("redis://:p@ss@cache/0 refused", "redis://***@cache/0 refused"),
            ("db_password=hunter2, host=db", "db_password=***, host=db"),
            ("{\"api_key\": \"abc def\", \"id\": 7}", "{\"api_key\": \"***\", \"id\": 7}"),
            ("'DB_PASSWORD' => 'tiger'", "'DB_PASSWORD' => '***'"),
            ("token=xdb_password: 'tiger', id=7", "token=***', id=7"),
            ("secret => api_key => tiger on x", "secret => *** on x"),
            ("token=xdb_password=>'tiger'", "token=***'"),
            ("token=YWJjZA== from 192.0.2.7", "token=*** from 192.0.2.7"),
            ("$config[\"secret\"] = 'x y'", "$config[\"secret\"] = '***'"),
            ("Authorization: Basic c2hvcDpzM2NyZXQ=", "Authorization: ***"),
            ("got \"Cookie: a=1; b=2\" from", "got \"Cookie: ***\" from"),
            ("Cookie: theme='dark'; id=abc", "Cookie: ***"),
            ("with Bearer abcdefgh.ijkl now", "with Bearer *** now"),
            ("a wrong digest password: 'tiger'", "a wrong digest ***'"),
            ("api_token: Bearer abcdefgh.ijkl", "api_token: *** ***"),
            ("GET /cart?token=1&mail=x HTTP/1.1", "GET /cart?*** HTTP/1.1"),
            ("referer: https://shop.example/?s=a%20b", "referer: https://shop.example/?***"),
            ("user anna.b+x@mail.example wrote.", "user *** wrote."),
            ("Access denied for user 'wp'@'localhost' (using password: YES)", ""),
            ("card 4111 1111 1111 1111 declined", "card *** declined"),
            ("card 4111111111111111", "card ***"),
            ("order 4111111111111112", ""),
            ("id d41d8cd98f00b204e9800998ecf8427e", "id ***"),
            ("jwt eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.x", "jwt ***.x"),
            (
                "open(/var/lib/php/sessions/sess_k3jm1ab2cd3ef4gh5ij6, O_RDWR)",
                "open(/var/lib/php/sessions/***, O_RDWR)",
            ),
            (
                "WordPress database error x for query SELECT * FROM u WHERE m = 'a@b.c'",
                "WordPress database error x for query SELECT * FROM u WHERE m = '***'",
            ),
            (
                "#0 /srv/db.php(3): mysqli_connect('db', 'root', 'tiger')",
                "#0 /srv/db.php(3): mysqli_connect('***', '***', '***')",
            ),
            // What says where the trouble is.
            ("php-fpm8.2[77]: segfault at 0 ip 000055d0c8a3b1f4 sp 00007ffd5a1b2c30 error 4", ""),
            ("in /var/www/wp-includes/class-wp-theme-json-resolver-6-1.php on line 3", ""),
            ("Class AbstractHttpClientFactoryProviderInterface2 not found", ""),
            ("[pool www] child 4711 exited on signal 11 (SIGSEGV) after 12.345678 seconds", ""),
            ("syntax error, unexpected '?' in x", ""),
            ("Die Größe überschreitet das Limit 🙂", ""),
        ] {
            let shown = if shown.is_empty() { line } else { shown };
            assert_eq!(masked(line), shown, "{line}");
        }
    }

    #[test]
    fn a_line_is_bounded_and_steers_no_terminal() {
        assert_eq!(masked("a\u{1b}[31mb\0c"), "a\\u{1b}[31mb\\u{0}c");
        let long = masked(&"é ".repeat(100_000));
        assert_eq!(long.chars().count(), CHARS_MAX + 1);
        assert!(masked(&"\0".repeat(1 << 20)).len() < 10_000);
    }

    /// Whatever is cut at whatever place.
    #[test]
    fn every_beginning_of_a_line_is_survived() {
        let line = "é mysql://a:b@c/?x=1 password='ü' Cookie: \"s\" Bearer 12345678 a@b.c 4111-1";
        for (end, _) in line.char_indices() {
            masked(&line[..end]);
            masked(&line[end..]);
        }
    }
}
