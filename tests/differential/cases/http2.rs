//! HTTP/2 that is to become HTTP/1.1 (RFC 9113 section 8): what HPACK carries as it is, and what
//! would end a line or a name once it is written out.

use super::Table;

type Field<'a> = (&'a [u8], &'a [u8]);

/// Values of `:path`.
const PATHS: &[&[u8]] = &[
    b"/c####",
    b"",
    b"c####",
    b"*",
    b"?c####",
    b"/c#### HTTP/1.1\r\nX-Probe: evil\r\n\r\n",
    b"/c#### HTTP/1.1",
    b"/c####\r\nX-Probe: evil",
    b"/c####\nX-Probe: evil",
    b"/c####\rx",
    b"/c####\x00x",
    b"/c#### x",
    b" /c####",
    b"/c#### ",
    b"/c####\tx",
    b"/c####\x7f",
    b"/c####\xc3\xa9",
    b"/c####\xff",
    b"/c####/../x",
    b"/c####/%2e%2e/x",
    b"/c####%2fx",
    b"/c####%00",
    b"/c####%",
    b"/c#####x",
    b"/c####\\x",
    b"/c####?x?y",
    b"/c####;x",
    b"//c####",
    b"//other.example/c####",
    b"/c####//x",
    b"http://shop.example/c####",
    b"http://other.example/c####",
    b"/c####?\"<>^`{|}",
    b"/c####|{}\"",
];

const METHODS: &[&[u8]] = &[
    b"HEAD",
    b"POST",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"get",
    b"",
    b"GET ",
    b" GET",
    b"GET\x00",
    b"GET /hidden-c#### HTTP/1.1\r\nHost: x\r\n\r\nGET",
    b"GET\r\n",
    b"G(T",
    b"G\xffT",
    b"PRI",
    b"GETS",
];

const AUTHORITIES: &[&[u8]] = &[
    b"shop.example:80",
    b"SHOP.example",
    b"shop.example.",
    b"",
    b" ",
    b"shop.example ",
    b" shop.example",
    b"shop.example\r\nX-Probe: evil",
    b"shop.example\x00",
    b"shop.example\tx",
    b"x@shop.example",
    b"x:y@shop.example",
    b"shop.example/x",
    b"shop.example?x",
    b"shop.example#x",
    b"shop.example:99999",
    b"shop.example:x",
    b"shop.example, x",
    b"[::1]",
    b"[::1",
    b"sh\xc3\xb6p.example",
    b"shop%2eexample",
    b"shop\\example",
    b"*",
    b"_",
];

const SCHEMES: &[&[u8]] = &[
    b"http",
    b"HTTPS",
    b"",
    b"ftp",
    b"https://x",
    b"https\r\nX-Probe: evil",
    b"https ",
    b"x",
    b"1",
];

/// Fields that stand behind a sound head.
const FIELDS: &[Field<'_>] = &[
    (b"x-probe", b"a"),
    (b"x-probe", b""),
    (b"x-probe", b"a\r\nx-evil: b"),
    (b"x-probe", b"a\nb"),
    (b"x-probe", b"a\rb"),
    (b"x-probe", b"a\x00b"),
    (b"x-probe", b" a"),
    (b"x-probe", b"a "),
    (b"x-probe", b"\ta"),
    (b"x-probe", b"a\x01b"),
    (b"x-probe", b"a\x7fb"),
    (b"x-probe", b"\xff"),
    (b"x-probe", b"a\r\n\r\nGET /hidden-c#### HTTP/1.1\r\nHost: x\r\n\r\n"),
    (b"X-Probe", b"a"),
    (b"x-Probe", b"a"),
    (b"x_probe", b"a"),
    (b"x probe", b"a"),
    (b"x-probe ", b"a"),
    (b" x-probe", b"a"),
    (b"x-probe:", b"a"),
    (b"x-probe: a\r\nx-evil", b"b"),
    (b"x-probe\r\n", b"a"),
    (b"x-probe\x00", b"a"),
    (b"x\xffprobe", b"a"),
    (b"x(probe", b"a"),
    (b"", b"a"),
    (b":", b"a"),
    (b":x", b"a"),
    (b":path", b"/hidden-c####"),
    (b":method", b"POST"),
    (b":authority", b"other.example"),
    (b":scheme", b"http"),
    (b":status", b"200"),
    (b":protocol", b"websocket"),
    (b"connection", b"close"),
    (b"connection", b"keep-alive"),
    (b"connection", b"x-forwarded-for"),
    (b"keep-alive", b"timeout=5"),
    (b"proxy-connection", b"close"),
    (b"transfer-encoding", b"chunked"),
    (b"transfer-encoding", b"identity"),
    (b"transfer-encoding", b""),
    (b"Transfer-Encoding", b"chunked"),
    (b"transfer_encoding", b"chunked"),
    (b"upgrade", b"websocket"),
    (b"upgrade", b"h2c"),
    (b"te", b"trailers"),
    (b"te", b"chunked"),
    (b"te", b"trailers, chunked"),
    (b"host", b"shop.example"),
    (b"host", b"SHOP.EXAMPLE"),
    (b"host", b"other.example"),
    (b"host", b""),
    (b"host", b"shop.example:443"),
    (b"content-length", b"0"),
    (b"content-length", b"5"),
    (b"content-length", b"+0"),
    (b"content-length", b"00"),
    (b"content-length", b""),
    (b"content-length", b"0, 0"),
    (b"content_length", b"5"),
    (b"expect", b"100-continue"),
    (b"expect", b"x"),
    (b"x-forwarded-for", b"192.0.2.1"),
    (b"x_forwarded_for", b"192.0.2.1"),
    (b"via", b"1.1 x"),
    (b"forwarded", b"for=192.0.2.1"),
    (b"cookie", b"a=b"),
    (b"cookie", b"a=b; c=d"),
    (b"http2-settings", b"AAMAAABkAAQAAP__"),
    (b"trailer", b"x-probe"),
];

