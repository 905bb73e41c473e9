"""What a server has to say to what RFC 9113 forbids: one row a rule. Prints each row that does not
hold, and how many do.

usage: conformance.py PORT"""

import sys

import wire
from wire import (ACK, CODES, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED,
                  PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
                  WITH_PRIORITY, Conn, frame, head, number, raw, request, settings)

# What an error may look like. A stream's error may be made one of its connection (section 5.4.1).


def goaway(*codes):
    return ("the connection ends", codes)


def reset(*codes):
    return ("the stream ends", codes)


def status(code):
    return ("an answer", code)


CLOSED = ("closed without a word", None)
# No more streams are to be had: that others are answered is not to be asked.
REFUSED = ("a stream is refused", ("REFUSED_STREAM", "PROTOCOL_ERROR"))

# Where h2 names a fault less exactly than the specification asks; no client can act on the code.
SIZE = ("FRAME_SIZE_ERROR", "PROTOCOL_ERROR")
HPACK = ("COMPRESSION_ERROR", "PROTOCOL_ERROR")
ENDED = ("STREAM_CLOSED", "PROTOCOL_ERROR")
BEGIN = PREFACE + frame(SETTINGS, 0)
OPEN = head(1, request(method="POST", path="/echo"), END_HEADERS)
WHOLE = head(1, request(path="/hold"))


def fields(*more, without=(), path="/", method="GET"):
    return BEGIN + head(1, request(path, method, more, without))


def post(length, *bodies, end=True):
    """A body of these pieces under a declared length."""
    data = [frame(DATA, 1, body) for body in bodies[:-1]]
    data.append(frame(DATA, 1, bodies[-1], END_STREAM if end else 0))
    return BEGIN + head(1, request("/echo", "POST", [("content-length", str(length))]),
                        END_HEADERS) + b"".join(data)


