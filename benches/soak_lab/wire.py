"""The soak's own client of HTTP/1.1: it believes nothing, and checks what it gets.

A library would repeat, reconnect and forgive; here each of these would hide what is looked for.
"""

import asyncio
import dataclasses
import hashlib
import json
import socket

PATIENCE_S = 20.0
"""No answer may take longer, whatever was done to the backend."""
TEXT_MAX = 256 * 1024
LIMIT = 256 * 1024


class Cut(Exception):
    """The connection ended, or never was, before the answer was whole."""


@dataclasses.dataclass
class Answer:
    status: int
    fields: dict
    length: int = 0
    sha256: str = ""
    text: bytes = b""

    @property
    def cause(self):
        """What the page says, where it is one of the proxy's."""
        if self.fields.get("content-type", "").startswith("application/problem+json"):
            return json.loads(self.text).get("cause")
        return None


class Client:
    """A connection that is opened when it is needed and kept as long as it lasts."""

    def __init__(self, port, tls=None, receive_buffer=None):
        self.port, self.tls, self.receive_buffer = port, tls, receive_buffer
        self.reader = self.writer = None
        self.fresh = True
        self.status = 0
        self.received = 0

    async def open(self):
        self.fresh = self.writer is None
        if not self.fresh:
            return
        raw = socket.socket()
        raw.setblocking(False)
        if self.receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        name = "soak.example" if self.tls else None
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
            self.reader, self.writer = await asyncio.open_connection(
                sock=raw, ssl=self.tls, server_hostname=name, limit=LIMIT)
        except BaseException:
            raw.close()
            raise

    def close(self):
        if self.writer is not None:
            # What is under way is not waited for.
            self.writer.transport.abort()
            self.reader = self.writer = None

    async def ask(self, method, target, fields=(), body=None, chunks=None, keep=True, pause=0.0,
                  each=None):
        """One request and its answer, whole. `chunks` makes a chunked body, sent while the answer
        is read already; `pause` is slept before each piece that is read, `each` sees it."""
        self.status = self.received = 0
        try:
            return await asyncio.wait_for(
                self._ask(method, target, fields, body, chunks, keep, pause, each),
                PATIENCE_S)
        except asyncio.TimeoutError as error:
            self.close()
            raise Cut(f"nothing for {PATIENCE_S:.0f} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Cut(f"{type(error).__name__} after {self.received} bytes") from error
        except BaseException:
            self.close()
            raise

    async def _ask(self, method, target, fields, body, chunks, keep, pause, each):
        await self.open()
        lines = [f"{method} {target} HTTP/1.1", "Host: soak.example",
                 "Accept: application/problem+json", *fields]
        if not keep:
            lines.append("Connection: close")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        if chunks is not None:
            lines.append("Transfer-Encoding: chunked")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        sending = asyncio.create_task(self._send(head + (body or b""), chunks))
        try:
            answer = await self._answer(method, pause, each)
            # Whatever came before the request was whole has ended the exchange.
            if not sending.done():
                answer.fields["connection"] = "close"
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if not keep or "close" in answer.fields.get("connection", ""):
            self.close()
        return answer

    async def _send(self, data, chunks):
        self.writer.write(data)
        await self.writer.drain()
        if chunks is None:
            return
        for piece in chunks:
            self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self.writer.drain()
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def head(self):
        """Status and fields of the next answer that is not an interim one."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.rstrip().split("\r\n")
        fields = {}
        for field in lines:
            name, _, value = field.partition(":")
            fields[name.lower()] = value.strip()
        self.status = int(line.split()[1])
        return Answer(self.status, fields)

    async def _answer(self, method, pause, each):
        answer = await self.head()
        total, kept = hashlib.sha256(), []
        async for piece in self.pieces(answer, method):
            if pause:
                await asyncio.sleep(pause)
            total.update(piece)
            answer.length += len(piece)
            self.received = answer.length
            if each is not None and answer.status == 200:
                each(piece)
            if answer.length <= TEXT_MAX:
                kept.append(piece)
        answer.sha256, answer.text = total.hexdigest(), b"".join(kept)
        return answer

    async def pieces(self, answer, method):
        """The body as it comes, by its framing (RFC 9112 section 6.3)."""
        if method == "HEAD" or answer.status in (204, 304):
            return
        if answer.fields.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                yield await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        elif "content-length" in answer.fields:
            left = int(answer.fields["content-length"])
            while left > 0:
                piece = await self.reader.read(min(left, 64 * 1024))
                if not piece:
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(piece)
                yield piece
        else:
            raise Cut("an answer without a length")
