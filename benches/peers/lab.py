"""What the commands of this directory share: processes, the cores they run on, what they cost.

The proxy under test runs on one core, everything else on the others. Each process that is started
here is ended here, by its id. Traffic stays on 127.0.0.1.
"""

import contextlib
import os
import pathlib
import platform
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024
GB = 1_000_000_000


class Trouble(Exception):
    """The laboratory could not do what it was asked to."""


class Lab:
    """A temporary directory, the processes in it, and the cores they run on."""

    def __init__(self, seconds_max):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Trouble("needs two cores: one for the proxy, one for load and backend")
        self.proxy_cores, self.load_cores = cores[:1], cores[1:]
        os.sched_setaffinity(0, self.load_cores)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        soft = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < 8192:
            raise Trouble(f"needs 8192 open files, the limit is {soft}: ulimit -n 8192")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="causeway-peers-"))
        self.running = []
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGHUP, _stop)
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(seconds_max)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        signal.alarm(0)
        for process in list(reversed(self.running)):
            self.stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, name, command, address, cores):
        """Starts a process on the given cores and waits until it accepts connections there."""
        log = open(self.dir / f"{name}.out", "ab")
        pinned = ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)]
        # Groups of their own, to be ended by, but no sessions: Linux weighs those against each other
        # (sched_autogroup), and load and backend, on one core, are to share it as equals.
        process = subprocess.Popen(
            pinned, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
            process_group=0,
        )
        log.close()
        process.name = name
        self.running.append(process)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Trouble(f"{name} ended at once ({process.returncode}):\n{self.output(name)}")
            with contextlib.suppress(OSError):
                connect(address).close()
                return process
            time.sleep(0.02)
        raise Trouble(f"{name} does not listen on {address}:\n{self.output(name)}")

    def output(self, name):
        return (self.dir / f"{name}.out").read_text(errors="replace")[-2000:]

    def stop(self, process):
        """Ends a process that was started here, with its children."""
        if process in self.running:
            self.running.remove(process)
        family = tree(process.pid)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        for pid in family[1:]:
            with contextlib.suppress(OSError):
                if os.getpgid(pid) == process.pid:
                    os.kill(pid, signal.SIGKILL)


def _stop(*_):
    raise SystemExit("ended by a signal")


def _too_late(*_):
    raise SystemExit("took too long altogether")


def connect(address):
    """A connection to a port of this host, or to a socket in the file system."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), 1)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        raise
    return connection


def free_port():
    """A port outside the range that the kernel takes outgoing ports from, so that it stays free."""
    for _ in range(200):
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise Trouble("no free port")


def refusing_port():
    """A port that refuses connections as long as the returned socket lives."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1], holder


# What processes cost.


def tree(pid):
    """A process and all of its descendants, itself first."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(entry)[1]), []).append(int(entry))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def _stat(pid):
    """The fields of /proc/PID/stat from the state on: state, ppid, …"""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(process):
    """User and system time of all threads of all of its processes, those that ended included."""
    total = 0
    for pid in tree(process.pid):
        with contextlib.suppress(OSError):
            total += sum(map(int, _stat(pid)[11:15]))
    return total / TICKS


def _kilobytes(path, key):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def pss_bytes(process):
    """Resident memory of all of its processes, shared pages counted once."""
    pids = tree(process.pid)
    return 1024 * sum(_kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids)


def rss_bytes(process):
    return 1024 * sum(_kilobytes(f"/proc/{pid}/status", "VmRSS:") for pid in tree(process.pid))


def forget_peak(process):
    """Lets the peak of resident memory begin anew at what is resident now (proc(5), clear_refs)."""
    for pid in tree(process.pid):
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(process):
    """The most that was resident since `forget_peak`, as the kernel counts it, missing nothing."""
    return 1024 * sum(_kilobytes(f"/proc/{pid}/status", "VmHWM:") for pid in tree(process.pid))


def open_files(process):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in tree(process.pid))


def settled(measure, slack=64 * 1024, seconds=6.0):
    """A measure once it has stopped moving."""
    deadline = time.monotonic() + seconds
    last = measure()
    while time.monotonic() < deadline:
        time.sleep(0.4)
        now = measure()
        if abs(now - last) <= slack:
            return now
        last = now
    return last


# Programs of this host, and how a command begins and ends.


def tool(name):
    """Where a program lies; one that is missing is named with its Debian package."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        package = {"h2load": "nghttp2-client", "taskset": "util-linux"}.get(name, name)
        raise Trouble(f"{name} is missing: apt-get install {package}")
    return path


def php_fpm():
    """PHP-FPM, whose name has the version in it on Debian; the last one where there are several."""
    found = [path for folder in ("/usr/local/sbin", "/usr/sbin")
             for path in pathlib.Path(folder).glob("php-fpm*")]
    return max(found, default=None) or tool("php-fpm")


def nginx_common(lab, name):
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    return {
        "dir": lab.dir,
        "user": "user root;" if os.geteuid() == 0 else "",
        "temporary": " ".join(f"{kind}_temp_path {lab.dir}/{name}_{kind};" for kind in kinds),
    }


def nginx_command(lab, conf):
    return [tool("nginx"), "-p", lab.dir, "-c", conf, "-e", f"{conf}.error"]


def add_common_arguments(parser):
    parser.add_argument("--binary", type=pathlib.Path, help="a causeway that is built already")


def causeway_binary(options, names):
    """The release build, made first unless it was given."""
    if "causeway" not in names:
        return None
    return (options.binary or build("causeway", ROOT, target())).resolve()


def build(name, folder, into, hint=""):
    """A release build of the program of that name, from the package in a folder."""
    locked = ["--locked"] if (folder / "Cargo.lock").exists() else []
    command = ["cargo", "build", "--release", *locked, "--target-dir", into]
    if subprocess.run(command, cwd=folder).returncode != 0:
        raise Trouble(f"{name} does not build{hint}")
    return into / "release" / name


def target():
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def machine():
    """Hardware and time, for beside a measurement."""
    return f"{hardware()}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}"


def hardware():
    """Cores and kernel."""
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}"


def main(body):
    """Runs a command's body; troubles become one line and exit status 1."""
    try:
        sys.exit(body())
    except Trouble as trouble:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)
