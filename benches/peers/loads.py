"""The rows that cost CPU time: what is asked, how it is proved right, how it is measured.

A row is proved with one request before anything is measured: status, body, what TLS agreed on.
Under the load statuses, lengths and the log's growth are looked at again; what is not right is no
sample.
"""

import dataclasses
import os
import re
import subprocess
import time

import lab as laboratory
from backends import FILES
from lab import Trouble

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "image/png,image/svg+xml,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://shop.example/catalogue/chairs?page=3&sort=price",
    "DNT": "1",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
    "Cookie": "session=6f1c5b0e2c9d4e7f8a9b0c1d2e3f4a5b; cart=3f9a1c7e5d2b8046; lang=en; "
    "consent=analytics:0|marketing:0; theme=dark; _seen=1763697600.1763701200.42; csrf=Zk3nQx81Lw",
}



@dataclasses.dataclass(frozen=True)
class Row:
    """What is asked of each proxy, and the goal for its cost against the better of two peers."""

    word: str
    title: str
    goal: float | None
    path: str = "/small"
    connections: int = 64
    headers: dict = dataclasses.field(default_factory=dict)
    sends: int = 0
    tls: bool = False
    # Requests at once on a connection, where it is one of HTTP/2.
    streams: int = 0

    @property
    def of_site(self):
        return self.path.startswith("/site/")

    @property
    def fails(self):
        return self.path.startswith("/down/")


ROWS = [
    Row("get1", "small GET, 1 connection", 0.85, connections=1),
    Row("get64", "small GET, 64 connections", 0.85),
    Row("get1000", "small GET, 1000 connections", 0.80, connections=1000),
    Row("browser", "small GET, a browser's headers", 0.90, headers=BROWSER),
    Row("10k", "GET 10 kB", 1.0, "/files/10k"),
    Row("1m", "GET 1 MB", 0.75, "/files/1m", 16),
    Row("10m", "GET 10 MB", 0.75, "/files/10m", 4),
    Row("post", "POST 1 MB", 0.75, "/sink", 16, sends=1_000_000),
    Row("tls", "small GET over TLS", 0.80, tls=True),
    Row("h2", "small GET over HTTP/2, 16 connections of 4 streams", 0.90, connections=16, streams=4,
        tls=True),
    Row("close", "small GET, a connection each", 1.0, headers={"Connection": "close"}),
    Row("php", "PHP script, PHP's own time left out", 1.0, "/site/hello.php", 8),
    Row("static10k", "static file of 10 kB", 1.0, "/site/10k.jpg"),
    Row("outage", "502 while the upstream refuses", 0.45, "/down/x"),
    Row("outagehtml", "the same, asked for by a browser", 0.45, "/down/x", headers=BROWSER),
]

MIN_REQUESTS = 4
LARGE = 1_000_000

# What all of them agree on with a client that has OpenSSL's preferences, as wrk and h2load do.
AGREED = ("TLSv1.3", "TLS_AES_256_GCM_SHA384")


def body_of(lab, path):
    """What must come back; `None` where each proxy has words of its own."""
    match path.split("/")[1:]:
        case ["small"]:
            return b"hello, small world\n"
        case ["sink"]:
            return b"taken\n"
        case ["site", "hello.php"]:
            return b"hello"
        case ["site", "10k.jpg"] | ["files", "10k"]:
            return (lab.dir / "files" / "10k").read_bytes()
        case ["files", name] if name in FILES:
            return (lab.dir / "files" / name).read_bytes()
        case _:
            return None


def prove(peer, row):
    """One request: the proxy does what the row takes for granted."""
    if row.streams:
        return prove_http2(peer, row)
    method, body = ("POST", b"x" * row.sends) if row.sends else ("GET", None)
    status, fields, got, agreed = peer.fetch(method, row.path, body, row.headers, row.tls)
    expected = peer.outage_status if row.fails else 200
    right = body_of(peer.lab, row.path)
    if status != expected or right not in (None, got):
        raise Trouble(
            f"{peer.name} answers {method} {row.path} with {status}, {len(got)} bytes; "
            f"expected {expected}, {'any body' if right is None else len(right)}"
        )
    if row.tls and agreed != AGREED:
        raise Trouble(f"{peer.name} agrees on {agreed}, the others on {AGREED}")
    closes = fields.get("Connection", "").lower() == "close"
    if row.headers.get("Connection") == "close" and not closes:
        raise Trouble(f"{peer.name} does not say that it closes the connection")


