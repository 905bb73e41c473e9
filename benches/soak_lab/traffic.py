"""The load: what users do, how often, and what each must get."""

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import itertools
import os
import random
import ssl
import time

import h2
import wire
from book import Result
from content import SEEDS, content, digest
from liars import ROWS, reset
from wire import Cut
from world import FILES

SOCKET_KEY = base64.b64encode(bytes(range(16))).decode()
SOCKET_ACCEPT = base64.b64encode(hashlib.sha1(
    SOCKET_KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
EVENT_LATE_S = 3.0
"""This process may be late itself on a busy machine; a proxy that gathers is later by far."""
ROWS_A_SECOND = 8


class Wrong(Exception):
    """A whole answer with another body than the one that was sent."""


class Failed(Exception):
    """An answer that is not the one asked for."""

    def __init__(self, status, cause):
        super().__init__(f"status {status}")
        self.status, self.cause = status, cause


@dataclasses.dataclass(frozen=True)
class Kind:
    """One sort of request: how many users send it, how often altogether, whom it reaches."""

    name: str
    ask: object
    users: int
    rate: float
    tags: frozenset


class Load:
    """All users, and what they share."""

    def __init__(self, world, book, seed):
        self.world, self.book, self.seed = world, book, seed
        self.tls = ssl.create_default_context(cafile=world.lab.dir / "chain.pem")
        self.h2 = ssl.create_default_context(cafile=world.lab.dir / "chain.pem")
        self.h2.set_alpn_protocols(["h2"])
        self.stopping = asyncio.Event()
        self.tasks = []
        self.shared = None
        self.numbers = itertools.count()
        self.late_events = self.worst_event_s = 0
        self.failing = FAILING

    def begin(self):
        self.stopping.clear()
        self.shared = h2.Client(self.world.ports["tls"], self.h2)
        for kind in KINDS:
            for _ in range(kind.users):
                self.tasks.append(asyncio.create_task(self.user(kind)))
        rows = random.Random(self.seed)
        self.tasks += [asyncio.create_task(self.rows(rows)) for _ in range(ROWS_A_SECOND * 2)]

    async def end(self):
        """Lets every request under way come to its end."""
        self.stopping.set()
        await asyncio.gather(*self.tasks)
        self.tasks = []
        self.shared.close()

    async def pause(self, until):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), max(0.001, until - time.monotonic()))

    async def user(self, kind):
        """One user of one kind, at his own pace; what comes too late is left out, not caught up."""
        rng = random.Random(self.seed * 1000 + next(self.numbers))
        user = User(self, rng)
        gap = kind.users / kind.rate
        due = time.monotonic() + rng.random() * gap
        while True:
            await self.pause(due)
            if self.stopping.is_set():
                break
            name = f"{kind.name}-{next(self.numbers)}"
            await self.send(Result(name, kind.name, kind.tags, time.monotonic()), kind.ask, user)
            due = max(due + gap, time.monotonic() + 0.001)
        user.client.close()
        user.secure.close()

    async def rows(self, rng):
        """Requests that fail by their address, in random order."""
        gap = 2.0
        due = time.monotonic() + rng.random() * gap
        while True:
            await self.pause(due)
            if self.stopping.is_set():
                return
            row = rng.choice(FAILING)
            await asyncio.gather(*[self.fail(row, rng) for _ in range(row.times)])
            due = max(due + gap, time.monotonic() + 0.001)

    async def fail(self, row, rng):
        name = f"row-{row.name}-{next(self.numbers)}"
        result = Result(name, row.name, row.tags, time.monotonic(), expects=row.causes,
                        exact=False)
        await self.send(result, row.ask, User(self, rng))

    async def send(self, result, ask, user):
        """One request from its beginning to the book."""
        user.result = result
        try:
            answer = await ask(user, result.name)
            result.status, result.length = answer.status, answer.length
            result.good = True
        except Wrong:
            result.why = "wrong body"
        except Failed as failed:
            result.why = str(failed)
            result.status, result.cause = failed.status, failed.cause
        except (Cut, OSError, EOFError) as cut:
            result.why = f"{type(cut).__name__}: {cut}"
        self.book.note(result)


