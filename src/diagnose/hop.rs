//! Who made an error page, and what it says.
//!
//! A page's layout names its maker and goes before the fields, which whoever passed the answer on
//! may have written; RFC 9209's field, made for this, goes before both. What is known of pages and
//! fields stands in `signs`. Pages may quote such words, so that only answers which failed are
//! looked at. Pure.

use http::HeaderMap;
use memchr::memmem;
use strum::{EnumIter, IntoStaticStr};

use super::signs::{CLOUDFLARE, FIELDS, PAGES, TRAEFIK};

/// How much of a page is read.
const PAGE_MAX: usize = 64 * 1024;
/// How much of what it says is kept as evidence.
const SAID_MAX: usize = 240;

/// Who made an answer, as far as it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Hop {
    Akamai,
    Apache,
    ApplicationGateway,
    AwsLoadBalancer,
    Caddy,
    Causeway,
    CloudFoundry,
    Cloudflare,
    Cloudfront,
    Drupal,
    Envoy,
    Fastly,
    Godaddy,
    Google,
    Haproxy,
    Heroku,
    Iis,
    Imperva,
    Joomla,
    Kong,
    Laravel,
    Linkerd,
    Litespeed,
    Nginx,
    Php,
    Squid,
    Sucuri,
    Tomcat,
    Traefik,
    Twitter,
    Varnish,
    Wordpress,
    /// A gateway that says so in `Proxy-Status`, under a name of its own.
    Named,
    /// Nothing tells.
    Unknown,
}

/// Which side of that hop failed, as far as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Failed {
    /// The hop itself.
    Itself,
    /// What stands behind it.
    Behind,
    Unknown,
}

/// A complete answer, as far as it had come when its head went on.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// What there is of the page; `None` where none could be read: to HEAD, under a coding.
    pub page: Option<&'a [u8]>,
}

/// The maker of an answer, and its own words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Maker {
    pub hop: Hop,
    pub failed: Failed,
    pub said: String,
}

/// Finds who made an answer.
pub(super) fn maker(received: &Received<'_>) -> Maker {
    if let Some(maker) = by_proxy_status(received.headers) {
        return maker;
    }
    let page = received.page.map(|page| &page[..page.len().min(PAGE_MAX)]);
    let (hop, failed) = by_page(page.unwrap_or_default())
        .or_else(|| by_field(received.headers))
        .unwrap_or((Hop::Unknown, Failed::Unknown));
    let said = page.map_or_else(String::new, said);
    let numbered = CLOUDFLARE.iter().find(|(status, _)| *status == received.status);
    match numbered {
        Some((_, meaning)) if hop == Hop::Cloudflare && page.is_none_or(<[u8]>::is_empty) => {
            Maker { hop, failed: Failed::Behind, said: (*meaning).to_owned() }
        }
        _ => Maker { hop, failed, said },
    }
}

fn by_page(page: &[u8]) -> Option<(Hop, Failed)> {
    if TRAEFIK.contains(&page) {
        return Some((Hop::Traefik, Failed::Behind));
    }
    let row = PAGES.iter().find(|(_, _, words)| has(page, words.as_bytes()));
    row.map(|(hop, failed, _)| (*hop, *failed))
}

fn by_field(headers: &HeaderMap) -> Option<(Hop, Failed)> {
    let begins = |value: &http::HeaderValue, words: &str| {
        let value = value.as_bytes();
        value.len() >= words.len() && value[..words.len()].eq_ignore_ascii_case(words.as_bytes())
    };
    let row = FIELDS.iter().find(|(_, _, name, words)| {
        headers.get_all(*name).iter().any(|value| begins(value, words))
    });
    row.map(|(hop, failed, ..)| (*hop, *failed))
}

/// RFC 9209 section 2: a list, the hop nearest the origin first; the one that says `error` made the
/// answer itself.
fn by_proxy_status(headers: &HeaderMap) -> Option<Maker> {
    let values = headers.get_all("proxy-status").iter().filter_map(|value| value.to_str().ok());
    for value in values {
        let members = split_outside_quotes(value, ',');
        if let Some(member) = members.into_iter().find(|member| has_error(member)) {
            let name = split_outside_quotes(member, ';')[0].trim().trim_matches('"');
            let hop = match name {
                "causeway" => Hop::Causeway,
                _ => Hop::Named,
            };
            return Some(Maker { hop, failed: Failed::Behind, said: cut(member.trim()) });
        }
    }
    None
}

