"""What is known of every request from its client, from the access log and from the backend, and
what of it does not fit together.

A request is `good`, or it failed as its row says, or a fault was under way that it could be hit by;
everything else is lost.
"""

import asyncio
import collections
import dataclasses
import json
import math
import re
import time

ID = re.compile(r"[?&]id=([a-z0-9-]+)")
MARGIN_S = 1.0
"""What was hit may be told so much later: the proxy remembers a refusal for 0.1 s, this process may
be late itself."""
GROUPS_MAX = 40
# What has no id: heads that never came, connections that were turned away.
NAMELESS = {"request_header_timeout", "too_many_client_connections", "request_invalid",
            "client_gone"}


@dataclasses.dataclass
class Window:
    """A time in which requests of some tags may fail, with these causes."""

    fault: str
    tags: frozenset
    causes: frozenset
    began: float
    ended: float = math.inf

    def hits(self, result):
        during = result.began <= self.ended + MARGIN_S and result.ended >= self.began
        newcomer = "newcomers" in self.tags and result.fresh
        return during and (newcomer or bool(self.tags & result.tags))


@dataclasses.dataclass
class Result:
    """One request as its client saw it."""

    name: str
    kind: str
    tags: frozenset
    began: float
    ended: float = 0.0
    good: bool = False
    why: str = ""
    status: int = 0
    length: int = 0
    cause: str | None = None
    fresh: bool = True
    body: tuple | None = None
    """Digest and length of what was sent, where something was."""
    expects: tuple = (None,)
    """The causes that are right in the log while nothing else goes wrong."""
    tunnel: bool = False
    """Its log names no cause once the upgrade is made: either side may end it at any time."""
    exact: bool = True
    """Whether the log's status and bytes must be what the client saw."""


