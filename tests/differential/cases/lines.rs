//! Request lines (RFC 9112 section 3): methods, what stands between the parts, versions, and what
//! stands around the line.

use super::{Table, with_line};

const METHODS: &[&[u8]] = &[
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"PROPFIND",
    b"PURGE",
    b"M-SEARCH",
    b"BASELINE-CONTROL",
    b"PRI",
    b"CONNECT",
    b"get",
    b"Get",
    b"gET",
    b"head",
    b"HEAd",
    b"X",
    b"GET1",
    b"G_T",
    b"G.T",
    b"!#$%&'*+-.^_`|~",
    b"GET/",
    b"GE\x00T",
    b"GET\x80",
    b"\xffGET",
    b"\"GET\"",
    b"G(T",
    b"G@T",
    b"G:T",
    b"{GET}",
    b"",
];

/// What may stand where one space belongs.
const SPACES: &[&[u8]] = &[
    b"",
    b"  ",
    b"\t",
    b" \t",
    b"\t ",
    b"\x0b",
    b"\x0c",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b"\x00",
    b"\xa0",
    b"\xc2\xa0",
    b"%20",
    b"+",
    b",",
    b";",
];

const VERSIONS: &[&[u8]] = &[
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/1.2",
    b"HTTP/1.9",
    b"HTTP/2.0",
    b"HTTP/2",
    b"HTTP/3.0",
    b"HTTP/1.10",
    b"HTTP/1.01",
    b"HTTP/01.1",
    b"HTTP/1.1.1",
    b"HTTP/1",
    b"HTTP/1.",
    b"HTTP/.1",
    b"HTTP/11",
    b"HTTP/-1.1",
    b"HTTP/+1.1",
    b"HTTP/1,1",
    b"HTTP/1.1a",
    b"HTTP/1.1;x",
    b"http/1.1",
    b"Http/1.1",
    b"HTTP 1.1",
    b"HTTP/ 1.1",
    b"HTTP\\1.1",
    b"HTTP//1.1",
    b"HTTPS/1.1",
    b"HTT/1.1",
    b"HTTP/\xb9.1",
    b"HTTP/1.1 HTTP/1.1",
    b"HTTP/1.0 HTTP/1.1",
    b"HTTP/4294967297.1",
    b"ICY/1.1",
];

const BEFORE: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"\n",
    b"\n\n",
    b"\r",
    b" ",
    b"\t",
    b"\x00",
    b"\xef\xbb\xbf",
    b" \r\n",
    b"X: y\r\n",
    b"0\r\n\r\n",
    b"\x16\x03\x01\x02",
];

const BEHIND: &[&[u8]] = &[b" ", b"\t", b"\r", b"\x00", b"\x0b", b"\x7f", b" x", b"#", b"\xa0"];

pub fn add(table: &mut Table) {
    for method in METHODS {
        let line = [method, &b" /c#### HTTP/1.1"[..]].concat();
        table.add("method", method, with_line(&line));
    }
    let long = b"M".repeat(300);
    table.add("method", &long, with_line(&[&long[..], b" /c#### HTTP/1.1"].concat()));
    for space in SPACES {
        let first = [&b"GET"[..], space, &b"/c####"[..]].concat();
        let second = [&b"/c####"[..], space, &b"HTTP/1.1"[..]].concat();
        table.add("space", &first, with_line(&[&first[..], b" HTTP/1.1"].concat()));
        table.add("space", &second, with_line(&[b"GET ", &second[..]].concat()));
    }
    for version in VERSIONS {
        table.add("version", version, with_line(&[b"GET /c#### ", *version].concat()));
    }
    table.add("version", "none", with_line(b"GET /c####"));
    table.add("version", "none, and a space", with_line(b"GET /c#### "));
    for before in BEFORE {
        let line = [before, &b"GET /c#### HTTP/1.1"[..]].concat();
        table.add("before the line", before, with_line(&line));
    }
    for behind in BEHIND {
        let line = [&b"GET /c#### HTTP/1.1"[..], *behind].concat();
        table.add("behind the line", behind, with_line(&line));
    }
}
