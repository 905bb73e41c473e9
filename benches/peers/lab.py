"""What the three commands of this directory share: processes, their configurations, what they cost.

The proxy under test runs on one core, everything else on the others. Each process that is started
here is ended here, by its id. Traffic stays on 127.0.0.1.
"""

import contextlib
import http.client
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
        process = subprocess.Popen(
            pinned, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
            start_new_session=True,
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
                if os.getsid(pid) == process.pid:
                    os.kill(pid, signal.SIGKILL)


def _stop(*_):
    raise SystemExit("ended by a signal")


def _too_late(*_):
    raise Trouble("took too long altogether")


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


# Who is compared.

# The load is local, and local clients are operators by default, who get evidence with each page: here
# they are what nearly all are in an outage, visitors.
CAUSEWAY = """\
listen = ["127.0.0.1:{port}"]
workers = 1
[upstream.main]
servers = ["http://127.0.0.1:{main}"]
[upstream.down]
servers = ["http://127.0.0.1:{down}"]
paths = ["/down"]
[upstream.never]
servers = ["http://127.0.0.1:{never}"]
paths = ["/never"]
[upstream.never.limits]
connections = 2000
{site}[page]
operators = []
[log]
access = "{log}"
"""

CAUSEWAY_SITE = """\
[upstream.site]
servers = ["fastcgi+unix:{fpm}"]
paths = ["/site"]
root = "{root}"
"""

# Buffers of requests and of responses on disk are off: the others have none. The forwarded fields are
# those of Debian's /etc/nginx/proxy_params: every proxy here tells its backend who asked.
NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error crit;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log {log};
    {temporary}
    keepalive_requests 100000000;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    upstream main {{ server 127.0.0.1:{main}; keepalive 64; keepalive_requests 100000000; }}
    upstream down {{ server 127.0.0.1:{down}; keepalive 64; }}
    upstream never {{ server 127.0.0.1:{never}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://main; }}
        location /down {{ proxy_pass http://down; }}
        location /never {{ proxy_pass http://never; }}
{site}    }}
}}
"""

# What Debian's nginx.conf and its PHP sites have, without the look for the script before it is run.
NGINX_SITE = """\
        location /site/ {{
            root {root};
            sendfile on;
            tcp_nopush on;
            include /etc/nginx/mime.types;
            location ~ \\.php$ {{
                include /etc/nginx/fastcgi_params;
                fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
                fastcgi_pass unix:{fpm};
            }}
        }}
"""

# retries 0: nginx and Causeway try the only server once, too.
HAPROXY = """\
global
    nbthread 1
    maxconn 8000
    log stdout len 2048 format raw local0 info
defaults
    mode http
    log global
    option httplog
    option forwardfor
    http-reuse always
    retries 0
    timeout connect 3s
    timeout client 75s
    timeout server 60s
    timeout http-keep-alive 75s
frontend front
    bind 127.0.0.1:{port} backlog 4096
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    use_backend down if {{ path_beg /down }}
    use_backend never if {{ path_beg /never }}
    default_backend main
backend main
    server one 127.0.0.1:{main}
backend down
    server one 127.0.0.1:{down}
backend never
    server one 127.0.0.1:{never}
"""

BACKEND = """\
daemon off;
worker_processes 1;
pid {dir}/backend.pid;
error_log {dir}/backend.error crit;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log off;
    {temporary}
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_buffer_size 2m;
    open_file_cache max=16;
    server {{
        listen unix:{dir}/null.sock;
        location / {{ return 200 "taken\\n"; }}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /small {{ default_type text/plain; return 200 "hello, small world\\n"; }}
        location /files/ {{ root {dir}; }}
        # Reads the whole body before it answers: what a backend does with an upload.
        location = /sink {{
            proxy_method GET;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://unix:{dir}/null.sock:/;
        }}
    }}
}}
"""


# Two children keep a core busy; the load's other connections wait in the socket's backlog.
FPM = """\
[global]
daemonize = no
error_log = {dir}/fpm.error
[site]
{user}
listen = {fpm}
pm = static
pm.max_children = 2
"""


def nginx_common(lab, name):
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    return {
        "dir": lab.dir,
        "user": "user root;" if os.geteuid() == 0 else "",
        "temporary": " ".join(f"{kind}_temp_path {lab.dir}/{name}_{kind};" for kind in kinds),
    }


def start_backend(lab):
    """An nginx that answers /small, /files/NAME and POST /sink; returns its port."""
    port = free_port()
    files = lab.dir / "files"
    files.mkdir()
    for name, size in (("10k", 10_000), ("1m", 1_000_000)):
        (files / name).write_bytes(random.Random(size).randbytes(size))
    conf = lab.dir / "backend.conf"
    conf.write_text(BACKEND.format(port=port, **nginx_common(lab, "backend")))
    lab.start("backend", nginx_command(lab, conf), port, lab.load_cores)
    return port


def start_site(lab):
    """A folder with hello.php, 10k.jpg and 1g.iso in its /site, and a PHP-FPM for the script."""
    root, fpm = lab.dir / "root", lab.dir / "fpm.sock"
    (root / "site").mkdir(parents=True)
    (root / "site" / "hello.php").write_text('<?php echo "hello";')
    (root / "site" / "10k.jpg").write_bytes(random.Random(10_000).randbytes(10_000))
    with open(root / "site" / "1g.iso", "wb") as file:
        file.truncate(GB)
    conf = lab.dir / "fpm.conf"
    superuser = os.geteuid() == 0
    user = "user = root" if superuser else ""
    conf.write_text(FPM.format(dir=lab.dir, fpm=fpm, user=user))
    command = [php_fpm(), "--nodaemonize", "--fpm-config", conf]
    command += ["--allow-to-run-as-root"] if superuser else []
    lab.start("php-fpm", command, fpm, lab.load_cores)
    return {"root": root, "fpm": fpm}


def php_fpm():
    """PHP-FPM, whose name has the version in it on Debian; the last one where there are several."""
    found = [path for folder in ("/usr/local/sbin", "/usr/sbin")
             for path in pathlib.Path(folder).glob("php-fpm*")]
    return max(found, default=None) or tool("php-fpm")


def nginx_command(lab, conf):
    return [tool("nginx"), "-p", lab.dir, "-c", conf, "-e", f"{conf}.error"]


def tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Trouble(f"{name} is missing: apt-get install {name}")
    return path


class Peer:
    """One proxy: how to start it, where it listens, where it logs, whether it serves the site."""

    def __init__(self, lab, name, binary, upstreams):
        self.lab, self.name = lab, name
        self.has_site = "fpm" in upstreams and name != "haproxy"
        self.port = free_port()
        self.log = lab.dir / f"{name}.access"
        values = {"port": self.port, "log": self.log, **nginx_common(lab, name), **upstreams}
        site = {"causeway": CAUSEWAY_SITE, "nginx": NGINX_SITE}.get(name)
        values["site"] = site.format(**values) if self.has_site else ""
        conf = lab.dir / f"{name}.conf"
        if name == "causeway":
            conf.write_text(CAUSEWAY.format(**values))
            self.command = [binary, "run", "--config", conf]
        elif name == "nginx":
            conf.write_text(NGINX.format(**values))
            self.command = nginx_command(lab, conf)
        else:
            conf.write_text(HAPROXY.format(**values))
            self.command = [tool("haproxy"), "-db", "-f", conf]
            self.log = lab.dir / "haproxy.out"
        self.process = None

    def start(self):
        self.process = self.lab.start(self.name, self.command, self.port, self.lab.proxy_cores)
        return self

    def stop(self):
        self.lab.stop(self.process)
        self.process = None

    @property
    def outage_status(self):
        return 503 if self.name == "haproxy" else 502

    def version(self):
        binary = self.command[0]
        flag = {"causeway": "--version", "nginx": "-v", "haproxy": "-v"}[self.name]
        said = subprocess.run([binary, flag], capture_output=True, text=True, timeout=10)
        return (said.stdout + said.stderr).splitlines()[0].strip()

    def fetch(self, method, path, body=None):
        """One request: status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


def add_common_arguments(parser):
    parser.add_argument("--binary", type=pathlib.Path, help="a causeway that is built already")


def causeway_binary(options, names):
    """The release build, made first unless it was given."""
    if "causeway" not in names:
        return None
    if options.binary:
        return options.binary.resolve()
    if subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT).returncode != 0:
        raise Trouble("cargo build --release failed")
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return (ROOT / target / "release" / "causeway").resolve()


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    kernel = f"{platform.system()} {platform.release()}"
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"{os.cpu_count()} × {model}, {kernel}, {date}"


def main(body):
    """Runs a command's body; troubles become one line and exit status 1."""
    try:
        sys.exit(body())
    except Trouble as trouble:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)
