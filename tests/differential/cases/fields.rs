//! Field lines (RFC 9112 section 5): ends of lines, folds, names and values; and fields that are
//! about one connection (RFC 9110 section 7.6.1), of which a client could take away what is ours.

use super::{Table, with_body, with_fields};

/// Lines, and what could be taken for ends of lines.
const LINES: &[&[u8]] = &[
    b"X-Probe: a\n",
    b"X-Probe: a\r",
    b"X-Probe: a\r\r\n",
    b"X-Probe: a\n\r\n",
    b"X-Probe: a\r\n\n",
    b"X-Probe: a\n\n",
    b"\n",
    b"\r",
    b"\r\r\n",
    b"X: b\rX-Probe: a\r\n",
    b"X: b\nX-Probe: a\r\n",
    b"X: b\n\rX-Probe: a\r\n",
    b"X: b\x0bX-Probe: a\r\n",
    b"X: b\x0cX-Probe: a\r\n",
    b"X: b\x85X-Probe: a\r\n",
    b"X: b\xe2\x80\xa8X-Probe: a\r\n",
    b"X: b\x00X-Probe: a\r\n",
    b"X: b\x00\r\nX-Probe: a\r\n",
    b"X: b%0d%0aX-Probe: a\r\n",
    b"X: b\\r\\nX-Probe: a\r\n",
    b"X: b\r\n X-Probe: a\r\n",
    b"X: b\r\n\tX-Probe: a\r\n",
    b"X: b\r\n \r\nX-Probe: a\r\n",
    b"X: b\r\n\x0bX-Probe: a\r\n",
    b"X: b\n X-Probe: a\r\n",
    b"X: b\r X-Probe: a\r\n",
    b"X:\r\n X-Probe: a\r\n",
    b"X\r\n : b\r\n",
    b" X-Probe: a\r\n",
    b"\tX-Probe: a\r\n",
    b"X-Probe\r\n",
    b"X-Probe a\r\n",
    b"X-Probe=a\r\n",
    b": a\r\n",
    b" : a\r\n",
    b":\r\n",
    b"::\r\n",
    b"X-Probe : a\r\n",
    b"X-Probe\t: a\r\n",
    b"X-Probe \t : a\r\n",
    b"X-Probe\x0b: a\r\n",
    b"X-Probe\x00: a\r\n",
    b"X-Probe\xa0: a\r\n",
    b"X-Probe\r: a\r\n",
    b"X-Probe:: a\r\n",
    b"X-Probe: : a\r\n",
    b"X-Probe:a\r\n",
    b"X-Probe:\ta\r\n",
    b"X-Probe:  a\t \r\n",
    b"X-Probe:\r\n",
    b"X-Probe: \r\n",
    b"X-Probe: \t\r\n",
    b"X-PROBE: a\r\n",
    b"x-pROBE: a\r\n",
    b"X_Probe: a\r\n",
    b"X.Probe: a\r\n",
    b"X-Pr\xc3\xb6be: a\r\n",
    b"\xef\xbb\xbfX-Probe: a\r\n",
    b"X%2dProbe: a\r\n",
    b"X-Probe: a\r\nX_Probe: b\r\n",
    b"GET /hidden-c#### HTTP/1.1\r\n",
    b"GET /hidden-c#### HTTP/1.1\r\nHost: x\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"X-Probe: a\r\n0\r\n",
];

/// What a single field may hold; the value is compared.
const VALUES: &[&[u8]] = &[
    b"a b",
    b"a\tb",
    b"a  b",
    b"a;b",
    b"a,b",
    b"\"a\"",
    b"\"a",
    b"a\\",
    b"a\"b\\\"c",
    b"%00",
    b"=?x?=",
    b"\xc3\xa9",
    b"\xe9",
    b"\xff\xfe",
    b"a: b",
    b"(a)",
    b"<a>",
    b"{a}",
    b"$a",
    b"`a`",
    b"|a",
    b"'a",
];

/// What Connection names, so that it would be taken away.
const NAMED: &[&[u8]] = &[
    b"close",
    b"Close",
    b"CLOSE, x",
    b"keep-alive",
    b"keep-alive, close",
    b"close, keep-alive",
    b"",
    b",",
    b", ,",
    b",close",
    b"close,",
    b"clo se",
    b"close;x",
    b"\"close\"",
    b"x close",
    b"notclose",
    b"Host",
    b"host, close",
    b"Content-Length",
    b"Transfer-Encoding",
    b"X-Case",
    b"X-Probe",
    b"x-probe, X-PROBE",
    b"X-Forwarded-For",
    b"X-Forwarded-Proto, X-Forwarded-Host",
    b"Forwarded",
    b"Via",
    b"Connection",
    b"Upgrade",
    b"TE",
    b"Trailer",
    b"Expect",
    b"Cookie",
    b"Authorization",
    b"Content-Type",
    b"Date",
    b"Accept",
    b"Range",
    b"X-Probe\x00",
    b"X-Pro be",
    b"X-Probe\x0b",
    b"X_Probe",
    b"\xff",
    b":path",
    b"close\r\n close",
    b"keep-alive\r\nConnection: close",
    b"close\r\nConnection: keep-alive",
    b"close\r\nconnection: X-Forwarded-For",
    b"keep-alive\r\nKeep-Alive: timeout=0, max=0",
    b"keep-alive\r\nProxy-Connection: close",
];

