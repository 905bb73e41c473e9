"""What a client can do to a server of HTTP, each for some seconds. Fails where the server lets it.

usage: attacks.py ATTACK PORT SECONDS"""

import socket
import sys
import time
from collections import Counter

from wire import (CODES, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING,
                  PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, Conn, frame, head, number,
                  raw, request, settings)

BEGIN = PREFACE + frame(SETTINGS, 0)
CALM = "ENHANCE_YOUR_CALM"
# How much of a flood is sent at a time.
BURST = 500


def last_word(conn):
    """The code of GOAWAY, or how the connection ended without one."""
    codes = [CODES[f.error_code] for f in conn.frames if f.type == GOAWAY]
    return codes[-1] if codes else ("closed" if conn.ended else "nothing")


class Report:
    def __init__(self):
        self.connections, self.frames, self.words = 0, 0, Counter()

    def ended(self, conn):
        conn.until(lambda f: f.type == GOAWAY, 2)
        self.words[last_word(conn)] += 1
        conn.close()

    def tell(self):
        words = ", ".join(f"{word} {count}" for word, count in self.words.most_common())
        print(f"{self.connections} connections, {self.frames} frames; the last word: {words}")


def flood(port, until, report, pieces):
    """Sends the pieces, `(frames, bytes)` each, until the server has had enough, again and again."""
    while time.monotonic() < until:
        conn = Conn(port, BEGIN)
        report.connections += 1
        for frames, piece in pieces():
            report.frames += frames
            if not conn.send(piece) or time.monotonic() > until:
                break
            conn.poll(0)
            if conn.ended or any(f.type == GOAWAY for f in conn.frames):
                break
        report.ended(conn)


def rapid_reset(port, until, report):
    """CVE-2023-44487: requests that are taken back in the same breath."""
    def pieces():
        for first in range(1, 1 << 24, 2 * BURST):
            burst = [head(n) + frame(RST_STREAM, n, number(8))
                     for n in range(first, first + 2 * BURST, 2)]
            yield 2 * BURST, b"".join(burst)
    flood(port, until, report, pieces)
    return report.words[CALM] > 0


def patient_reset(port, until, report):
    """The same, each only once the server has begun with it."""
    while time.monotonic() < until:
        conn = Conn(port, BEGIN)
        report.connections += 1
        for n in range(1, 1 << 24, 2):
            report.frames += 2
            conn.send(head(n, request("/hold")) + frame(PING, 0, number(n) * 2))
            pong = conn.until(lambda f: f.type == GOAWAY or f.type == PING and "ACK" in f.flags
                              and f.opaque_data == number(n) * 2, 2)
            if pong is None or pong.type == GOAWAY or time.monotonic() > until:
                break
            conn.send(frame(RST_STREAM, n, number(8)))
            conn.frames.clear()
        report.ended(conn)
    return report.words[CALM] > 0


def continuation(port, until, report):
    """CVE-2024-27316: a head that does not end."""
    def pieces():
        yield 1, frame(HEADERS, 1, raw(request()), END_STREAM)
        more = frame(CONTINUATION, 1, raw([("x", "y" * 100)] * 10))
        while True:
            yield 10, more * 10
    flood(port, until, report, pieces)
    return report.words[CALM] > 0


def empty_continuation(port, until, report):
    """The same, and nothing in it."""
    def pieces():
        yield 1, frame(HEADERS, 1, raw(request()), END_STREAM)
        while True:
            yield BURST, frame(CONTINUATION, 1) * BURST
    flood(port, until, report, pieces)
    return report.words[CALM] > 0


def hpack_bomb(port, until, report):
    """CVE-2016-6581: few bytes that stand for many."""
    def pieces():
        # A field of 4000 bytes into the table, then references to it.
        literal = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000
        for n in range(1, 1 << 24, 2):
            yield 1, frame(HEADERS, n, raw(request()) + literal + b"\xbe" * 12000, 5)
    flood(port, until, report, pieces)
    return report.words[CALM] > 0


def of_frames(piece):
    def attack(port, until, report):
        def pieces():
            while True:
                yield BURST, piece * BURST
        flood(port, until, report, pieces)
        return report.words[CALM] > 0
    return attack


def empty_data(port, until, report):
    """CVE-2019-9518: pieces of a body with nothing in them."""
    def pieces():
        yield 1, head(1, request("/echo", "POST"), END_HEADERS)
        while True:
            yield BURST, frame(DATA, 1) * BURST
    flood(port, until, report, pieces)
    return report.words[CALM] > 0


def small_data(port, until, report):
    """Pieces of one byte that nobody takes, since the backend does not read."""
    def pieces():
        yield 1, head(1, request("/hold", "POST"), END_HEADERS)
        for _ in range(1000):
            yield 200, frame(DATA, 1, b"x") * 200
    flood(port, until, report, pieces)
    return True


def takes_nothing(port, until, report, window, path):
    """CVE-2019-9517 and zero windows: answers are asked for and not taken. Each connection has to be
    rid of its streams in time, whatever it does."""
    conns = []
    for _ in range(12):
        begin = PREFACE + frame(SETTINGS, 0, settings((4, window)))
        if window:
            begin += frame(WINDOW_UPDATE, 0, number(window - 65535))
        conn = Conn(port, begin, receive_buffer=4096)
        conn.send(b"".join(head(n, request(path)) for n in range(1, 201, 2)))
        conns.append(conn)
        report.connections += 1
        report.frames += 100
    while time.monotonic() < until:
        time.sleep(0.05)
    # Those that wait the longest are over by now: their streams, or the connection under them.
    for conn in conns:
        over = conn.until(lambda f: f.type in (RST_STREAM, GOAWAY), 5)
        report.words["a stream ends" if over else "closed" if conn.ended else "nothing"] += 1
        conn.close()
    return report.words["nothing"] == 0