class User:
    """What one user has: connections, and chance."""

    def __init__(self, load, rng):
        self.load, self.rng, self.shared = load, rng, load.shared
        ports = load.world.ports
        self.client = wire.Client(ports["port"])
        self.secure = wire.Client(ports["tls"], load.tls)
        self.result = None

    async def get(self, path, length, seed, client=None, **options):
        """A GET whose answer must be that body."""
        return self.right(await self.ask("GET", path, client, **options), length, seed)

    async def ask(self, method, path, client=None, **options):
        client = client or self.client
        separator = "&" if "?" in path else "?"
        try:
            return await client.ask(
                method, f"{path}{separator}id={self.result.name}", **options)
        finally:
            self.result.fresh = client.fresh

    def right(self, answer, length, seed):
        """The answer, if it is whole and right."""
        if answer.status != 200:
            raise Failed(*told(answer))
        if (answer.length, answer.sha256) != (length, digest(length, seed)):
            self.result.status, self.result.length = answer.status, answer.length
            raise Wrong
        return answer

    def sent(self, length):
        """A body to send, noted for the ledger."""
        seed = self.rng.randrange(SEEDS)
        self.result.body = (digest(length, seed), length)
        return content(length, seed), seed

    def summed(self, answer):
        """The answer, if the backend says it got what was sent."""
        if answer.status != 200:
            raise Failed(*told(answer))
        if answer.text.decode() != "{} {}".format(*self.result.body):
            raise Wrong
        return answer


def told(answer):
    """Status and cause of an answer that is not the one asked for."""
    if answer.fields:
        return answer.status, answer.cause
    return h2.problem(answer)


def _bytes(prefix, length, **options):
    """GET with a length, over the user's connection."""
    async def ask(user, _):
        seed = user.rng.randrange(SEEDS)
        return await user.get(f"{prefix}/bytes/{length}/{seed}", length, seed, **options)

    return ask


async def chunked(user, _):
    length, seed = user.rng.randrange(200_000), user.rng.randrange(SEEDS)
    return await user.get(f"/o/chunked/{length}/{seed}", length, seed)


async def over_tls(user, _):
    """Kept connections, with a new handshake now and then."""
    length, seed = user.rng.choice((500, 10_000)), user.rng.randrange(SEEDS)
    keep = user.rng.random() > 0.1
    return await user.get(f"/o/bytes/{length}/{seed}", length, seed, user.secure, keep=keep)


async def over_h2(user, _):
    length, seed = user.rng.choice((500, 10_000, 100_000)), user.rng.randrange(SEEDS)
    return await user.get(f"/o/bytes/{length}/{seed}", length, seed, user.shared)


async def post_over_h2(user, _):
    body, _ = user.sent(user.rng.randrange(1, 150_000))
    return user.summed(await user.ask("POST", "/o/sum", user.shared, body=body))


async def post(user, _):
    body, _ = user.sent(user.rng.choice((1, 1_000, 60_000, 300_000)))
    return user.summed(await user.ask("POST", "/o/sum", body=body))


async def post_secure(user, _):
    body, _ = user.sent(user.rng.choice((1_000, 60_000)))
    return user.summed(await user.ask("POST", "/s/sum", user.secure, body=body))


async def post_php(user, _):
    body, _ = user.sent(user.rng.choice((1_000, 60_000, 200_000)))
    return user.summed(await user.ask("POST", "/php/sum.php", body=body))


async def echo(user, _):
    """Chunked both ways at once."""
    length = user.rng.randrange(1, 120_000)
    body, seed = user.sent(length)
    size = user.rng.choice((100, 1_000, 16_384)) if length < 20_000 else 16_384
    chunks = [body[start:start + size] for start in range(0, length, size)]
    return user.right(await user.ask("POST", "/o/echo", chunks=chunks), length, seed)


async def php(user, name):
    answer = await user.ask("GET", "/php/hello.php")
    if answer.status != 200:
        raise Failed(*told(answer))
    if answer.text != b"hello %d" % len(name):
        raise Wrong
    return answer


def _file(prefix):
    async def ask(user, _):
        seed, (name, length) = user.rng.choice(list(enumerate(FILES.items()))[:2])
        return await user.get(f"{prefix}/{name}.bin", length, seed)

    return ask


async def part(user, _):
    """A range of a static file (RFC 9110 section 14.2)."""
    first = user.rng.randrange(900_000)
    last = first + user.rng.randrange(50_000)
    fields = [f"Range: bytes={first}-{last}"]
    answer = await user.ask("GET", "/php/1m.bin", fields=fields)
    if answer.status != 206:
        raise Failed(*told(answer))
    whole = content(1_000_000, list(FILES).index("1m"))
    if answer.sha256 != hashlib.sha256(whole[first:last + 1]).hexdigest():
        raise Wrong
    return answer


async def slow_reader(user, _):
    """Takes a megabyte in some seconds."""
    user.client.receive_buffer = 16 * 1024
    seed = user.rng.randrange(SEEDS)
    path = f"/o/bytes/1000000/{seed}"
    return await user.get(path, 1_000_000, seed, pause=0.1, keep=False)