class Book:
    def __init__(self):
        self.results, self.lines = {}, {}
        self.windows = []
        self.troubles = collections.defaultdict(dict)
        self.counts = collections.Counter()
        self.kinds = collections.defaultdict(collections.Counter)
        self.hits = collections.defaultdict(collections.Counter)
        self.fault_times = collections.Counter()
        self.right = collections.defaultdict(collections.Counter)
        self.roots = collections.Counter()
        self.nameless = collections.Counter()
        self.posts = {}

    def trouble(self, check, text, group=None):
        """Something does not hold; of each group one is shown, with how many there are."""
        self.counts[f"trouble {check}"] += 1
        groups, group = self.troubles[check], group or text
        if group in groups:
            groups[group][0] += 1
        elif len(groups) < GROUPS_MAX:
            groups[group] = [1, text]

    def open_window(self, fault, tags, causes):
        window = Window(fault, frozenset(tags), frozenset(causes), time.monotonic())
        self.windows.append(window)
        self.fault_times[fault] += 1
        return window

    def note(self, result):
        """A request is over."""
        result.ended = time.monotonic()
        self.counts["requests"] += 1
        self.results[result.name] = result
        if result.body is not None:
            self.posts[result.name] = result

    async def read_log(self, path):
        """Takes in a log that nobody writes to any more."""
        with open(path, "rb") as file:
            for number, line in enumerate(file):
                self.read_line(line)
                if number % 200 == 199:
                    await asyncio.sleep(0)

    def read_line(self, line):
        self.counts["lines"] += 1
        try:
            said = json.loads(line)
        except ValueError:
            self.trouble("log", f"not JSON: {line[:200]!r}")
            return
        if said.get("root"):
            self.roots[f"{said['cause']}: {said['root']}"] += 1
        if said.get("cause") == "proxy_internal_error":
            self.trouble("log", f"proxy_internal_error: {said['path']}")
        name = ID.search(said["path"])
        if name is None or name[1].startswith("fl"):
            self.nameless[said.get("cause")] += 1
            if name is None and said.get("cause") not in NAMELESS:
                said = line[:300].decode(errors="replace")
                self.trouble("log", f"a line of no request of ours: {said}")
        elif name[1] in self.lines:
            self.trouble("once", f"two lines of {name[1]}")
        else:
            self.lines[name[1]] = said

    def settle(self, final=False):
        """Joins what client and log say, of the requests that both know."""
        for name in self.results.keys() & self.lines.keys():
            self.judge(self.results.pop(name), self.lines.pop(name))
        if not final:
            return
        for name, result in self.results.items():
            self.judge(result, None)
        for name, said in self.lines.items():
            self.trouble("log", f"a line of a request that is not ours, or its second: {name}")
        self.results, self.lines = {}, {}

    def judge(self, result, said):
        windows = [window for window in self.windows if window.hits(result)]
        kind = self.kinds[result.kind]
        if result.why == "wrong body":
            kind["wrong"] += 1
            self.trouble("bodies", f"{result.name}: {result.status}, {result.length} bytes")
            return
        cause = said.get("cause") if said else result.cause
        newcomer = any("newcomers" in window.tags for window in windows) and result.fresh
        as_expected = result.good and cause in result.expects
        if result.good and said is None and not newcomer:
            self.trouble("log", f"no line of {result.name}", result.kind)
        if as_expected:
            kind["good"] += 1
            if not result.exact:
                self.right[result.kind][cause or "(none)"] += 1
            if said and result.exact:
                self.compare(result, said)
            return
        self.judge_failed(result, said, cause, windows, kind)

    def judge_failed(self, result, said, cause, windows, kind):
        is_end = result.tunnel and said is not None and cause is None
        by = [window for window in windows
              if cause in window.causes or is_end and window.tags & result.tags]
        newcomer = any("newcomers" in window.tags for window in windows) and result.fresh
        if by or newcomer and said is None:
            kind["hit"] += 1
            fault = (by or windows)[0].fault
            word = "tunnel ended" if is_end else "turned away without a word"
            self.hits[fault][cause or word] += 1
        else:
            word = "with a line in the log" if said else "with none"
            check = "causes" if said and (windows or not result.exact) else "lost"
            kind[check] += 1
            during = ", ".join(window.fault for window in windows) or "nothing"
            self.trouble(check, f"{result.name}: {result.why or result.status}, cause {cause}, "
                                f"expected {result.expects}, during {during}, {word}",
                         (result.kind, cause, during, said is None))
        if said and result.cause and result.cause != said.get("cause"):
            self.trouble("causes", f"{result.name}: page says {result.cause}, "
                                   f"log {said.get('cause')}", result.kind)

    def compare(self, result, said):
        if (said["status"], said["bytes"]) != (result.status, result.length):
            self.trouble("log", f"{result.name}: client {result.status}, {result.length} bytes; "
                                f"log {said['status']}, {said['bytes']}", result.kind)
        if said.get("attempts", 1) > 1:
            self.counts["repeated"] += 1

    def read_ledger(self, path):
        """Every body that was sent: how often it began and how often it came whole, and as what."""
        began, ended = collections.Counter(), collections.defaultdict(list)
        for line in path.read_text().splitlines():
            word, name, *rest = line.split(" ")
            if word == "B":
                began[name] += 1
            else:
                ended[name].append((rest[0], int(rest[1])))
        for name, result in self.posts.items():
            whole = ended.pop(name, [])
            times = began.pop(name, 0)
            if times > 1 or len(whole) > 1:
                self.trouble("once", f"{name} came {times} times, whole {len(whole)} times")
            elif result.good and result.expects == (None,) and whole != [result.body]:
                self.trouble("bodies", f"{name} was answered and came as {whole}")
            elif whole and whole[0] != result.body and result.expects == (None,):
                self.trouble("bodies", f"{name} failed and came as {whole}, not {result.body}")
            self.counts["bodies up"] += result.good and result.expects == (None,)
            self.counts["failed, had come"] += bool(not result.good and times)
            self.counts["failed, had not come"] += not result.good and not times
        for name in [*began, *ended]:
            self.trouble("once", f"{name} came and nobody had sent it")