# section, what is sent, the bytes, what has to come.
ROWS = [
    ("3.4", "no preface", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(40), CLOSED),
    ("3.4", "a preface without SETTINGS", PREFACE + frame(PING, 0, bytes(8)),
     goaway("PROTOCOL_ERROR")),
    ("4.1", "a frame of an unknown kind", BEGIN + frame(0xbe, 1, b"?") + head(1), status(200)),
    ("4.1", "flags and a bit that mean nothing",
     BEGIN + frame(PING, 0, bytes(8), 0xfe) + frame(SETTINGS, 0x80000000) + head(1), status(200)),
    ("4.2", "DATA longer than allowed", BEGIN + OPEN + frame(DATA, 1, bytes(16385)),
     goaway("FRAME_SIZE_ERROR")),
    ("4.2", "HEADERS longer than allowed", BEGIN + frame(HEADERS, 1, bytes(16385), 5),
     goaway("FRAME_SIZE_ERROR")),
    ("4.3", "a head that cannot be unpacked", BEGIN + frame(HEADERS, 1, b"\xff" * 12, 5),
     goaway(*HPACK)),
    ("4.3", "a head in the midst of another",
     BEGIN + frame(HEADERS, 1, raw(request()), END_STREAM) + head(3), goaway("PROTOCOL_ERROR")),
    ("5.1", "DATA on an idle stream", BEGIN + frame(DATA, 1, b"x"), goaway("PROTOCOL_ERROR")),
    ("5.1", "RST_STREAM on an idle stream", BEGIN + frame(RST_STREAM, 1, number(8)),
     goaway("PROTOCOL_ERROR")),
    ("5.1", "WINDOW_UPDATE on an idle stream", BEGIN + frame(WINDOW_UPDATE, 1, number(1)),
     goaway("PROTOCOL_ERROR")),
    ("5.1", "CONTINUATION on an idle stream", BEGIN + frame(CONTINUATION, 1, b"", END_HEADERS),
     goaway("PROTOCOL_ERROR")),
    ("5.1", "DATA after the end", BEGIN + WHOLE + frame(DATA, 1, b"x"), reset(*ENDED)),
    ("5.1", "HEADERS after the end", BEGIN + WHOLE + head(1), reset(*ENDED)),
    ("5.1", "DATA after RST_STREAM",
     BEGIN + OPEN + frame(RST_STREAM, 1, number(8)) + frame(DATA, 1, b"x"),
     reset(*ENDED)),
    ("5.1", "HEADERS after RST_STREAM", BEGIN + OPEN + frame(RST_STREAM, 1, number(8)) + head(1),
     reset(*ENDED)),
    ("5.1.1", "an even stream", BEGIN + head(2), goaway("PROTOCOL_ERROR")),
    ("5.1.1", "a lower stream", BEGIN + head(5, request("/hold")) + head(3),
     goaway("PROTOCOL_ERROR")),
    ("5.1.2", "more streams than allowed",
     BEGIN + b"".join(head(n, request("/hold")) for n in range(1, 2 * 129 + 1, 2)),
     REFUSED),
    ("5.3.1", "HEADERS that depend on themselves",
     BEGIN + frame(HEADERS, 1, number(1) + b"\x10" + raw(request()), 5 | WITH_PRIORITY),
     reset("PROTOCOL_ERROR")),
    ("5.5", "an unknown frame within a head",
     BEGIN + frame(HEADERS, 1, raw(request()), END_STREAM) + frame(0xbe, 1),
     goaway("PROTOCOL_ERROR")),
    ("6.1", "DATA on stream 0", BEGIN + frame(DATA, 0, b"x"), goaway("PROTOCOL_ERROR")),
    ("6.1", "DATA with more padding than there is",
     BEGIN + OPEN + frame(DATA, 1, b"\x09xx", PADDED), goaway("PROTOCOL_ERROR")),
    ("6.2", "HEADERS on stream 0", BEGIN + head(0), goaway("PROTOCOL_ERROR")),
    ("6.2", "HEADERS with more padding than there is",
     BEGIN + frame(HEADERS, 1, b"\xff" + raw(request()), 5 | PADDED), goaway("PROTOCOL_ERROR")),
    ("6.2", "HEADERS with padding",
     BEGIN + frame(HEADERS, 1, b"\x03" + raw(request()) + bytes(3), 5 | PADDED), status(200)),
    ("6.3", "PRIORITY on stream 0", BEGIN + frame(PRIORITY, 0, bytes(5)),
     goaway("PROTOCOL_ERROR")),
    ("6.3", "PRIORITY of four bytes", BEGIN + WHOLE + frame(PRIORITY, 1, bytes(4)),
     reset(*SIZE)),
    ("6.4", "RST_STREAM on stream 0", BEGIN + frame(RST_STREAM, 0, number(8)),
     goaway("PROTOCOL_ERROR")),
    ("6.4", "RST_STREAM of three bytes", BEGIN + WHOLE + frame(RST_STREAM, 1, bytes(3)),
     goaway(*SIZE)),
    ("6.5", "an acknowledgement that says something", BEGIN + frame(SETTINGS, 0, bytes(6), ACK),
     goaway(*SIZE)),
    ("6.5", "SETTINGS on a stream", BEGIN + frame(SETTINGS, 1), goaway("PROTOCOL_ERROR")),
    ("6.5", "SETTINGS of five bytes", BEGIN + frame(SETTINGS, 0, bytes(5)), goaway(*SIZE)),
    ("6.5.2", "a setting that is not known", BEGIN + frame(SETTINGS, 0, settings((0xff, 1)))
     + head(1), status(200)),
    ("6.5.2", "ENABLE_PUSH of 2", BEGIN + frame(SETTINGS, 0, settings((2, 2))),
     goaway("PROTOCOL_ERROR")),
    ("6.5.2", "INITIAL_WINDOW_SIZE too large", BEGIN + frame(SETTINGS, 0, settings((4, 1 << 31))),
     goaway("FLOW_CONTROL_ERROR", "PROTOCOL_ERROR")),
    ("6.5.2", "MAX_FRAME_SIZE too small", BEGIN + frame(SETTINGS, 0, settings((5, 16383))),
     goaway("PROTOCOL_ERROR")),
    ("6.5.2", "MAX_FRAME_SIZE too large", BEGIN + frame(SETTINGS, 0, settings((5, 1 << 24))),
     goaway("PROTOCOL_ERROR")),
    ("6.6", "PUSH_PROMISE from a client",
     BEGIN + WHOLE + frame(PUSH_PROMISE, 1, number(2) + raw(request()), END_HEADERS),
     goaway("PROTOCOL_ERROR")),
    ("6.7", "PING on a stream", BEGIN + frame(PING, 1, bytes(8)), goaway("PROTOCOL_ERROR")),
    ("6.7", "PING of six bytes", BEGIN + frame(PING, 0, bytes(6)), goaway(*SIZE)),
    ("6.7", "an answer to no PING", BEGIN + frame(PING, 0, bytes(8), ACK) + head(1), status(200)),
    ("6.8", "GOAWAY on a stream", BEGIN + frame(GOAWAY, 1, bytes(8)), goaway("PROTOCOL_ERROR")),
    ("6.9", "WINDOW_UPDATE of nothing", BEGIN + frame(WINDOW_UPDATE, 0, number(0)),
     goaway("PROTOCOL_ERROR")),
    ("6.9", "WINDOW_UPDATE of nothing on a stream", BEGIN + WHOLE
     + frame(WINDOW_UPDATE, 1, number(0)), reset("PROTOCOL_ERROR")),
    ("6.9", "WINDOW_UPDATE of three bytes", BEGIN + frame(WINDOW_UPDATE, 0, bytes(3)),
     goaway(*SIZE)),
    ("6.9.1", "a window beyond its limit", BEGIN + frame(WINDOW_UPDATE, 0, number((1 << 31) - 1)),
     goaway("FLOW_CONTROL_ERROR")),
    ("6.9.1", "a stream's window beyond its limit",
     BEGIN + WHOLE + frame(WINDOW_UPDATE, 1, number((1 << 31) - 1)), reset("FLOW_CONTROL_ERROR")),
    ("6.9.2", "SETTINGS that put a window beyond its limit",
     BEGIN + WHOLE + frame(WINDOW_UPDATE, 1, number((1 << 31) - 65536))
     + frame(SETTINGS, 0, settings((4, 65536))), goaway("FLOW_CONTROL_ERROR")),
    ("6.9", "more of a body than the window allows",
     BEGIN + head(1, request("/hold", "POST"), END_HEADERS)
     + b"".join(frame(DATA, 1, bytes(16384)) for _ in range(33)), reset("FLOW_CONTROL_ERROR")),
    ("6.10", "CONTINUATION on stream 0",
     BEGIN + frame(HEADERS, 1, raw(request()), END_STREAM)
     + frame(CONTINUATION, 0, b"", END_HEADERS), goaway("PROTOCOL_ERROR")),
    ("6.10", "CONTINUATION after the end of a head", BEGIN + WHOLE
     + frame(CONTINUATION, 1, b"", END_HEADERS), goaway("PROTOCOL_ERROR")),
    ("6.10", "a head in pieces",
     BEGIN + frame(HEADERS, 1, raw(request())[:20], END_STREAM)
     + frame(CONTINUATION, 1, raw(request())[20:], END_HEADERS), status(200)),
    ("8.1", "trailers that do not end the stream",
     BEGIN + OPEN + frame(HEADERS, 1, raw([("x", "y")]), END_HEADERS), reset("PROTOCOL_ERROR")),
    # Malformed, and h2 takes it for nothing: no backend sees the field.
    ("8.1", "trailers with a pseudo-header field",
     BEGIN + OPEN + frame(HEADERS, 1, raw([(":method", "GET")]), 5), status(200)),
    ("8.1", "trailers", BEGIN + OPEN + frame(DATA, 1, b"x") + frame(HEADERS, 1, raw([("x", "y")]),
                                                                  5), status(200)),
    ("8.1.1", "a body longer than declared", post(3, b"four"), reset("PROTOCOL_ERROR")),
    ("8.1.1", "a body shorter than declared", post(5, b"four"), reset("PROTOCOL_ERROR")),
    ("8.1.1", "a body longer than declared, in pieces", post(5, b"four", b"four"),
     reset("PROTOCOL_ERROR")),
    ("8.1.1", "no body where one is declared",
     fields(("content-length", "4"), method="POST"), reset("PROTOCOL_ERROR")),
    ("8.1.1", "a length that is no number", fields(("content-length", "0x4"), method="POST"),
     reset("PROTOCOL_ERROR")),
    ("8.1.1", "two lengths", BEGIN + head(1, request("/", "POST", [
        ("content-length", "4"), ("content-length", "5")]), END_HEADERS),
     reset("PROTOCOL_ERROR")),
    ("8.1.1", "a body as declared", post(8, b"four", b"", b"four"), status(200)),
    ("8.2.1", "a name with capitals", fields(("X-Name", "y")), reset("PROTOCOL_ERROR")),
    ("8.2.1", "a name with a blank", fields(("x name", "y")), reset("PROTOCOL_ERROR")),
    ("8.2.1", "a name with a colon", fields(("x:name", "y")), reset("PROTOCOL_ERROR")),
    ("8.2.1", "an empty name", fields(("", "y")), reset("PROTOCOL_ERROR")),
    ("8.2.1", "a value with a line's end", fields(("x", "y\r\nz: 1")), reset(*HPACK)),
    ("8.2.1", "a value with a zero", fields(("x", "y\0")), reset(*HPACK)),
    ("8.2.1", "a value with white space before it", fields(("x", " y")), status(400)),
    ("8.2.1", "a value with white space behind it", fields(("x", "y\t")), status(400)),
    ("8.2.2", "Connection", fields(("connection", "close")), reset("PROTOCOL_ERROR")),
    ("8.2.2", "Keep-Alive", fields(("keep-alive", "1")), reset("PROTOCOL_ERROR")),
    ("8.2.2", "Proxy-Connection", fields(("proxy-connection", "1")), reset("PROTOCOL_ERROR")),
    ("8.2.2", "Transfer-Encoding", fields(("transfer-encoding", "chunked")),
     reset("PROTOCOL_ERROR")),
    ("8.2.2", "Upgrade", fields(("upgrade", "websocket")), reset("PROTOCOL_ERROR")),
    ("8.2.2", "TE of another coding", fields(("te", "gzip")), reset("PROTOCOL_ERROR")),
    ("8.2.2", "TE of trailers", fields(("te", "trailers")), status(200)),
    ("8.3", "an unknown pseudo-header field", fields((":x", "y")), reset("PROTOCOL_ERROR")),
    ("8.3", "a response's pseudo-header field", fields((":status", "200")),
     reset("PROTOCOL_ERROR")),
    ("8.3", "a pseudo-header field behind another",
     BEGIN + head(1, [("x", "y")] + request()), reset("PROTOCOL_ERROR")),
    ("8.3", "two methods", fields((":method", "GET")), reset("PROTOCOL_ERROR")),
    ("8.3", "two schemes", fields((":scheme", "https")), reset("PROTOCOL_ERROR")),
    ("8.3", "two paths", fields((":path", "/")), reset("PROTOCOL_ERROR")),
    ("8.3", "two authorities", fields((":authority", "localhost")), reset("PROTOCOL_ERROR")),
    ("8.3.1", "no method", fields(without=[":method"]), reset("PROTOCOL_ERROR")),
    ("8.3.1", "no scheme", fields(without=[":scheme"]), reset("PROTOCOL_ERROR")),
    ("8.3.1", "no path", fields(without=[":path"]), reset("PROTOCOL_ERROR")),
    ("8.3.1", "an empty path", fields(path=""), reset("PROTOCOL_ERROR")),
    ("8.3.1", "a path without a slash", fields(path="x"), reset("PROTOCOL_ERROR")),
    ("8.3.1", "a path with a blank", fields(path="/a b"), reset("PROTOCOL_ERROR")),
    ("8.3.1", "an asterisk", fields(path="*"), status(400)),
    ("8.3.1", "an asterisk of OPTIONS", fields(path="*", method="OPTIONS"), status(200)),
    ("8.3.1", "no host at all", fields(without=[":authority"]), status(400)),
    ("8.3.1", "Host in place of an authority", fields(("host", "localhost"),
                                                      without=[":authority"]), status(200)),
    ("8.3.1", "Host beside an authority", fields(("host", "localhost")), status(200)),
    ("8.3.1", "another Host beside an authority", fields(("host", "other.example")), status(400)),
    ("8.3.1", "an authority with a user",
     fields((":authority", "u@localhost"), without=[":authority"]), status(400)),
    ("8.5", "CONNECT", BEGIN + head(1, [(":method", "CONNECT"), (":authority", "localhost:22")]),
     status(400)),
    ("8.5", "CONNECT with a path", fields(method="CONNECT"), reset("PROTOCOL_ERROR")),
    ("RFC 8441 4", "a protocol that was not offered",
     BEGIN + head(1, request(method="CONNECT", more=[]) + [(":protocol", "websocket")]),
     reset("PROTOCOL_ERROR")),
    ("6.5.2", "a head beyond the limit", fields(("x", "y" * 33000)), status(431)),
    ("6.5.2", "a head with too many fields", fields(*[("x", "y")] * 101), status(431)),
    ("6.5.2", "a head far beyond the limit", fields(*[("x", "y" * 8000)] * 9), status(431)),
]


