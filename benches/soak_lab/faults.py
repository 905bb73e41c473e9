"""What is done to the proxy and its backends while the load runs, and what that may cause."""

import asyncio
import contextlib
import os
import random
import signal
import time

from lab import Trouble

DOWN_S = 2.0
FROZEN_S = 4.0
FLOOD_CONNECTIONS = 500
FLOOD_HELD_S = 3.5
DONE_S = 10.0
"""Whatever the proxy is told to do must be done by then."""

# A process that is killed resets what it had not read and closes the rest; then nobody listens.
KILLED = {
    "connection_refused", "stale_keepalive", "closed_before_response", "reset_before_response",
    "request_write_failed", "closed_mid_headers", "body_closed_short", "chunked_truncated",
    "body_reset", "connect_failed", "tls_closed_in_handshake", "tls_broken_after_handshake",
}
FROZEN = {
    "first_byte_timeout", "header_stall_timeout", "body_stall_timeout", "request_write_timeout",
    "tls_handshake_timeout",
}
PHP_KILLED = {
    "unix_socket_refused", "unix_socket_missing", "fcgi_worker_died", "fcgi_connection_dropped",
    "fcgi_worker_died_mid_response",
}
H2_KILLED = {"connection_refused", "closed_before_response", "reset_before_response",
             "body_reset", "body_closed_short", "h2_stream_reset", "h2_goaway",
             "stale_keepalive"}
FLOODED = {"too_many_client_connections"}


class Faults:
    """The schedule: each of these once a cycle, in an order that changes."""

    def __init__(self, world, book, monitor, seed):
        self.world, self.book, self.monitor = world, book, monitor
        self.rng = random.Random(seed)
        self.extra = False
        self.rotations = 0

    def all(self):
        return [self.kill_origin, self.freeze_origin, self.kill_php, self.kill_nginx,
                self.freeze_php, self.reload, self.refuse_reload, self.flood]

    async def cycle(self, seconds):
        """Every fault once, spread over that time; then what the log says is taken in."""
        began, faults = time.monotonic(), self.all()
        self.rng.shuffle(faults)
        for number, fault in enumerate(faults):
            due = began + seconds * (number + self.rng.random() / 2) / len(faults)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await fault()
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        await self.rotate()

    async def kill(self, name, causes):
        window = self.book.open_window(f"{name} killed, down for {DOWN_S:.0f} s", {name}, causes)
        process = self.world.processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.world.lab.stop, process)
        await asyncio.sleep(DOWN_S)
        await asyncio.to_thread(self.world.start, name)
        window.ended = time.monotonic()

    async def kill_origin(self):
        await self.kill("origin", KILLED)

    async def kill_php(self):
        await self.kill("php", PHP_KILLED)

    async def kill_nginx(self):
        await self.kill("nginx", H2_KILLED)

    async def freeze(self, name, causes):
        window = self.book.open_window(f"{name} frozen for {FROZEN_S:.0f} s", {name}, causes)
        process = self.world.processes[name]
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(FROZEN_S)
        finally:
            os.killpg(process.pid, signal.SIGCONT)
        window.ended = time.monotonic()

    async def freeze_origin(self):
        await self.freeze("origin", FROZEN)

    async def freeze_php(self):
        await self.freeze("php", FROZEN | {"fcgi_pool_saturated"})

    def tell(self, which):
        os.kill(self.world.pid("causeway"), which)

    async def until(self, what, is_so):
        """Waits until the proxy shows that it has done what it was told."""
        deadline = time.monotonic() + DONE_S
        while time.monotonic() < deadline:
            if is_so(await self.monitor.metrics()):
                return True
            await asyncio.sleep(0.1)
        self.book.trouble("operations", f"{what}: not within {DONE_S:.0f} s")
        return False

    async def reload(self):
        """Other time limits and one listener more or less; no request may notice."""
        self.extra = not self.extra
        self.book.fault_times["configuration reloaded"] += 1
        self.world.write_config("2500ms" if self.extra else "2s", self.extra)
        self.tell(signal.SIGHUP)
        deadline = time.monotonic() + DONE_S
        while await self.extra_listens() != self.extra:
            if time.monotonic() > deadline:
                self.book.trouble("operations", "a reload has not changed the listeners")
                return
            await asyncio.sleep(0.1)

    async def extra_listens(self):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.world.ports["extra"])
        except OSError:
            return False
        writer.transport.abort()
        return True

    async def refuse_reload(self):
        """A configuration with a mistake: the old one stays, and the metrics say so."""
        key = "causeway_config_last_reload_successful"
        self.book.fault_times["reload of a broken configuration"] += 1
        self.world.write_config("2500ms" if self.extra else "2s", self.extra, broken=True)
        self.tell(signal.SIGHUP)
        await self.until("a refused reload", lambda metrics: metrics[key] == 0)
        self.world.write_config("2500ms" if self.extra else "2s", self.extra)
        self.tell(signal.SIGHUP)
        await self.until("a reload after a refused one", lambda metrics: metrics[key] == 1)

    async def flood(self):
        """More connections than are allowed: silent ones, halves of heads, and requests whose
        answers nobody takes."""
        window = self.book.open_window(
            f"flood of {FLOOD_CONNECTIONS} connections", {"newcomers"}, FLOODED)
        writers, askers = [], []
        try:
            for number in range(FLOOD_CONNECTIONS):
                with contextlib.suppress(OSError):
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", self.world.ports["port"])
                    writers.append(writer)
                    if number % 3 == 2:
                        askers.append(reader)
                    request = f"GET /o/bytes/300000/1?id=flood-{number} HTTP/1.1\r\nHost: f\r\n\r\n"
                    sent = [0, len(request) // 2, len(request)][number % 3]
                    writer.write(request[:sent].encode())
                if number % 50 == 49:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(FLOOD_HELD_S)
            for reader in askers:
                await self.turned_away(reader)
        finally:
            for writer in writers:
                writer.transport.abort()
        window.ended = time.monotonic()

    async def turned_away(self, reader):
        """Whoever is told that he cannot be let in is told why."""
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            said = await asyncio.wait_for(reader.read(4096), 0.1)
            if said.startswith(b"HTTP/1.1 503 "):
                why = b'"too_many_client_connections"' in said
                self.book.right["flood"]["too_many_client_connections"] += why
                if not why:
                    self.book.trouble("causes", f"the flood was told {said[:200]!r}", "flood")

    async def rotate(self):
        """Has the log opened anew and reads the old one."""
        self.rotations += 1
        old = self.world.log.with_suffix(f".{self.rotations}")
        self.world.log.rename(old)
        self.tell(signal.SIGUSR1)
        deadline = time.monotonic() + DONE_S
        while not self.world.log.exists():
            if time.monotonic() > deadline:
                raise Trouble("the access log was not opened anew")
            await asyncio.sleep(0.05)
        await self.book.read_log(old)
        self.book.settle()
        old.unlink()
