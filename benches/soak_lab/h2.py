"""As much of HTTP/2 (RFC 9113) as the soak's client needs: many requests on one connection.

Of the response's fields only :status is read, and only where it is an entry of the static table;
what failed says so in its body too.
"""

import asyncio
import hashlib
import json
import struct

from wire import PATIENCE_S, TEXT_MAX, Answer, Cut

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY = 1, 4, 1, 8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_MAX = 16_384
WINDOW = 65_535
# RFC 7541 appendix A, entries 8 to 14.
STATUSES = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4


class Stream:
    def __init__(self, credit):
        self.answer = Answer(0, {})
        self.total = hashlib.sha256()
        self.kept = []
        self.credit = credit
        self.done = asyncio.get_running_loop().create_future()

    def end(self, error=None):
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
            return
        self.answer.sha256 = self.total.hexdigest()
        self.answer.text = b"".join(self.kept)
        self.done.set_result(self.answer)


class Client:
    """One connection, opened when it is needed; `ask` may be called by several tasks at once."""

    def __init__(self, port, tls):
        self.port, self.tls = port, tls
        self.opening = asyncio.Lock()
        self.reset()

    def reset(self):
        self.reader = self.writer = self.task = None
        self.streams = {}
        self.next = 1
        self.credit = self.initial = WINDOW
        self.leaving = False
        self.fresh = True
        self.more = asyncio.Event()

    def close(self, error=None):
        streams, task, writer = self.streams, self.task, self.writer
        self.reset()
        if writer is not None:
            writer.transport.abort()
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        for stream in streams.values():
            stream.end(error or Cut("the connection was closed"))

    async def open(self):
        async with self.opening:
            self.fresh = self.writer is None or self.leaving
            if not self.fresh:
                return
            self.close()
            self.fresh = True
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.tls, server_hostname="soak.example")
            if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
                writer.transport.abort()
                raise Cut("no HTTP/2 was agreed on")
            self.reader, self.writer = reader, writer
            settings = struct.pack("!HI", HEADER_TABLE_SIZE, 0)
            writer.write(PREFACE + frame(SETTINGS, 0, 0, settings))
            self.task = asyncio.create_task(self.listen())

    async def ask(self, method, target, body=None):
        """One request and its answer, whole."""
        number = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.open()
                number, self.next = self.next, self.next + 2
                stream = self.streams[number] = Stream(self.initial)
                flags = END_HEADERS | (END_STREAM if body is None else 0)
                self.writer.write(frame(HEADERS, flags, number, block(method, target, body)))
                if body is not None:
                    await self.send(number, stream, body)
                return await stream.done
        except TimeoutError as error:
            self.close()
            raise Cut(f"nothing for {PATIENCE_S:.0f} s") from error
        except OSError as error:
            raise Cut(f"no connection: {error!r}") from error
        finally:
            self.streams.pop(number, None)

    async def send(self, number, stream, body):
        """The body, no faster than both windows allow (section 5.2)."""
        start = 0
        while start < len(body) and not stream.done.done():
            size = min(len(body) - start, FRAME_MAX, self.credit, stream.credit)
            if size <= 0:
                self.more.clear()
                await self.more.wait()
                continue
            self.credit -= size
            stream.credit -= size
            end = END_STREAM if start + size == len(body) else 0
            self.writer.write(frame(DATA, end, number, body[start:start + size]))
            start += size

    async def listen(self):
        error = Cut("the connection ended")
        try:
            while True:
                head = await self.reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                number = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
                self.take(head[3], head[4], number, await self.reader.readexactly(length))
        except (OSError, EOFError, Cut) as told:
            error = Cut(f"the connection ended: {told!r}")
        finally:
            if self.task is asyncio.current_task():
                self.close(error)

    def take(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind == DATA:
            self.take_data(stream, number, payload)
        elif kind == HEADERS and stream is not None:
            stream.answer.status = stream.answer.status or status(flags, payload)
        elif kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack_from("!HI", payload, at)
                if key == INITIAL_WINDOW_SIZE:
                    for other in self.streams.values():
                        other.credit += value - self.initial
                    self.initial = value
            self.writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.writer.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            if number == 0:
                self.credit += int.from_bytes(payload, "big")
            elif stream is not None:
                stream.credit += int.from_bytes(payload, "big")
        elif kind == RST_STREAM and stream is not None:
            stream.end(Cut(f"RST_STREAM {int.from_bytes(payload, 'big')}"))
        elif kind == GOAWAY:
            self.leaving = True
        self.more.set()
        if kind in (DATA, HEADERS) and flags & END_STREAM and stream is not None:
            stream.end()

    def take_data(self, stream, number, payload):
        if payload:
            size = struct.pack("!I", len(payload))
            self.writer.write(frame(WINDOW_UPDATE, 0, 0, size))
            self.writer.write(frame(WINDOW_UPDATE, 0, number, size))
        if stream is None:
            return
        stream.total.update(payload)
        stream.answer.length += len(payload)
        if stream.answer.length <= TEXT_MAX:
            stream.kept.append(payload)


def frame(kind, flags, number, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, number) + payload


def status(flags, payload):
    """The answer's status; 0 where it is written out."""
    at = (flags & PADDED == PADDED) + 5 * (flags & PRIORITY == PRIORITY)
    # Changes of the dynamic table's size come first (RFC 7541 section 6.3).
    while payload[at] & 0xE0 == 0x20:
        at += 1
    return STATUSES.get(payload[at], 0)


def block(method, target, body):
    """The request's fields, none of them packed (RFC 7541 section 6.2.2)."""
    fields = {"accept": "application/problem+json"}
    if body is not None:
        fields["content-length"] = str(len(body))
    out = bytes([{"GET": 0x82, "POST": 0x83}[method], 0x87])
    out += b"\x04" + text(target) + b"\x01" + text("soak.example")
    return out + b"".join(b"\x00" + text(name) + text(value) for name, value in fields.items())


def text(value):
    """A string, its length an integer of seven bits first (RFC 7541 sections 5.1, 5.2)."""
    length, out = len(value), b""
    if length < 127:
        out = bytes([length])
    else:
        length, out = length - 127, b"\x7f"
        while length >= 128:
            length, out = length // 128, out + bytes([length % 128 + 128])
        out += bytes([length])
    return out + value.encode()


def problem(answer):
    """Status and cause of a page of the proxy's, which its body holds too."""
    try:
        page = json.loads(answer.text)
        return page["status"], page["cause"]
    except (ValueError, KeyError, TypeError):
        return answer.status, None