def zero_windows(port, until, report):
    return takes_nothing(port, until, report, 0, "/bytes?n=60000")


def no_reading(port, until, report):
    return takes_nothing(port, until, report, (1 << 31) - 1, "/bytes?n=60000")


def slow(port, until, report, begin, drip, alpn=None):
    """Many that send a little now and then; each has to be ended by the server."""
    conns = []
    for _ in range(60):
        if alpn:
            conn = Conn(port, begin, alpn=alpn).socket
        else:
            conn = socket.create_connection(("127.0.0.1", port))
            conn.sendall(begin)
        conns.append(conn)
        report.connections += 1
    while conns and time.monotonic() < until + 3:
        for conn in list(conns):
            conn.settimeout(0.001)
            try:
                conn.sendall(drip)
                while conn.recv(65536):
                    pass
                ended = True
            except TimeoutError:
                ended = False
            except OSError:
                ended = True
            if ended:
                conns.remove(conn)
                conn.close()
                report.words["closed"] += 1
        time.sleep(0.3)
    report.words["nothing"] += len(conns)
    return not conns


def slow_heads(port, until, report):
    return slow(port, until, report, b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n")


def slow_heads_http2(port, until, report):
    begin = BEGIN + frame(HEADERS, 1, raw(request()), END_STREAM)
    return slow(port, until, report, begin, b"", "h2")


def slow_bodies(port, until, report):
    """The drip is nothing at all: a body that stops is ended."""
    begin = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"
    return slow(port, until, report, begin, b"")


def slow_bodies_http2(port, until, report):
    """Each stream of each connection is answered with 408 in time."""
    conns = []
    for _ in range(40):
        conn = Conn(port, BEGIN)
        for n in (1, 3, 5):
            conn.send(head(n, request("/echo", "POST"), END_HEADERS) + frame(DATA, n, b"x"))
        conns.append(conn)
        report.connections += 1
    for conn in conns:
        for n in (1, 3, 5):
            report.words[f"status {conn.status(n, max(until - time.monotonic(), 1))}"] += 1
        conn.close()
    return set(report.words) == {"status 408"}


def ask(conn):
    """One request of HTTP/1.1, and whether its answer came whole."""
    try:
        conn.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = conn.recv(65536)
        while b"\r\n\r\n" not in answer:
            answer += conn.recv(65536)
        head, body = answer.split(b"\r\n\r\n", 1)
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length:"))
        while len(body) < length:
            piece = conn.recv(65536)
            if not piece:
                return False
            body += piece
        return head.startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


# So many a second: those who come pay for what a server keeps for a while, those who rest do not.
IDLE_RATE = 1500


def idle(port, until, report):
    """Ten thousand that ask once, and stay. All have to be there at the end, and served again."""
    conns, begin = [], time.monotonic()
    for number in range(10_000):
        time.sleep(max(0, begin + number / IDLE_RATE - time.monotonic()))
        conn = socket.create_connection(("127.0.0.1", port), 10)
        report.connections += 1
        report.words["answered" if ask(conn) else "unanswered"] += 1
        conns.append(conn)
    while time.monotonic() < until:
        time.sleep(0.05)
    for conn in conns:
        # An end, or a byte that nobody asked for, would be there to be read.
        conn.setblocking(False)
        try:
            conn.recv(1, socket.MSG_PEEK)
            report.words["closed"] += 1
        except BlockingIOError:
            report.words["open"] += 1
        except OSError:
            report.words["closed"] += 1
        conn.settimeout(10)
    for conn in conns[::50]:
        report.words["answered again" if ask(conn) else "unanswered"] += 1
    return report.words == {"answered": 10_000, "open": 10_000, "answered again": 200}


ATTACKS = {
    "rapid_reset": rapid_reset,
    "patient_reset": patient_reset,
    "continuation": continuation,
    "empty_continuation": empty_continuation,
    "hpack_bomb": hpack_bomb,
    # CVE-2019-9512, CVE-2019-9515, CVE-2019-9513, and windows that open by one byte.
    "pings": of_frames(frame(PING, 0, bytes(8))),
    "settings": of_frames(frame(SETTINGS, 0, settings((4, 65535)))),
    "priorities": of_frames(frame(PRIORITY, 1, bytes(4) + b"\x10")),
    "windows": of_frames(frame(WINDOW_UPDATE, 0, number(1))),
    "empty_data": empty_data,
    "small_data": small_data,
    "zero_windows": zero_windows,
    "no_reading": no_reading,
    "slow_heads": slow_heads,
    "slow_heads_http2": slow_heads_http2,
    "slow_bodies": slow_bodies,
    "slow_bodies_http2": slow_bodies_http2,
    "idle": idle,
}


def main():
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    report = Report()
    held = ATTACKS[name](port, time.monotonic() + seconds, report)
    report.tell()
    sys.exit(0 if held else 1)


main()
