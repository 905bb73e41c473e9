//! The two backends: a nginx and an Apache that write down what they understood of each request.
//!
//! Both write one line a request when it is over, in quotes, with every other byte escaped. nginx
//! says itself what the body was; Apache has PHP read it, and takes it from there.

use std::path::PathBuf;
use std::{fmt, fs};

use super::apache::{Apache, Site, Speaks};
use super::support::nginx::Nginx;
use super::support::tools::free_port;

/// One request as a backend understood it.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// X-Case.
    pub case: Vec<u8>,
    /// The request line.
    pub line: Vec<u8>,
    pub host: Vec<u8>,
    /// What was read of the body, if anybody was asked to read it.
    pub body: Vec<u8>,
    pub forwarded_for: Vec<u8>,
    pub probe: Vec<u8>,
    pub status: u16,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.line, &self.host, &self.body, &self.forwarded_for, &self.probe];
        let parts = parts.map(|part| part.escape_ascii().to_string());
        write!(f, "{} {}", self.status, parts.join(" | "))
    }
}

/// Where nginx's own answers come from, so that it has to read each body first.
const NGINX: &str = r#"
    log_format seen escape=default '"$http_x_case" "$request" "$http_host" "$request_body" '
        '"$http_x_forwarded_for" "$http_x_probe" "$status"';
    large_client_header_buffers 4 128k;
    client_body_buffer_size 1m;
    client_body_in_single_buffer on;
    client_max_body_size 0;
    server {
        listen 127.0.0.1:@PORT@;
        access_log @DIR@/seen.log seen;
        set $to /;
        location / {
            proxy_pass http://unix:@DIR@/sink.sock:$to;
            proxy_method GET;
            proxy_pass_request_headers off;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Host sink;
        }
    }
    server {
        listen unix:@DIR@/sink.sock;
        location / { return 200 "nginx\n"; }
    }"#;

/// What Apache is asked to do with every path.
const APACHE: &str = r#"
LimitRequestBody 0
LimitRequestLine 130000
AllowEncodedSlashes NoDecode
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
AliasMatch ^ @DIR@/htdocs/seen.php
LogFormat "\"%{X-Case}i\" \"%r\" \"%{Host}i\" \"%{body}n\" \
\"%{X-Forwarded-For}i\" \"%{X-Probe}i\" \"%>s\"" seen
CustomLog @DIR@/run/seen.log seen
"#;

const PAGE: &str = "<?php apache_note('body', bin2hex(file_get_contents('php://input')));
    echo \"Apache\\n\";";

/// A nginx that tells.
pub fn nginx() -> Nginx {
    Nginx::start(NGINX)
}

/// An Apache that tells, and its files.
pub fn apache() -> (Site, Apache) {
    let site = Site::new();
    site.put("seen.php", PAGE);
    site.configure(&APACHE.replace("@DIR@", &site.path("").display().to_string()));
    let apache = Apache::start(&site, free_port(), Speaks::Http);
    (site, apache)
}

/// What nginx has told, once it has ended.
pub fn told_by_nginx(mut nginx: Nginx) -> Vec<Seen> {
    nginx.quit();
    told(nginx.path("seen.log"), |body| if body == b"-" { Vec::new() } else { body })
}

/// The same of Apache.
pub fn told_by_apache(site: &Site, mut apache: Apache) -> Vec<Seen> {
    apache.quit();
    let unhex = |body: Vec<u8>| match body.as_slice() {
        b"-" => Vec::new(),
        hex => hex.chunks(2).map(|pair| byte(pair).expect("hexadecimal digits")).collect(),
    };
    told(site.path("run/seen.log"), unhex)
}

fn told(log: PathBuf, body: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<Seen> {
    let log = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{log:?}: {error}"));
    log.lines().map(|line| seen(line, &body)).collect()
}

fn seen(line: &str, body: impl Fn(Vec<u8>) -> Vec<u8>) -> Seen {
    let inside = line.strip_prefix('"').and_then(|line| line.strip_suffix('"'));
    let parts: Vec<Vec<u8>> = inside.unwrap_or_default().split("\" \"").map(unescaped).collect();
    let [case, request, host, read, forwarded_for, probe, status]: [Vec<u8>; 7] =
        parts.try_into().unwrap_or_else(|_| panic!("not a line of ours: {line}"));
    let status = String::from_utf8_lossy(&status).parse().expect("a status");
    Seen { case, line: request, host, body: body(read), forwarded_for, probe, status }
}

/// nginx escapes as `\xHH` alone, Apache some bytes as C does.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let (one, length) = match (first, after) {
            (b'\\', [b'x', pair @ ..]) => {
                (pair.get(..2).and_then(byte).expect("two hexadecimal digits"), 4)
            }
            (b'\\', [letter, ..]) => {
                let known = [(b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'v', 0x0b), (b'b', 8)];
                let found = known.iter().find(|(name, _)| name == letter);
                (found.map_or(*letter, |(_, meant)| *meant), 2)
            }
            _ => (*first, 1),
        };
        bytes.push(one);
        rest = &rest[length..];
    }
    bytes
}

fn byte(hex: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}
