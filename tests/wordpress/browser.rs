//! What a browser adds to HTTP: it keeps cookies, fills in forms and follows redirects.

use std::collections::BTreeMap;

use super::support::client::{self, Answer};

const BOUNDARY: &str = "-----------------------------a-boundary-of-a-test";

/// A visitor of the site at a port of this host.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// One that nobody knows yet.
    pub fn new(port: u16) -> Browser {
        Browser { port, cookies: BTreeMap::new() }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// Posts a form (application/x-www-form-urlencoded).
    pub fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs =
            fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &kind, body.as_bytes())
    }

    /// Posts a form with a PNG in its field `file` (multipart/form-data, RFC 7578).
    pub fn submit_picture(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        (field, file, content): (&str, &str, &[u8]),
    ) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; \
             filename=\"{file}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        body.extend_from_slice(part.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send("POST", path, &[("Content-Type", &kind)], &body)
    }

    /// Sends a request with the cookies of the site, and keeps those that come back.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        let mut all = vec![("Host", host.as_str())];
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        all.extend_from_slice(headers);
        let answer = client::request(self.port, method, path, &all, body);
        for cookie in answer.all("set-cookie") {
            self.keep(cookie);
        }
        answer
    }

    /// Goes where a redirect leads; it must not lead off the site.
    pub fn follow(&mut self, answer: &Answer) -> Answer {
        assert!(matches!(answer.status, 301 | 302 | 308), "no redirect: {answer:?}");
        let path = self.path(answer.header("location").unwrap_or_default());
        self.get(&path)
    }

    /// The path of an address of this site.
    pub fn path(&self, address: &str) -> String {
        let path = address.strip_prefix(&self.origin()).unwrap_or(address);
        assert!(path.starts_with('/'), "{address} is not on {}", self.origin());
        path.to_owned()
    }

    /// Scheme, host and port of the site.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether there is a cookie of a name that begins so.
    pub fn knows(&self, prefix: &str) -> bool {
        self.cookies.keys().any(|name| name.starts_with(prefix))
    }

    /// Keeps or forgets a cookie (RFC 6265 section 5.3, without its scopes: there is one site).
    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a cookie has a name");
        if attributes.to_ascii_lowercase().contains("max-age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The value of a form's field on a page.
pub fn field(page: &Answer, name: &str) -> String {
    between(page, &format!("name=\"{name}\" value=\""), "\"")
}

/// What stands between two marks on a page.
pub fn between(page: &Answer, start: &str, end: &str) -> String {
    let text = String::from_utf8_lossy(&page.body);
    let found = text.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    found.unwrap_or_else(|| panic!("no {start} on {page:?}")).0.to_owned()
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}