def codes_of(conn, kind):
    """The codes of all frames of a kind."""
    return [CODES[f.error_code] for f in conn.frames if f.type == kind]


def judge(conn, wanted):
    """None, or what came in place of what was wanted."""
    kind, detail = wanted
    if wanted is CLOSED:
        conn.until(lambda _: False)
        return None if conn.ended else "the connection goes on"
    if kind == "an answer":
        came = conn.status(1)
        return None if came == detail else f"status {came}"
    ends = (GOAWAY,) if kind == "the connection ends" else (GOAWAY, RST_STREAM)
    conn.until(lambda f: f.type in ends and f.error_code != 0)
    said = [code for kind in ends for code in codes_of(conn, kind)]
    if not any(code in detail for code in said):
        return f"{said or 'no error'}"
    if codes_of(conn, GOAWAY) and not conn.until(lambda _: conn.ended, 5) and not conn.ended:
        return "the connection goes on after GOAWAY"
    return None


def goes_on(conn):
    """After an error of one stream another is answered. Odd and high: no row has used it."""
    conn.send(head(1001))
    return conn.status(1001) == 200


def run(port, row):
    section, name, sent, wanted = row
    conn = Conn(port, sent)
    try:
        wrong = judge(conn, wanted)
        over = conn.ended or codes_of(conn, GOAWAY)
        if not wrong and wanted[0] in ("the stream ends", "an answer") and not over:
            wrong = None if goes_on(conn) else "no other stream is answered"
        return wrong
    finally:
        conn.close()


def main():
    port = int(sys.argv[1])
    failed = 0
    for row in ROWS:
        wrong = run(port, row)
        if wrong:
            failed += 1
            wanted, detail = row[3]
            print(f"RFC 9113 section {row[0]}: {row[1]}: expected: {wanted} {detail}; {wrong}")
    # Nothing of all this has harmed the server.
    conn = Conn(port, BEGIN + head(1))
    alive = conn.status(1) == 200
    print(f"{len(ROWS) - failed} of {len(ROWS)} rows hold; the server is "
          f"{'well' if alive else 'NOT WELL'}")
    sys.exit(0 if alive and not failed else 1)


main()
