"""What the proxy holds, by the kernel and by its own metrics, over time."""

import asyncio
import collections
import dataclasses
import pathlib
import time

import lab as laboratory

SAMPLE_S = 10
GAUGES = ("causeway_client_connections", "causeway_upstream_requests_in_flight",
          "causeway_upstream_queue_length", "causeway_upstream_connections")


@dataclasses.dataclass
class Sample:
    at: float
    rss: int
    files: int
    threads: int
    gauges: dict

    @property
    def idle(self):
        return self.gauges['causeway_upstream_connections{state="idle"}']

    @property
    def busy(self):
        """Whatever belongs to a client or to a request under way."""
        return sum(self.gauges.values()) - self.idle


class Monitor:
    def __init__(self, world):
        self.world = world
        self.samples = []

    async def metrics(self):
        """Every metric, summed over its labels; connections to upstreams by their state too."""
        reader, writer = await asyncio.open_unix_connection(self.world.lab.dir / "admin.sock")
        try:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(10):
                said = (await reader.read()).decode()
        finally:
            writer.close()
        sums = collections.defaultdict(float)
        for line in said.splitlines():
            name, _, value = line.partition(" ")
            if not name.startswith(("causeway_", "process_")):
                continue
            name, _, labels = name.partition("{")
            number = float(value.split(" ")[0])
            sums[name] += number
            for label in labels.rstrip("}").split(","):
                if label.startswith(("state=", "cause=", "upstream=")):
                    sums[f"{name}{{{label}}}"] += number
        return sums

    async def sample(self):
        process = self.world.processes["causeway"]
        metrics = await self.metrics()
        gauges = {name: int(metrics[name]) for name in GAUGES[:3]}
        for state in ("active", "idle"):
            name = f'causeway_upstream_connections{{state="{state}"}}'
            gauges[name] = int(metrics[name])
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        threads = int(status.partition("Threads:")[2].split()[0])
        return Sample(time.monotonic(), laboratory.rss_bytes(process),
                      laboratory.open_files(process), threads, gauges)

    async def watch(self):
        """A sample each ten seconds, until it is cancelled."""
        due = time.monotonic()
        while True:
            self.samples.append(await self.sample())
            due += SAMPLE_S
            await asyncio.sleep(max(0.1, due - time.monotonic()))

    async def idle(self, seconds):
        """The sample of a proxy that has nothing to do, or the last one in that time."""
        deadline = time.monotonic() + seconds
        while True:
            sample = await self.sample()
            if sample.busy == 0 and sample.idle == 0 or time.monotonic() > deadline:
                return sample
            await asyncio.sleep(1)
