"""The rows of memory: what a waiting request or an idle connection holds, what a download adds."""

import concurrent.futures
import dataclasses
import http.client

import lab as laboratory
from lab import GB, MIB, Trouble

CONNECTIONS = 1000


@dataclasses.dataclass(frozen=True)
class Row:
    """What is measured, in which unit, and the goal for it as it stands."""

    word: str
    title: str
    unit: str
    goal: float
    of_site: bool = False


ROWS = [
    Row("waiting", "memory a waiting request, kB", "kB", 11),
    Row("idle", "memory an idle connection, kB", "kB", 4),
    Row("static1g", "growth under a file of 1 GB, MiB", "MiB", 16, of_site=True),
    Row("static1g8", "the same, 8 at once, MiB", "MiB", 16, of_site=True),
]


def measure(peer, row, never):
    """How much resident memory something takes, in the row's unit, in a process of its own."""
    peer.start()
    try:
        for _ in range(20):
            peer.fetch("GET", "/small")
        match row.word:
            case "static1g" | "static1g8":
                return measure_downloads(peer, 8 if row.word == "static1g8" else 1), None
            case word:
                return measure_connections(peer, word, never), None
    finally:
        peer.stop()


def measure_connections(peer, word, never):
    """Kilobytes that one more waiting or idle connection takes."""
    held = []
    try:
        before = laboratory.settled(lambda: laboratory.pss_bytes(peer.process))
        path = "/never" if word == "waiting" else "/small"
        heard = never.heard
        for _ in range(CONNECTIONS):
            held.append(http.client.HTTPConnection("127.0.0.1", peer.port, timeout=10))
            held[-1].request("GET", path)
            if word == "idle" and held[-1].getresponse().read() != b"hello, small world\n":
                raise Trouble(f"{peer.name}: a wrong answer")
        if word == "waiting" and not never.wait_for(heard + CONNECTIONS):
            raise Trouble(f"{peer.name}: only {never.heard - heard} requests reached the backend")
        after = laboratory.settled(lambda: laboratory.pss_bytes(peer.process))
        return (after - before) / CONNECTIONS / 1000
    finally:
        for connection in held:
            connection.close()


def measure_downloads(peer, count):
    """MiB by which memory's peak, while so many take the large file, exceeds what it was before."""
    laboratory.settled(lambda: laboratory.rss_bytes(peer.process))
    laboratory.forget_peak(peer.process)
    before = laboratory.peak_bytes(peer.process)
    with concurrent.futures.ThreadPoolExecutor(count) as clients:
        sizes = list(clients.map(download, [peer] * count))
    if sizes != [GB] * count:
        raise Trouble(f"{peer.name} /site/1g.iso: {sizes} bytes came")
    return (laboratory.peak_bytes(peer.process) - before) / MIB


def download(peer):
    """Takes the large file; how many bytes of it came."""
    connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=30)
    try:
        connection.request("GET", "/site/1g.iso")
        response = connection.getresponse()
        if response.status != 200:
            raise Trouble(f"{peer.name} /site/1g.iso: {response.status}")
        piece, size = bytearray(MIB), 0
        while count := response.readinto(piece):
            size += count
        return size
    finally:
        connection.close()
