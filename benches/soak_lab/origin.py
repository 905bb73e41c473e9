"""The good backend, a process of its own so that it can be killed and frozen.

    origin.py PORT TLS_PORT CHAIN KEY LEDGER

Every request with a body is noted in the ledger, a file that outlives the process: `B id` once its
head has come, `E id sha256 length` once its body has.
"""

import asyncio
import base64
import hashlib
import os
import random
import ssl
import sys
import time
import urllib.parse

from content import content

HEAD_MAX = 64 * 1024
PIECE = 64 * 1024
KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Gone(Exception):
    """The other side has left."""


async def main(port, tls_port, chain, key, ledger):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    book = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def connected(reader, writer):
        try:
            while await exchange(reader, writer, book):
                pass
        except (Gone, OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    options = {"limit": HEAD_MAX, "backlog": 512}
    # TLS first: whoever sees the plain port listen may use both.
    secure = await asyncio.start_server(connected, "127.0.0.1", tls_port, ssl=tls, **options)
    plain = await asyncio.start_server(connected, "127.0.0.1", port, **options)
    await asyncio.gather(secure.serve_forever(), plain.serve_forever())


async def exchange(reader, writer, book):
    """One request; whether the connection may have another."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise Gone from error
    method, target, fields = parsed(head)
    url = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(url.query))
    what, *values = url.path.split("/")[2:]
    match what:
        case "bytes":
            body = content(int(values[0]), int(values[1]))
            writer.write(answer(f"Content-Length: {len(body)}") + body)
        case "chunked":
            await chunked(writer, content(int(values[0]), int(values[1])))
        case "sum":
            await summed(method, fields, query["id"], reader, writer, book)
        case "echo":
            await echoed(fields, query["id"], reader, writer, book)
        case "events":
            await events(writer, int(query["count"]), float(query["gap"]))
        case "socket":
            await tunnel(fields, reader, writer)
            return False
        case _:
            writer.write(answer("Content-Length: 0", "404 Not Found"))
    await writer.drain()
    return b"close" not in fields.get(b"connection", b"")


def parsed(head):
    line, *lines = head[:-4].split(b"\r\n")
    method, target, _ = line.decode("ascii").split(" ")
    fields = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip()
    return method, target, fields


def answer(field, status="200 OK"):
    media = "Content-Type: application/octet-stream"
    return f"HTTP/1.1 {status}\r\n{media}\r\n{field}\r\n\r\n".encode()


def chunk(piece):
    return b"%x\r\n%b\r\n" % (len(piece), piece)


async def chunked(writer, body):
    """The body in chunks of all sizes."""
    writer.write(answer("Transfer-Encoding: chunked"))
    start = 0
    while start < len(body):
        end = start + random.choice((1, 17, 1460, 8192, 40_000))
        writer.write(chunk(body[start:end]))
        await writer.drain()
        start = end
    writer.write(b"0\r\n\r\n")


async def pieces(fields, reader):
    """The body of a request as it comes."""
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while True:
            size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
            if size == 0:
                while await reader.readuntil(b"\r\n") != b"\r\n":
                    pass
                return
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    left = int(fields.get(b"content-length", b"0"))
    while left > 0:
        piece = await reader.read(min(left, PIECE))
        if not piece:
            raise Gone
        left -= len(piece)
        yield piece


async def summed(method, fields, name, reader, writer, book):
    """Reads all, then answers with what came."""
    if method != "POST":
        writer.write(answer("Content-Length: 0", "405 Method Not Allowed"))
        return
    os.write(book, f"B {name}\n".encode())
    total, length = hashlib.sha256(), 0
    async for piece in pieces(fields, reader):
        total.update(piece)
        length += len(piece)
    os.write(book, f"E {name} {total.hexdigest()} {length}\n".encode())
    body = f"{total.hexdigest()} {length}".encode()
    writer.write(answer(f"Content-Length: {len(body)}") + body)


async def echoed(fields, name, reader, writer, book):
    """Sends back what comes while it comes."""
    os.write(book, f"B {name}\n".encode())
    total, length = hashlib.sha256(), 0
    writer.write(answer("Transfer-Encoding: chunked"))
    async for piece in pieces(fields, reader):
        total.update(piece)
        length += len(piece)
        writer.write(chunk(piece))
        await writer.drain()
    os.write(book, f"E {name} {total.hexdigest()} {length}\n".encode())
    writer.write(b"0\r\n\r\n")


async def events(writer, count, gap):
    """A stream of events (text/event-stream), each with its number and when it was sent."""
    head = answer("Transfer-Encoding: chunked").replace(
        b"application/octet-stream", b"text/event-stream")
    writer.write(head)
    for number in range(count):
        writer.write(chunk(f"data: {number} {time.monotonic():.4f}\n\n".encode()))
        await writer.drain()
        await asyncio.sleep(gap)
    writer.write(b"0\r\n\r\n")


async def tunnel(fields, reader, writer):
    """Agrees to a WebSocket, then sends back every byte."""
    accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + KEY_SUFFIX).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