/// Values of content-length beside a body of five bytes.
const LENGTHS: &[&[u8]] = &[
    b"5",
    b"05",
    b"0",
    b"4",
    b"6",
    b"+5",
    b"-5",
    b" 5",
    b"5 ",
    b"5,5",
    b"0x5",
    b"",
    b"5\r\nx: y",
    b"x",
    b"18446744073709551621",
    b"5\x00",
];

pub fn add(table: &mut Table) {
    let head = |method, scheme, authority, path| -> [Field<'_>; 5] {
        [
            (b":method", method),
            (b":scheme", scheme),
            (b":authority", authority),
            (b":path", path),
            (b"x-case", b"c####"),
        ]
    };
    let [get, post, https, shop, path]: [&[u8]; 5] =
        [b"GET", b"POST", b"https", b"shop.example", b"/c####"];
    for odd in PATHS {
        table.add_http2("h2 path", odd, &head(get, https, shop, odd), None);
    }
    for odd in METHODS {
        table.add_http2("h2 method", odd, &head(odd, https, shop, path), None);
    }
    for odd in AUTHORITIES {
        table.add_http2("h2 authority", odd, &head(get, https, odd, path), None);
    }
    for odd in SCHEMES {
        table.add_http2("h2 scheme", odd, &head(get, odd, shop, path), None);
    }
    for (name, value) in FIELDS {
        let fields = [&head(get, https, shop, path)[..], &[(*name, *value)]].concat();
        table.add_http2("h2 field", [*name, b" = ", *value].concat(), &fields, None);
    }
    for left_out in 0..4 {
        let mut fields = head(get, https, shop, path).to_vec();
        let (name, _) = fields.remove(left_out);
        table.add_http2("h2 field", [b"without ", name].concat(), &fields, None);
    }
    let mut late = head(get, https, shop, path).to_vec();
    late.rotate_left(1);
    table.add_http2("h2 field", "a pseudo-header field behind the others", &late, None);
    let mut host = head(get, https, shop, path);
    host[2].0 = b"host";
    host[2..].rotate_left(1);
    table.add_http2("h2 field", "Host in place of :authority", &host, None);
    for length in LENGTHS {
        let fields =
            [&head(post, https, shop, path)[..], &[(&b"content-length"[..], *length)]].concat();
        table.add_http2("h2 body", length, &fields, Some(b"hello"));
    }
    let sound = head(post, https, shop, path);
    table.add_http2("h2 body", "no length", &sound, Some(b"hello"));
    table.add_http2("h2 body", "empty", &sound, Some(b""));
    let hidden = b"0\r\n\r\nGET /hidden-c#### HTTP/1.1\r\nHost: x\r\nX-Case: c####\r\n\r\n";
    table.add_http2("h2 body", "hidden, no length", &sound, Some(hidden));
    let coded = [&sound[..], &[(&b"transfer-encoding"[..], &b"chunked"[..])]].concat();
    table.add_http2("h2 body", "hidden, a coding", &coded, Some(hidden));
    let zero = [&sound[..], &[(&b"content-length"[..], &b"0"[..])]].concat();
    table.add_http2("h2 body", "hidden, no length declared but zero", &zero, Some(hidden));
    table.add_http2("h2 body", "GET, hidden", &head(get, https, shop, path), Some(hidden));
    table.add_http2("h2 body", "HEAD, hidden", &head(b"HEAD", https, shop, path), Some(hidden));
}
