"""HTTP/2 by hand: frames as they are, sound or not, over TLS. What both scripts here share.

Frames are read by hyperframe and heads by hpack, neither of which the server under test knows."""

import socket
import ssl
import struct
import time

import hpack
from hyperframe.frame import Frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9

END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

# RFC 9113 section 6.5.2: what nobody has to be asked for.
FRAME_MAX = 16384

# RFC 9113 section 7.
CODES = [
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
    "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
]


def frame(kind, stream, payload=b"", flags=0):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def number(value):
    return struct.pack(">I", value)


def settings(*pairs):
    return b"".join(struct.pack(">HI", key, value) for key, value in pairs)


def request(path="/", method="GET", more=(), without=()):
    fields = [(":method", method), (":scheme", "https"), (":authority", "localhost"),
              (":path", path)]
    return [field for field in fields if field[0] not in without] + list(more)


def raw(fields):
    """A header block of literals that are never indexed: it says what it is given, and leaves the
    tables of both sides alone."""
    block = b""
    for name, value in fields:
        block += b"\x10" + text(name) + text(value)
    return block


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    length = len(value)
    if length < 127:
        return bytes([length]) + value
    # RFC 7541 section 5.1.
    prefix, length = b"\x7f", length - 127
    while length >= 128:
        prefix, length = prefix + bytes([length % 128 + 128]), length // 128
    return prefix + bytes([length]) + value


def head(stream, fields=None, flags=END_STREAM | END_HEADERS):
    """A head, in as many frames as it needs."""
    block = raw(request() if fields is None else fields)
    pieces = [block[at:at + FRAME_MAX] for at in range(0, len(block), FRAME_MAX)]
    first = flags if len(pieces) == 1 else flags & ~END_HEADERS
    frames = [frame(HEADERS, stream, pieces[0], first)]
    for piece in pieces[1:]:
        last = END_HEADERS if piece is pieces[-1] else 0
        frames.append(frame(CONTINUATION, stream, piece, last))
    return b"".join(frames)


class Conn:
    """One connection; `frames` are those that have come."""

    def __init__(self, port, begin=PREFACE + frame(SETTINGS, 0), receive_buffer=None, alpn="h2"):
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(10)
        plain.connect(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([alpn])
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        assert self.socket.selected_alpn_protocol() == alpn, "another protocol was agreed on"
        self.hpack = hpack.Decoder()
        self.unread, self.frames, self.ended = b"", [], False
        self.send(begin)

    def send(self, data):
        """False once the other side takes nothing any more."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def poll(self, seconds):
        """Reads once, for so long at most. False when nothing came."""
        self.socket.settimeout(seconds)
        try:
            piece = self.socket.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            piece = b""
        finally:
            self.socket.settimeout(10)
        if not piece:
            self.ended = True
            return False
        self.unread += piece
        while len(self.unread) >= 9:
            read, length = Frame.parse_frame_header(memoryview(self.unread[:9]))
            if len(self.unread) < 9 + length:
                break
            read.parse_body(memoryview(self.unread[9:9 + length]))
            self.unread = self.unread[9 + length:]
            if read.type in (HEADERS, CONTINUATION):
                read.fields = dict(self.hpack.decode(read.data))
            self.frames.append(read)
        return True

    def until(self, wanted, seconds=5.0):
        """The first frame that is wanted, or None."""
        deadline, seen = time.monotonic() + seconds, 0
        while True:
            for found in self.frames[seen:]:
                if wanted(found):
                    return found
            seen = len(self.frames)
            left = deadline - time.monotonic()
            if self.ended or left <= 0:
                return None
            self.poll(left)

    def status(self, stream, seconds=5.0):
        found = self.until(lambda f: f.type == HEADERS and f.stream_id == stream, seconds)
        return found and int(found.fields[":status"])

    def close(self):
        self.socket.close()