async def events(user, _):
    """A stream of events, each at once, in order, to the last."""
    count, buffer, numbers = 20, bytearray(), []

    def each(piece):
        buffer.extend(piece)
        while (end := buffer.find(b"\n\n")) >= 0:
            _, number, sent = bytes(buffer[:end]).split(b" ")
            del buffer[:end + 2]
            numbers.append(int(number))
            late = time.monotonic() - float(sent)
            user.load.worst_event_s = max(user.load.worst_event_s, late)
            user.load.late_events += late > EVENT_LATE_S

    answer = await user.ask("GET", f"/o/events?count={count}&gap=0.4", each=each)
    if answer.status != 200:
        raise Failed(*told(answer))
    if numbers != list(range(count)) or buffer:
        raise Wrong
    return answer


async def web_socket(user, name):
    """A tunnel: every byte comes back, for some seconds (RFC 6455 section 4)."""
    client = wire.Client(user.load.world.ports["port"])
    user.result.tunnel = True
    try:
        async with asyncio.timeout(wire.PATIENCE_S):
            await client.open()
            client.writer.write(
                f"GET /o/socket?id={name} HTTP/1.1\r\nHost: soak.example\r\n"
                "Accept: application/problem+json\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {SOCKET_KEY}\r\n\r\n".encode())
            answer = await client.head()
            if answer.status != 101:
                async for piece in client.pieces(answer, "GET"):
                    answer.text += piece
                raise Failed(*told(answer))
            if answer.fields.get("sec-websocket-accept") != SOCKET_ACCEPT:
                raise Wrong
            for _ in range(20):
                piece = content(user.rng.randrange(1, 30_000), user.rng.randrange(SEEDS))
                client.writer.write(piece)
                if await client.reader.readexactly(len(piece)) != piece:
                    raise Wrong
                answer.length += len(piece)
                await asyncio.sleep(0.2)
            client.writer.write_eof()
            if await client.reader.read() != b"":
                raise Wrong
            return answer
    except TimeoutError as error:
        raise Cut("the tunnel stood still") from error
    finally:
        client.close()


ORIGIN, PHP, NGINX = frozenset({"origin"}), frozenset({"php"}), frozenset({"nginx"})
NOBODY = frozenset()
KINDS = [
    Kind("get-small", _bytes("/o", 100), 6, 64, ORIGIN),
    Kind("get-10k", _bytes("/o", 10_000), 3, 24, ORIGIN),
    Kind("get-1m", _bytes("/o", 1_000_000), 2, 4.8, ORIGIN),
    Kind("get-closing", _bytes("/o", 100, keep=False), 3, 19.2, ORIGIN),
    Kind("get-chunked", chunked, 2, 9.6, ORIGIN),
    Kind("tls", over_tls, 3, 16, ORIGIN),
    Kind("http2", over_h2, 6, 19.2, ORIGIN),
    Kind("http2-post", post_over_h2, 2, 4.8, ORIGIN),
    Kind("post", post, 4, 12.8, ORIGIN),
    Kind("post-chunked", echo, 2, 6.4, ORIGIN),
    Kind("to-https", _bytes("/s", 10_000), 2, 8, ORIGIN),
    Kind("to-https-post", post_secure, 1, 3.2, ORIGIN),
    Kind("to-h2c", _file("/n"), 2, 9.6, NGINX),
    Kind("php", php, 3, 12.8, PHP),
    Kind("php-post", post_php, 2, 4.8, PHP),
    Kind("file", _file("/php"), 2, 12.8, NOBODY),
    Kind("file-range", part, 1, 3.2, NOBODY),
    Kind("slow-reader", slow_reader, 1, 0.5, ORIGIN),
    Kind("events", events, 2, 0.3, ORIGIN),
    Kind("websocket", web_socket, 2, 0.6, ORIGIN),
]


# What fails by its address, or by what the client does.


@dataclasses.dataclass(frozen=True)
class Failing:
    """A request that must fail: how it is sent, and the causes that are right."""

    name: str
    ask: object
    causes: tuple
    tags: frozenset = NOBODY
    times: int = 1
    """How many are sent at once."""


def _page(path, method="GET", outcome="page", body=None):
    """Fails with a page, with the backend's own answer, or in the middle of the body."""
    async def ask(user, _):
        expects = user.result.expects
        try:
            answer = await user.ask(method, path, keep=False, body=body)
        except Cut:
            if outcome != "cut":
                raise
            # The log says whether it is the right one.
            return wire.Answer(200, {}, user.client.received)
        if answer.status == 200 and None in expects:
            return answer
        said = answer.fields.get("proxy-status", "")
        if outcome == "passed":
            cause = next((cause for cause in expects if f'"{cause}"' in said), None)
        else:
            # Also where the body would be cut: its fault may come together with its beginning.
            cause = answer.cause
        if cause not in expects or f'"{cause}"' not in said:
            raise Failed(*told(answer))
        return answer

    return ask


