"""Backends that fail, each request in the way that its path names, and the cause that is right.

They run beside the load. None of them is ever stopped: what fails here fails by its script alone.
"""

import asyncio
import collections
import dataclasses
import socket
import struct
import urllib.parse

HOLD_S = 6.0
"""How long a stall lasts at most; the proxy's patience is two seconds."""
SETTLE_S = 0.05
"""Between the last bytes and what follows, so that they are two events and not one."""
QUEUE_S = 0.5
OK = b"HTTP/1.1 200 OK\r\n"
HALF = OK + b"Content-Type: text/plain\r\nContent-Le"
LONG = b"x" * 40_000


@dataclasses.dataclass(frozen=True)
class Row:
    """What the backend sends and how it ends; which causes are right, and what the client gets: a
    `page` of the proxy's, a `cut` body, or the backend's own answer, `passed` on."""

    name: str
    sends: bytes
    ends: str
    causes: tuple
    outcome: str = "page"


def _answer(fields, body=b""):
    return OK + fields + b"\r\n\r\n" + body


ROWS = [
    Row("close", b"", "fin", ("closed_before_response",)),
    Row("reset", b"", "rst", ("reset_before_response",)),
    Row("head-cut", HALF, "fin", ("closed_mid_headers",)),
    Row("head-reset", HALF, "rst", ("closed_mid_headers",)),
    Row("garbage", b"\x13\x37\x00\xff nonsense\r\n\r\n", "fin", ("peer_is_other_protocol",)),
    Row("mail", b"220 mail.example ESMTP\r\n", "fin", ("peer_is_other_protocol",)),
    Row("status-line", b"HTTP/1.1 abc OK\r\n\r\n", "fin", ("invalid_status_line",)),
    Row("header", _answer(b"Bad Name: x\r\nContent-Length: 0"), "fin", ("invalid_header",)),
    Row("lengths", _answer(b"Content-Length: 5\r\nContent-Length: 6", b"12345"), "fin",
        ("ambiguous_framing",)),
    Row("large", _answer(b"X-Large: " + b"x" * 80_000), "fin", ("header_section_too_large",)),
    Row("many", _answer(b"\r\n".join(b"X-%d: 1" % number for number in range(200))), "fin",
        ("too_many_headers",)),
    Row("interim", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200, "fin",
        ("too_many_interim_responses",)),
    Row("silence", b"", "stall", ("first_byte_timeout",)),
    Row("head-stall", HALF, "stall", ("header_stall_timeout",)),
    Row("nothing", _answer(b"Content-Length: 10"), "fin", ("body_closed_short",)),
    Row("short", _answer(b"Content-Length: 100000", LONG), "fin", ("body_closed_short",), "cut"),
    Row("body-reset", _answer(b"Content-Length: 100000", LONG), "rst", ("body_reset",), "cut"),
    Row("body-stall", _answer(b"Content-Length: 100000", LONG), "stall", ("body_stall_timeout",),
        "cut"),
    Row("chunk-cut", _answer(b"Transfer-Encoding: chunked", b"9c40\r\n" + LONG + b"\r\n"), "fin",
        ("chunked_truncated",), "cut"),
    Row("chunk-bad", _answer(b"Transfer-Encoding: chunked", b"9c40\r\n" + LONG + b"\r\nxyz\r\n"),
        "fin", ("bad_chunk",), "cut"),
    Row("error", b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops", "fin",
        ("upstream_error_status",), "passed"),
    Row("closed", b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nsoon", "fin",
        ("upstream_unavailable",), "passed"),
]
BY_NAME = {row.name: row for row in ROWS}


class Liars:
    """One port for the rows, one whose kept connections go stale, one for the queue, one with TLS,
    one without it, and a name server that knows no name."""

    def __init__(self):
        self.seen = collections.Counter()
        self.servers = []
        self.ports = {}

    async def start(self, tls):
        doors = {"rows": (self.scripted, None), "stale": (self.stale, None),
                 "queue": (self.slow, None), "tls_liar": (self.slow, tls),
                 "plain": (self.plain, None)}
        for name, (serve, context) in doors.items():
            server = await asyncio.start_server(
                _guarded(serve), "127.0.0.1", 0, ssl=context, backlog=512)
            self.servers.append(server)
            self.ports[name] = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            NoNames, ("127.0.0.1", 0))
        self.servers.append(transport)
        self.ports["dns"] = transport.get_extra_info("sockname")[1]

    def stop(self):
        for server in self.servers:
            server.close()

    async def scripted(self, reader, writer):
        path, name = await self.asked(reader)
        row = BY_NAME.get(path.rpartition("/")[2])
        if row is None:
            # The proxy's own question, once something has failed: what is spoken here?
            return
        self.seen[name] += 1
        writer.write(row.sends)
        await writer.drain()
        if row.ends == "stall":
            # Until the proxy gives up.
            await asyncio.wait_for(reader.read(), HOLD_S)
        elif row.ends == "rst":
            await asyncio.sleep(SETTLE_S if row.sends else 0)
            reset(writer)

    async def stale(self, reader, writer):
        """Answers the first request of a connection and hangs up on the second."""
        await self.asked(reader)
        writer.write(_answer(b"Content-Length: 5", b"fresh"))
        await writer.drain()
        await self.asked(reader)

    async def slow(self, reader, writer):
        while True:
            await self.asked(reader)
            await asyncio.sleep(QUEUE_S)
            writer.write(_answer(b"Content-Length: 4", b"slow"))
            await writer.drain()

    async def plain(self, reader, writer):
        """Takes whatever comes for HTTP, as a web server does at its port without TLS."""
        await reader.read(16 * 1024)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def asked(self, reader):
        """Path and id of the next request, its body read."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip().split("\r\n")
        for field in fields:
            name, _, value = field.partition(":")
            if name.lower() == "content-length":
                await reader.readexactly(int(value))
        url = urllib.parse.urlsplit(line.split(" ")[1])
        return url.path, dict(urllib.parse.parse_qsl(url.query)).get("id")


def _guarded(serve):
    async def connected(reader, writer):
        try:
            await serve(reader, writer)
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.CancelledError):
            # Left, or the soak ends; who waited in vain is the client, and says so.
            pass
        finally:
            writer.close()

    return connected


def reset(writer):
    """Ends a connection with a RST (SO_LINGER of zero seconds, socket(7))."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class NoNames(asyncio.DatagramProtocol):
    """Answers every question with NXDOMAIN (RFC 1035 section 4.1.1)."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if len(data) < 12:
            return
        counts = struct.pack("!HHHH", 1, 0, 0, 0)
        # The question ends after its name's zero byte, type and class.
        end = data.index(b"\0", 12) + 5
        self.transport.sendto(data[:2] + b"\x81\x83" + counts + data[12:end], address)
