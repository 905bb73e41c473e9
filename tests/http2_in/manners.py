"""How a connection of HTTP/2 and its streams come to their ends, one case at a time.

usage: manners.py CASE PORT PROCESS"""

import os
import signal
import sys
import time

from wire import (ACK, CODES, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE,
                  RST_STREAM, SETTINGS, WINDOW_UPDATE, Conn, frame, head, number, request)

BEGIN = PREFACE + frame(SETTINGS, 0)


def body(conn, stream, seconds=5.0):
    """What a stream brings until it ends, and how that is."""
    end = conn.until(lambda f: f.stream_id == stream and (
        f.type == RST_STREAM or f.type in (DATA, HEADERS) and "END_STREAM" in f.flags), seconds)
    data = b"".join(f.data for f in conn.frames if f.type == DATA and f.stream_id == stream)
    if end is None:
        return data, "nothing"
    return data, CODES[end.error_code] if end.type == RST_STREAM else "whole"


def farewell(conn, seconds):
    """The code of the last GOAWAY before the connection's end, and how long that took."""
    began = time.monotonic()
    # Answers to PINGs are what a polite client has: a graceful end waits for one.
    seen = 0
    while not conn.ended and time.monotonic() - began < seconds:
        conn.poll(0.1)
        for ping in conn.frames[seen:]:
            if ping.type == PING and "ACK" not in ping.flags:
                conn.send(frame(PING, 0, ping.opaque_data, ACK))
        seen = len(conn.frames)
    codes = [CODES[f.error_code] for f in conn.frames if f.type == GOAWAY]
    return (codes[-1] if codes else None), conn.ended, time.monotonic() - began


def forwarded(port, _):
    """What the backend sees."""
    conn = Conn(port, BEGIN + head(1, request(more=[
        ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")])))
    said, end = body(conn, 1)
    said = said.decode()
    assert end == "whole", end
    assert "Host: localhost\r\n" in said and "cookie: a=1; b=2\r\n" in said, said
    assert "Via: 2.0 causeway-" in said and "X-Forwarded-Proto: https\r\n" in said, said
    assert ":authority" not in said, said
    answer = next(f.fields for f in conn.frames if f.type == HEADERS)
    assert "date" in answer and "connection" not in answer, answer


def asked_to_go_on(port, _):
    conn = Conn(port, BEGIN + head(1, request("/echo", "POST", [
        ("content-length", "4"), ("expect", "100-continue")]), END_HEADERS))
    assert conn.status(1) == 100
    conn.send(frame(DATA, 1, b"four", END_STREAM))
    assert conn.until(lambda f: f.type == HEADERS and f.fields[":status"] == "200"), conn.frames


def cut(port, _):
    """A cut answer does not look whole, and the streams beside it go on."""
    wide = frame(WINDOW_UPDATE, 0, number(1 << 24))
    conn = Conn(port, BEGIN + wide + head(1, request("/cut")) + frame(WINDOW_UPDATE, 1,
                                                                   number(1 << 24))
                + head(3, request("/late")))
    data, end = body(conn, 1)
    # What h2 had not written when the backend broke off goes with the stream.
    assert 0 < len(data) <= 100_000 and end == "INTERNAL_ERROR", (len(data), end)
    assert body(conn, 3)[1] == "whole"


def silent(port, _):
    """No request within header_timeout."""
    code, ended, took = farewell(Conn(port, BEGIN), 6)
    assert (code, ended) == ("NO_ERROR", True) and 1.5 < took < 4, (code, ended, took)


def without_preface(port, _):
    """Not even a preface, within the same time."""
    code, ended, took = farewell(Conn(port, PREFACE[:10]), 6)
    assert (code, ended) == (None, True) and 1.5 < took < 4, (code, ended, took)


def idle(port, _):
    """No request for keepalive_timeout; PINGs are none."""
    conn = Conn(port, BEGIN + head(1))
    assert body(conn, 1)[1] == "whole"
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        conn.send(frame(PING, 0, bytes(8)))
        conn.poll(0.1)
        time.sleep(0.2)
    code, ended, took = farewell(conn, 6)
    assert (code, ended) == ("NO_ERROR", True) and took < 2.5, (code, ended, took)


def unheard(port, _):
    """A client that is told to go and says nothing to it is not waited for."""
    conn = Conn(port, BEGIN)
    began = time.monotonic()
    conn.until(lambda _: False, 8)
    took = time.monotonic() - began
    assert conn.ended and took < 7, took


def drained(port, process):
    """A stop lets what is under way come to its end, and says that nothing more is taken."""
    conn = Conn(port, BEGIN + head(1, request("/late")))
    conn.poll(0.3)
    os.kill(process, signal.SIGTERM)
    code, ended, _ = farewell(conn, 6)
    assert (code, ended) == ("NO_ERROR", True), (code, ended)
    assert body(conn, 1)[1] == "whole", conn.frames


def one_too_many(port, _):
    """The second connection where one is allowed."""
    first = Conn(port, BEGIN + head(1))
    assert first.status(1) == 200
    second = Conn(port, BEGIN + head(1))
    assert second.status(1) == 429
    code, ended, _ = farewell(second, 6)
    assert (code, ended) == ("NO_ERROR", True), (code, ended)


def turns(port, _):
    """More requests than are under way at once are all answered."""
    conn = Conn(port, BEGIN + b"".join(head(n, request("/late")) for n in range(1, 201, 2)))
    for n in range(1, 201, 2):
        assert body(conn, n, 10)[1] == "whole", n


CASES = [forwarded, asked_to_go_on, cut, silent, without_preface, idle, unheard, drained,
         one_too_many, turns]


def main():
    name, port, process = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    next(case for case in CASES if case.__name__ == name)(port, process)


main()
