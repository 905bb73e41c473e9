//! Where a body ends (RFC 9112 sections 6 and 7): lengths, codings, chunks, and requests that are
//! hidden in bodies or follow each other on one connection.

use super::{Table, numbered, with_body, with_line};

/// Values of Content-Length before a body of five bytes.
const LENGTHS: &[&[u8]] = &[
    b"5",
    b"05",
    b"0005",
    b"00000000000000000000000000005",
    b"+5",
    b"-5",
    b"-0",
    b"5.0",
    b"5e0",
    b"0x5",
    b"0X5",
    b"5h",
    b"0b101",
    b"0o5",
    b" 5",
    b"5 ",
    b"\t5\t",
    b"5 5",
    b"5\t5",
    b"5,5",
    b"5, 5",
    b"5,",
    b",5",
    b"5,,5",
    b"5, 6",
    b"6, 5",
    b"5;5",
    b"5;x",
    b"5, x",
    b"\"5\"",
    b"'5'",
    b"(5)",
    b"",
    b"x",
    b"5\x0b",
    b"\x0b5",
    b"5\x00",
    b"5\r",
    b"5\r\n ",
    b"\r\n 5",
    b"5_0",
    b"\xd9\xa5",
    b"\xb2",
    b"%35",
    b"4294967301",
    b"18446744073709551621",
    b"99999999999999999999999999",
    b"18446744073709551615",
    b"9223372036854775807",
    b"9223372036854775813",
    b"NaN",
    b"null",
    b"5/1",
    b"~5",
    b"!5",
    b"5%",
];

/// Pairs of Content-Length.
const TWICE: &[&[u8]] = &[
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 05\r\n",
    b"Content-Length: 5\r\nContent-Length: 0\r\n",
    b"Content-Length: 0\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 5\r\nContent-Length:\r\n",
    b"Content-Length:\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\ncontent-length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length : 5\r\n",
    b"Content-Length: 5\r\n Content-Length: 0\r\n",
    b"Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent_Length: 0\r\n",
    b"Content-Length: 5\r\nX-Content-Length: 0\r\n",
    b"Content-Length: 5\r\nContent-Length\x00: 0\r\n",
    b"Content-Length: 5\nContent-Length: 0\r\n",
    b"Content-Length: 5\rContent-Length: 0\r\n",
    b"Content-Length:5\r\n",
    b"CONTENT-LENGTH: 5\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length\t: 5\r\n",
    b" Content-Length: 5\r\n",
    b"Content\r\n -Length: 5\r\n",
    b"Content Length: 5\r\n",
    b"Content-Length\x0b: 5\r\n",
    b"Content\xadLength: 5\r\n",
];

/// Values of Transfer-Encoding.
const CODINGS: &[&[u8]] = &[
    b"chunked",
    b"Chunked",
    b"CHUNKED",
    b"cHUNKED",
    b"chunked ",
    b"\tchunked",
    b"chunked\t",
    b" chunked",
    b"\x0bchunked",
    b"chunked\x0b",
    b"\x0cchunked",
    b"chunked\x00",
    b"\x00chunked",
    b"chunked\xa0",
    b"\"chunked\"",
    b"'chunked'",
    b"chunked,",
    b",chunked",
    b", chunked",
    b"chunked, ",
    b",,chunked",
    b"chunked,chunked",
    b"chunked, chunked",
    b"chunked chunked",
    b"chunked;x",
    b"chunked;q=1",
    b"chunked; x=y",
    b"chunked, identity",
    b"identity, chunked",
    b"identity",
    b"",
    b"xchunked",
    b"x-chunked",
    b"chunkedx",
    b"chunked-x",
    b"chunk",
    b"chunke\xe4",
    b"c hunked",
    b"\xffchunked",
    b"gzip",
    b"gzip, chunked",
    b"chunked, gzip",
    b"deflate, chunked",
    b"compress",
    b"br, chunked",
    b"cow",
    b"cow, chunked",
    b"trailers",
    b"none",
    b"%63hunked",
    b"chunked\r\n ",
    b"\r\n chunked",
    b"\r\n\tchunked",
    b"chunked\r\n , identity",
    b"chunked\rx",
    b"chun\r\n ked",
    b"(x)chunked",
    b"1",
    b"chunked\r\nTransfer-Encoding: chunked",
    b"chunked\r\nTransfer-Encoding: identity",
    b"identity\r\nTransfer-Encoding: chunked",
    b"chunked\r\nTransfer-Encoding: x",
    b"x\r\nTransfer-Encoding: chunked",
    b"chunked\r\nTransfer-Encoding:",
    b"\r\nTransfer-Encoding: chunked",
    b"chunked\r\ntransfer-encoding: gzip",
    b"gzip\r\nTransfer-Encoding: chunked",
];