async def _raw(user, port, data, patience=6.0):
    """Sends bytes, gives what comes back before the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", user.load.world.ports[port])
    try:
        writer.write(data)
        async with asyncio.timeout(patience):
            return await reader.read(64 * 1024)
    except TimeoutError as error:
        raise Cut("no answer") from error
    finally:
        writer.transport.abort()


def _refused(port, head, status):
    """Bytes that must be answered with that status."""
    async def ask(user, name):
        said = await _raw(user, port, head.replace("ID", name).encode())
        if not said.startswith(b"HTTP/1.1 %d " % status):
            raise Failed(int(said[9:12] or 0), None)
        return wire.Answer(status, {})

    return ask


def _leaving(path, after, head="", body=b"", hard=False):
    """Sends a request, perhaps half of it, and leaves."""
    async def ask(user, name):
        reader, writer = await asyncio.open_connection("127.0.0.1", user.load.world.ports["port"])
        method = "POST" if head else "GET"
        if head:
            user.result.body = ("not whole", 0)
        writer.write(f"{method} {path}?id={name} HTTP/1.1\r\nHost: soak.example\r\n{head}\r\n"
                     .encode() + body)
        try:
            await asyncio.wait_for(reader.readexactly(1), after)
        except asyncio.TimeoutError:
            pass
        finally:
            if hard:
                reset(writer)
            writer.transport.abort()
        return wire.Answer(0, {})

    return ask


async def stalled_upload(user, name):
    """Half a body and then nothing; the answer must come all the same."""
    user.result.body = ("not whole", 0)
    client = wire.Client(user.load.world.ports["port"])
    try:
        async with asyncio.timeout(wire.PATIENCE_S):
            await client.open()
            client.writer.write(
                f"POST /o/sum?id={name} HTTP/1.1\r\nHost: soak.example\r\n"
                "Accept: application/problem+json\r\n"
                "Content-Length: 100000\r\n\r\n".encode() + bytes(1000))
            answer = await client.head()
            async for piece in client.pieces(answer, "POST"):
                answer.text += piece
    except TimeoutError as error:
        raise Cut("no answer") from error
    finally:
        client.close()
    if answer.cause not in user.result.expects:
        raise Failed(*told(answer))
    return answer


def _failing():
    rows = [Failing(row.name, _page(f"/liar/{row.name}", outcome=row.outcome), row.causes)
            for row in ROWS]
    gone, half = ("client_gone",), "Content-Length: 100000\r\n"
    some = os.urandom(1000)
    return rows + [
        Failing("reset-post", _page("/liar/reset", "POST", body=b"once"),
                ("reset_before_response",)),
        Failing("stale", _page("/stale/get"), (None,)),
        Failing("stale-post", _page("/stale/post", "POST", body=b"once"),
                ("stale_keepalive", None)),
        Failing("refused", _page("/refused"), ("connection_refused",)),
        Failing("no-socket", _page("/nosocket"), ("unix_socket_missing",)),
        Failing("no-name", _page("/noname"), ("dns_nxdomain",)),
        # Where one may pass and one may wait.
        Failing("queue", _page("/queue/one"), ("queue_full", None), times=4),
        Failing("plaintext", _page("/plain"), ("tls_peer_speaks_plaintext",)),
        Failing("stranger", _page("/stranger"), ("tls_cert_self_signed",)),
        Failing("misnamed", _page("/misnamed"), ("tls_cert_wrong_host",)),
        Failing("no-route", _page("/nowhere"), ("no_upstream_configured",)),
        Failing("maintained", _page("/maintained"), ("maintenance",)),
        Failing("php-fatal", _page("/php/fatal.php", outcome="passed"), ("php_fatal_error",), PHP),
        Failing("php-killed", _page("/php/kill.php"), ("fcgi_worker_died",), PHP),
        Failing("php-killed-late", _page("/php/kill-late.php", outcome="cut"),
                ("fcgi_worker_died_mid_response",), PHP),
        Failing("no-file", _page("/php/missing.bin"), ("file_not_found",)),
        Failing("leaves", _leaving("/liar/silence", 0.2), gone),
        Failing("leaves-hard", _leaving("/liar/silence", 0.2, hard=True), gone),
        Failing("leaves-body", _leaving("/o/bytes/4000000/1", 5), (*gone, None), ORIGIN),
        Failing("leaves-upload", _leaving("/o/sum", 0.2, half, some), gone, ORIGIN),
        Failing("stalls-upload", stalled_upload, ("request_body_timeout",), ORIGIN),
        Failing("no-host", _refused("port", "GET /o/?id=ID HTTP/1.1\r\n\r\n", 400),
                ("request_invalid",)),
    ]


FAILING = _failing()