def prove_http2(peer, row):
    command = [
        laboratory.tool("curl"), "-sk", "--http2", "--max-time", "10",
        "-w", "\n%{http_version} %{http_code}", f"https://127.0.0.1:{peer.tls_port}{row.path}",
    ]
    said = subprocess.run(command, capture_output=True, timeout=15).stdout
    if said != body_of(peer.lab, row.path) + b"\n2 200":
        raise Trouble(f"{peer.name} answers {row.path} over HTTP/2 with {said[-80:]!r}")


def measure(lab, peer, row, seconds):
    """CPU microseconds a request, and requests a second."""
    load = load_http2 if row.streams else load_http1
    before = laboratory.cpu_seconds(peer.process)
    requests, rate, body_bytes = load(lab, peer, row, seconds)
    spent = laboratory.cpu_seconds(peer.process) - before
    length = len(body_of(lab, row.path) or b"")
    if requests < MIN_REQUESTS or body_bytes < requests * length:
        raise Trouble(f"{peer.name} {row.path}: {body_bytes} bytes in {requests} answers")
    check_log(peer, requests)
    if length >= LARGE:
        # Those that the load's end has cut count by the part that came.
        rate *= body_bytes / length / requests
        requests = body_bytes / length
    return spent / requests * 1e6, rate


def load_http1(lab, peer, row, seconds):
    script = lab.dir / f"{row.word}.lua"
    script.write_text(wrk_script(row))
    origin = f"https://127.0.0.1:{peer.tls_port}" if row.tls else f"http://127.0.0.1:{peer.port}"
    command = [
        laboratory.tool("wrk"), "-t1", f"-c{row.connections}", f"-d{seconds}s",
        "--timeout", "10s", "-s", script, origin + row.path,
    ]
    said = run_load(lab, command, seconds)
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$", said, re.MULTILINE)
    if not found:
        raise Trouble(f"wrk failed on {peer.name} {row.path}: {said}")
    requests, microseconds, body_bytes, bad_status, broken = map(int, found.groups())
    if bad_status != (requests if row.fails else 0) or broken:
        raise Trouble(
            f"{peer.name} {row.path}: of {requests} requests {bad_status} had a status "
            f"from 400 on, {broken} broke"
        )
    return requests, requests / microseconds * 1e6, body_bytes


def wrk_script(row):
    headers = row.headers.items()
    lines = [f"wrk.headers[{quoted(name)}] = {quoted(value)}" for name, value in headers]
    if row.sends:
        lines += ['wrk.method = "POST"', f'wrk.body = string.rep("x", {row.sends})']
    lines.append(
        "done = function(summary)\n"
        "  local e = summary.errors\n"
        '  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,\n'
        "    summary.bytes, e.status, e.connect + e.read + e.write + e.timeout))\n"
        "end"
    )
    return "\n".join(lines) + "\n"


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def load_http2(lab, peer, row, seconds):
    command = [
        laboratory.tool("h2load"), "-t1", f"-c{row.connections}", f"-m{row.streams}",
        f"-D{seconds}", f"https://127.0.0.1:{peer.tls_port}{row.path}",
    ]
    said = run_load(lab, command, seconds)
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
    rate = re.search(r"finished in [^,]*, ([0-9.]+) req/s", said)
    statuses = re.search(r"status codes: (\d+) 2xx", said)
    data = re.search(r"\((\d+)\) data$", said, re.MULTILINE)
    if not (done and rate and statuses and data and "protocol: h2" in said):
        raise Trouble(f"h2load failed on {peer.name} {row.path}: {said}")
    requests, *faults = map(int, done.groups())
    if any(faults) or int(statuses[1]) < requests:
        raise Trouble(f"{peer.name} {row.path} over HTTP/2: {done[0]}; {statuses[0]}")
    return requests, float(rate[1]), int(data[1])


def run_load(lab, command, seconds):
    pinned = ["taskset", "-c", ",".join(map(str, lab.load_cores)), *map(str, command)]
    done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds + 30)
    if done.returncode != 0:
        raise Trouble(f"{command[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout


def check_log(peer, requests):
    """Proves that the requests were logged, and empties the log lest it fill the disk."""
    deadline = time.monotonic() + 3
    while peer.log.stat().st_size < 20 * requests:
        if time.monotonic() > deadline:
            raise Trouble(f"{peer.name} logged {peer.log.stat().st_size} B of {requests} requests")
        time.sleep(0.05)
    os.truncate(peer.log, 0)