/// Lines that some reader might take for Transfer-Encoding.
const ALMOST: &[&[u8]] = &[
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\t: chunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"\tTransfer-Encoding: chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Transfer-Encoding\x00: chunked\r\n",
    b"Transfer-Encoding\x0b: chunked\r\n",
    b"Transfer-Encoding\xa0: chunked\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n",
    b"X: y\r\n Transfer-Encoding: chunked\r\n",
    b"X: y\x00Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding\r\n : chunked\r\n",
    b"Transfer-Encoding\r\n: chunked\r\n",
    b"Transfer-Encoding:chunked\r\n",
    b"Transfer-Encoding:: chunked\r\n",
    b"Transfer-Encoding chunked\r\n",
    b"Transfer-Encoding=chunked\r\n",
    b"TRANSFER-ENCODING: chunked\r\n",
    b"TrAnSfEr-EnCoDiNg: chunked\r\n",
    b"Transfer-Encodings: chunked\r\n",
    b"Transfer-Encodin: chunked\r\n",
    b"Transfer Encoding: chunked\r\n",
    b"Tran\r\n sfer-Encoding: chunked\r\n",
    b"\x00Transfer-Encoding: chunked\r\n",
    b"\xef\xbb\xbfTransfer-Encoding: chunked\r\n",
    b"X-Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding:\nchunked\r\n",
    b"TE: chunked\r\n",
    b"Content-Encoding: chunked\r\n",
    b"Transf\xe9r-Encoding: chunked\r\n",
];

/// What may stand where a chunked body belongs.
const CHUNKS: &[&[u8]] = &[
    b"5\r\nhello\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n00\r\n\r\n",
    b"5\r\nhello\r\n0000000000000000\r\n\r\n",
    // Sizes.
    b"05\r\nhello\r\n0\r\n\r\n",
    b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"8000000000000005\r\nhello\r\n0\r\n\r\n",
    b"100000005\r\nhello\r\n0\r\n\r\n",
    b"80000005\r\nhello\r\n0\r\n\r\n",
    b"a\r\n0123456789\r\n0\r\n\r\n",
    b"A\r\n0123456789\r\n0\r\n\r\n",
    b"0a\r\n0123456789\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5h\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"5.0\r\nhello\r\n0\r\n\r\n",
    b"5_\r\nhello\r\n0\r\n\r\n",
    b"5,5\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"\"5\"\r\nhello\r\n0\r\n\r\n",
    b"\xb2\r\nhello\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"6\r\nhello\r\n0\r\n\r\n",
    b"7\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n-0\r\n\r\n",
    b"5\r\nhello\r\n0x0\r\n\r\n",
    // Spaces.
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5\t\r\nhello\r\n0\r\n\r\n",
    b"\t5\r\nhello\r\n0\r\n\r\n",
    b"5 5\r\nhello\r\n0\r\n\r\n",
    b"5\x00\r\nhello\r\n0\r\n\r\n",
    b"5\x0b\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0 \r\n\r\n",
    b"5\r\nhello\r\n 0\r\n\r\n",
    // Extensions.
    b"5;\r\nhello\r\n0\r\n\r\n",
    b"5;x\r\nhello\r\n0\r\n\r\n",
    b"5;x=y\r\nhello\r\n0\r\n\r\n",
    b"5;x=\"y\"\r\nhello\r\n0\r\n\r\n",
    b"5;x=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    b"5 ;x\r\nhello\r\n0\r\n\r\n",
    b"5; x\r\nhello\r\n0\r\n\r\n",
    b"5;x;y=z\r\nhello\r\n0\r\n\r\n",
    b"5;x\nhello\r\n0\r\n\r\n",
    b"5;x\rhello\r\n0\r\n\r\n",
    b"5;x\r\r\nhello\r\n0\r\n\r\n",
    b"5;\nx\r\nhello\r\n0\r\n\r\n",
    b"5;\x00\r\nhello\r\n0\r\n\r\n",
    b"5;\x7f\r\nhello\r\n0\r\n\r\n",
    b"5;\xff\r\nhello\r\n0\r\n\r\n",
    b"5;0\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0;x\r\n\r\n",
    b"5\r\nhello\r\n0;x\n\r\n",
    b"5,x\r\nhello\r\n0\r\n\r\n",
    b"5:x\r\nhello\r\n0\r\n\r\n",
    // Ends of lines.
    b"5\nhello\n0\n\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n",
    b"5\r\nhello\r\n0\r\n\n",
    b"5\r\nhello\r\n0\n\n",
    b"5\rhello\r0\r\r",
    b"5\rhello\r\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\r\nhello\r\n0\r\n\r\n",
    b"5\n\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n",
    b"5\r\nhello  \r\n0\r\n\r\n",
    b"5\n\rhello\n\r0\n\r\n\r",
    b"5\r\n\r\nhello\r\n0\r\n\r\n",
    // Ends of bodies.
    b"5\r\nhello\r\n0\r\n",
    b"5\r\nhello\r\n0",
    b"5\r\nhello\r\n",
    b"5\r\nhello",
    b"5\r\n",
    b"5",
    b"",
    b"5\r\nhello\r\n\r\n",
    b"0\r\n\r\n0\r\n\r\n",
    b"0\r\n\r\n\r\n",
    b"hello",
    // Trailers.
    b"5\r\nhello\r\n0\r\nX-Probe: a\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Probe : a\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Probe\r\n\r\n",
    b"5\r\nhello\r\n0\r\n X-Probe: a\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Probe: a\r\n b\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Probe: a\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Probe: a\rb\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Probe: \x00\r\n\r\n",
    b"5\r\nhello\r\n0\r\n: a\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n0\r\nHost: other.example\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Case: other\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
    b"5\r\nhello\r\n0\r\nConnection: close\r\n\r\n",
    b"5\r\nhello\r\n0\r\nGET /hidden-c#### HTTP/1.1\r\n\r\n",
];