/// Fields by which a client could speak for a proxy.
const FORGED: &[&[u8]] = &[
    b"X-Forwarded-For: 192.0.2.1\r\n",
    b"X_Forwarded_For: 192.0.2.1\r\n",
    b"X-Forwarded-For : 192.0.2.1\r\n",
    b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n",
    b"x-forwarded-for: 127.0.0.1, 192.0.2.1\r\n",
    b"X-Forwarded_For: 192.0.2.1\r\n",
    b"X.Forwarded.For: 192.0.2.1\r\n",
    b"X-Forwarded-Proto: https\r\n",
    b"Forwarded: for=192.0.2.1\r\n",
    b"X-Real-IP: 192.0.2.1\r\n",
    b"Via: 1.1 x\r\n",
    b"Proxy: http://192.0.2.1\r\n",
    b"Proxy-Connection: keep-alive\r\n",
    b"Proxy-Authorization: Basic eDp5\r\n",
    b"Max-Forwards: 0\r\n",
    b"X-HTTP-Method-Override: DELETE\r\n",
    b"X-Original-URL: /hidden-c####\r\n",
    b"X-Rewrite-URL: /hidden-c####\r\n",
    b"X-Accel-Redirect: /hidden-c####\r\n",
    b"X-Sendfile: /etc/x\r\n",
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Content-Length_: 5\r\n",
    b"Content_Length: 5\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"CONTENT_LENGTH: 5\r\n",
    b":path: /hidden-c####\r\n",
    b":authority: other.example\r\n",
];

const EXPECT: &[&[u8]] = &[
    b"100-continue",
    b"100-Continue",
    b"100-CONTINUE",
    b"100-continue, 100-continue",
    b"100",
    b"",
    b"100-continued",
    b"x",
    b"100-continue;x",
    b"\"100-continue\"",
    b"100-continue, x",
    b"x=y",
    b"100-continue\r\nExpect: 100-continue",
    b"100-continue\r\nExpect: x",
    b" 100-continue ",
];

const UPGRADE: &[&[u8]] = &[
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Connection: upgrade\r\nUpgrade: h2\r\n",
    b"Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    b"Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
    b"Connection: upgrade\r\nUpgrade:\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: close, upgrade\r\nUpgrade: x\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\nUpgrade: y\r\n",
    b"Connection: upgrade\r\nConnection: X-Probe\r\nUpgrade: x\r\nX-Probe: y\r\n",
    b"Connection: upgrade\r\nUpgrade: web socket\r\n",
    b"Connection: upgrade\r\nUpgrade: a, b/1\r\n",
];

const TE: &[&[u8]] = &[
    b"Connection: TE\r\nTE: trailers\r\n",
    b"TE: trailers\r\n",
    b"Connection: TE\r\nTE: chunked\r\n",
    b"Connection: TE\r\nTE: trailers, deflate;q=0.5\r\n",
    b"TE: chunked;q=0\r\n",
    b"TE:\r\n",
    b"Connection: TE\r\nTE: gzip\r\nTE: trailers\r\n",
    b"Trailer: X-Probe\r\n",
];

pub fn add(table: &mut Table) {
    for lines in LINES {
        table.add("field line", lines, with_fields(lines));
    }
    // Every byte in a name that is not of a token, and those that are and look otherwise.
    for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x82) {
        let line = [b"X", &[byte][..], b"Probe: a\r\n"].concat();
        table.add("byte in a name", [byte], with_fields(&line));
    }
    for byte in (0..b' ').chain(0x7f..0x82).chain([0xa0, 0xff]) {
        let line = [b"X-Probe: a", &[byte][..], b"b\r\n"].concat();
        table.add("value", [byte], with_fields(&line));
    }
    for value in VALUES {
        table.add("value", value, with_fields(&[b"X-Probe: ", *value, b"\r\n"].concat()));
    }
    for named in NAMED {
        let lines = [b"X-Probe: a\r\nConnection: ", *named, b"\r\nContent-Length: 5\r\n"].concat();
        table.add("connection names", named, with_body(&lines, b"hello"));
    }
    for named in [&b"Transfer-Encoding"[..], b"TE", b"Trailer", b"Content-Length", b"X-Probe, Host"]
    {
        let lines = [b"Connection: ", named, b"\r\nTransfer-Encoding: chunked\r\n"].concat();
        let odd = [b"chunked and ", named].concat();
        table.add("connection names", odd, with_body(&lines, b"5\r\nhello\r\n0\r\n\r\n"));
    }
    for lines in FORGED {
        table.add("forged", lines, with_fields(lines));
    }
    for value in EXPECT {
        let lines = [b"Expect: ", *value, b"\r\n"].concat();
        table.add("expect", [b"no body: ", *value].concat(), with_fields(&lines));
        let length = [&lines[..], b"Content-Length: 5\r\n"].concat();
        table.add("expect", [b"length: ", *value].concat(), with_body(&length, b"hello"));
        let chunked = [&lines[..], b"Transfer-Encoding: chunked\r\n"].concat();
        let body = b"5\r\nhello\r\n0\r\n\r\n";
        table.add("expect", [b"chunked: ", *value].concat(), with_body(&chunked, body));
    }
    for lines in UPGRADE {
        table.add("upgrade", lines, with_fields(lines));
        let more = [*lines, b"Content-Length: 5\r\n"].concat();
        table.add("upgrade", [*lines, b"and a body"].concat(), with_body(&more, b"hello"));
    }
    for lines in TE {
        table.add("te and trailer", lines, with_fields(lines));
        let more = [*lines, b"Transfer-Encoding: chunked\r\n"].concat();
        let body = b"5\r\nhello\r\n0\r\nX-Probe: trailed\r\n\r\n";
        table.add("te and trailer", [*lines, b"and a trailer"].concat(), with_body(&more, body));
    }
}