fn has_error(member: &str) -> bool {
    let parameters = split_outside_quotes(member, ';');
    parameters.iter().skip(1).any(|parameter| parameter.trim_start().starts_with("error="))
}

/// The parts of a structured field (RFC 9651 section 4.2); at least one.
fn split_outside_quotes(text: &str, at: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let plain = !std::mem::take(&mut escaped);
        match c {
            '\\' if quoted => escaped = plain,
            '"' if plain => quoted = !quoted,
            _ => {}
        }
        c == at && !quoted
    })
    .collect()
}

/// The words in which a page says what happened: the one with a substatus, a reason, its title, or
/// a plain text's first line.
fn said(page: &[u8]) -> String {
    if page.trim_ascii().is_empty() {
        return "an empty page".to_owned();
    }
    let between = |before: &[u8], after: &[u8]| {
        let start = memmem::find(page, before)? + before.len();
        let length = memmem::find(&page[start..], after)?;
        Some(page[start..start + length].trim_ascii()).filter(|text| !text.is_empty())
    };
    let words = between(b"<h3>HTTP Error ", b"</h3>")
        .or_else(|| between(b"Reason: <strong>", b"</strong>"))
        .or_else(|| between(b"<title>", b"</title>"))
        .or_else(|| between(b"<TITLE>", b"</TITLE>"))
        .or_else(|| between(b"<h1>", b"</h1>"))
        .or_else(|| (page[0] != b'<').then(|| page.split(|&byte| byte == b'\n').next())?)
        .unwrap_or_default();
    cut(&String::from_utf8_lossy(&words[..words.len().min(SAID_MAX)]))
}

fn cut(text: &str) -> String {
    text.chars().take(SAID_MAX).collect::<String>().trim().to_owned()
}

/// Whether a page holds these words.
pub(super) fn has(page: &[u8], words: &[u8]) -> bool {
    memmem::find(page, words).is_some()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const NGINX: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
        <hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n";

    fn made(status: u16, fields: &[(&'static str, &str)], page: Option<&str>) -> Maker {
        let headers = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let headers = headers.collect();
        maker(&Received { status, headers: &headers, page: page.map(str::as_bytes) })
    }

    #[test]
    fn a_proxy_status_goes_before_all() {
        for (value, hop, said) in [
            (
                "causeway; error=connection_refused; details=\"connection_refused\"",
                Hop::Causeway,
                "causeway; error=connection_refused; details=\"connection_refused\"",
            ),
            (
                "\"a,b\"; error=dns_error; details=\"x, \\\"y;\\\" z\", cdn; received-status=502",
                Hop::Named,
                "\"a,b\"; error=dns_error; details=\"x, \\\"y;\\\" z\"",
            ),
            (
                "origin; received-status=200, cdn;error=connection_timeout",
                Hop::Named,
                "cdn;error=connection_timeout",
            ),
        ] {
            let expected = Maker { hop, failed: Failed::Behind, said: said.to_owned() };
            assert_eq!(made(502, &[("proxy-status", value)], Some(NGINX)), expected);
        }
        for value in ["cdn; received-status=502", "cdn; details=\"; error=x\"", "\"", "\\", ",;,"] {
            assert_eq!(made(502, &[("proxy-status", value)], Some(NGINX)).hop, Hop::Nginx);
        }
    }

    /// To HEAD there is no page; Cloudflare's own numbers still tell.
    #[test]
    fn numbers_of_cloudflare_are_told_without_a_page() {
        for (status, meaning) in CLOUDFLARE {
            let found = made(status, &[("server", "cloudflare")], None);
            assert_eq!((found.failed, found.said.as_str()), (Failed::Behind, meaning));
        }
        assert_eq!(made(502, &[("server", "nginx")], None).said, "");
    }

    #[test]
    fn long_and_cut_pages_are_bounded() {
        for cut in 0..NGINX.len() {
            made(502, &[], Some(&NGINX[..cut]));
        }
        let title = format!("<title>{}</title>", "é".repeat(100_000));
        let found = made(502, &[], Some(&title));
        assert!(found.said.len() <= 2 * SAID_MAX, "{}", found.said.len());
        let late = format!("{}{NGINX}", " ".repeat(PAGE_MAX));
        assert_eq!(made(502, &[], Some(&late)).hop, Hop::Unknown);
    }
}