pub fn add(table: &mut Table) {
    for value in LENGTHS {
        let lines = [b"Content-Length: ", *value, b"\r\n"].concat();
        table.add("length", value, with_body(&lines, b"hello"));
    }
    for lines in TWICE {
        table.add("length", lines, with_body(lines, b"hello"));
    }
    table.add("length", "none, and a body", with_body(b"", b"hello"));
    for method in [&b"GET"[..], b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"] {
        for (lines, body) in [
            (&b"Content-Length: 5\r\n"[..], &b"hello"[..]),
            (b"Content-Length: 0\r\n", b""),
            (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let line = [method, b" /c#### HTTP/1.1\r\n", lines.trim_ascii_end()].concat();
            table.add("body of a method", &line, [&with_line(&line)[..], body].concat());
        }
    }
    codings(table);
    for body in CHUNKS {
        table.add("chunks", body, with_body(b"Transfer-Encoding: chunked\r\n", body));
    }
    for extension in [1_000, 4_000, 5_000, 20_000] {
        let body = [b"5;", &b"x".repeat(extension)[..], b"\r\nhello\r\n0\r\n\r\n"].concat();
        table.add("chunks", &body, with_body(b"Transfer-Encoding: chunked\r\n", &body));
    }
    hidden(table);
    in_a_row(table);
    old(table);
}

/// Each coding alone, and with a length on either side that ends the body elsewhere.
fn codings(table: &mut Table) {
    const BODY: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";
    for value in CODINGS {
        let line = [b"Transfer-Encoding: ", *value, b"\r\n"].concat();
        table.add("coding", value, with_body(&line, BODY));
        let before = [b"Content-Length: 15\r\n", &line[..]].concat();
        table.add("coding behind a length", value, with_body(&before, BODY));
        let behind = [&line[..], b"Content-Length: 3\r\n"].concat();
        table.add("coding before a length", value, with_body(&behind, BODY));
    }
    for lines in ALMOST {
        table.add("almost a coding", lines, with_body(lines, BODY));
        let beside = [b"Content-Length: 15\r\n", *lines].concat();
        let odd = [b"with a length: ", *lines].concat();
        table.add("almost a coding", odd, with_body(&beside, BODY));
    }
}

/// A request inside the body of another, under every way to say where that ends.
fn hidden(table: &mut Table) {
    const HIDDEN: &[u8] =
        b"GET /hidden-c#### HTTP/1.1\r\nHost: shop.example\r\nX-Case: c####\r\nX-Rest: ";
    let ended = [HIDDEN, b"x\r\n\r\n"].concat();
    let chunk = |bytes: &[u8]| {
        [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n0\r\n\r\n"].concat()
    };
    let with_end = [b"0\r\n\r\n", &ended[..]].concat();
    let length = |bytes: &[u8]| format!("Content-Length: {}\r\n", bytes.len()).into_bytes();
    let coded = b"Transfer-Encoding: chunked\r\n";
    let mut rows: Vec<(String, Vec<u8>, Vec<u8>)> = vec![
        ("length".into(), length(&ended), ended.clone()),
        ("chunked".into(), coded.to_vec(), chunk(&ended)),
        ("length, open".into(), length(HIDDEN), HIDDEN.to_vec()),
        ("length, an end of chunks before".into(), length(&with_end), with_end.clone()),
        ("chunked, an end of chunks inside".into(), coded.to_vec(), chunk(&with_end)),
    ];
    for almost in [
        &b"Transfer-Encoding: xchunked\r\n"[..],
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: \"chunked\"\r\n",
        b"Transfer_Encoding: chunked\r\n",
        b"X-Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
    ] {
        let name = format!("length and {}", almost.escape_ascii());
        rows.push((name, [&length(&with_end)[..], almost].concat(), with_end.clone()));
        let name = format!("{} and a length", almost.escape_ascii());
        rows.push((name, [almost, &length(&with_end)[..]].concat(), with_end.clone()));
    }
    for value in [&b"0"[..], b"00", b"+0", b"-1", b"0, 0", b"0x50", b"5 0", b" ", b"0\x0b", b"0_0"]
    {
        let (lines, name) = ([b"Content-Length: ", value, b"\r\n"].concat(), value.escape_ascii());
        let twice = [&lines[..], &length(&ended)].concat();
        rows.push((format!("{name} and the length"), twice, ended.clone()));
    }
    for (name, lines, body) in rows {
        table.add("hidden in a body", name, with_body(&lines, &body));
    }
    // In a chunk's line, where one reader ends a line that another goes on with.
    for (name, start) in [
        ("in an extension behind LF", &b"5;x\n"[..]),
        ("in an extension behind CR", b"5;x\r"),
        ("behind a chunk that is too long", b"3\r\n"),
        ("behind a chunk that is too short", b"50\r\n"),
    ] {
        let body = [start, b"hello\r\n0\r\n\r\n", &ended].concat();
        table.add("hidden in a body", name, with_body(coded, &body));
    }
    // TE.0 and CL.0: a method of which some expect no body.
    for method in [&b"GET"[..], b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"] {
        let name = [method, b" with a length"].concat();
        let fields = [length(&ended), b"\r\n".to_vec(), ended.clone()].concat();
        let start = b" /c#### HTTP/1.1\r\nHost: shop.example\r\nX-Case: c####\r\n";
        table.add("hidden in a body", name, [method, start, &fields].concat());
    }
}

/// Several requests on one connection, the first of which ends in one way and another.
fn in_a_row(table: &mut Table) {
    let sound = with_body(b"Content-Length: 5\r\n", b"hello");
    let chunked = with_body(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n");
    let plain = with_line(b"GET /c####/plain HTTP/1.1");
    let head = with_line(b"HEAD /c####/head HTTP/1.1");
    let expecting = with_body(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello");
    let odd_end = |between: &[u8]| [&sound[..], between, &plain].concat();
    let many = numbered(&plain, "c####").repeat(20);
    for (name, requests) in [
        ("two with lengths", [sound.clone(), sound.clone()].concat()),
        ("a length, chunks", [sound.clone(), chunked.clone()].concat()),
        ("chunks, a length", [chunked.clone(), sound.clone()].concat()),
        ("HEAD between", [plain.clone(), head.clone(), plain.clone()].concat()),
        ("HEAD first", [head, plain.clone()].concat()),
        ("one that expects", [expecting, plain.clone()].concat()),
        ("twenty", many),
        ("an empty line between", odd_end(b"\r\n")),
        ("two empty lines between", odd_end(b"\r\n\r\n")),
        ("LF between", odd_end(b"\n")),
        ("CR between", odd_end(b"\r")),
        ("a space between", odd_end(b" ")),
        ("NUL between", odd_end(b"\x00")),
        ("an end of chunks between", odd_end(b"0\r\n\r\n")),
        ("a byte too many", odd_end(b"x")),
        ("a broken one between", odd_end(b"GET\r\n\r\n")),
        ("an answer between", odd_end(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        (
            "upgrade first",
            [with_line(b"GET /c#### HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x"), plain]
                .concat(),
        ),
    ] {
        table.add("in a row", name, requests);
    }
}

/// HTTP/1.0, where nothing is kept open unless it is asked for (RFC 9112 appendix C.2.2).
fn old(table: &mut Table) {
    for (lines, body) in [
        (&b""[..], &b""[..]),
        (b"Connection: keep-alive\r\n", b""),
        (b"Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n", b""),
        (b"Connection: close\r\n", b""),
        (b"Connection: keep-alive, close\r\n", b""),
        (b"Proxy-Connection: keep-alive\r\n", b""),
        (b"Content-Length: 5\r\n", b"hello"),
        (b"Connection: keep-alive\r\nContent-Length: 5\r\n", b"hello"),
        (b"Connection: keep-alive\r\nContent-Length: 3\r\n", b"hello"),
        (b"Connection: keep-alive\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: identity\r\n", b"hello"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"hello"),
        (b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"),
        (b"Connection: upgrade\r\nUpgrade: websocket\r\n", b""),
        (b"Connection: keep-alive, TE\r\nTE: trailers\r\n", b""),
    ] {
        let line = [b"POST /c#### HTTP/1.0\r\n", lines].concat();
        let request = [&with_line(line.trim_ascii_end())[..], body].concat();
        table.add("version 1.0", [lines, body].concat(), request);
    }
}
