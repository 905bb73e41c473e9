"""What the soak runs against: the proxy's configuration, its backends, their files."""

import pathlib
import ssl
import subprocess
import sys

import lab as laboratory
from content import content
from lab import Trouble

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS_MAX = 400
"""`client.connections`: few, so that a flood reaches it."""
KEEPALIVE_S = 20

CONFIG = """\
listen = ["127.0.0.1:{port}"{extra}]
workers = 2
resolvers = ["127.0.0.1:{dns}"]
drain_timeout = "10s"

[client]
header_timeout = "2s"
body_timeout = "2s"
keepalive_timeout = "{keepalive}s"
connections = {connections}

[tls]
listen = ["127.0.0.1:{tls}"]
certificates = [{{ chain = "{dir}/chain.pem", key = "{dir}/key.pem" }}]

[admin]
listen = ["unix:{dir}/admin.sock"]

[log]
access = "{dir}/access.log"

[upstream.origin]
servers = ["http://127.0.0.1:{origin}"]
paths = ["/o"]
timeouts = {{ connect = "1s", send = "2s", first_byte = "{first_byte}", idle = "2s" }}

[upstream.secure]
servers = ["https://localhost:{origin_tls}"]
paths = ["/s"]
timeouts = {{ connect = "1s", tls = "2s", send = "2s", first_byte = "{first_byte}", idle = "2s" }}
tls = {{ ca = "{dir}/chain.pem", server_name = "soak.example" }}

[upstream.nginx]
servers = ["h2c://127.0.0.1:{nginx}"]
paths = ["/n"]
timeouts = {{ connect = "1s", send = "2s", first_byte = "{first_byte}", idle = "2s" }}

[upstream.php]
servers = ["fastcgi+unix:{dir}/fpm.sock"]
root = "{dir}/root"
paths = ["/php"]
try = ["{{path}}", "=404"]
timeouts = {{ connect = "1s", send = "2s", first_byte = "{first_byte}", idle = "2s" }}

[upstream.liar]
servers = ["http://127.0.0.1:{rows}"]
paths = ["/liar"]
timeouts = {{ first_byte = "2s", idle = "2s" }}

[upstream.stale]
servers = ["http://127.0.0.1:{stale}"]
paths = ["/stale"]

[upstream.queue]
servers = ["http://127.0.0.1:{queue}"]
paths = ["/queue"]
limits = {{ connections = 1, queue = 1, queue_timeout = "200ms" }}

[upstream.refused]
servers = ["http://127.0.0.1:{refused}"]
paths = ["/refused"]

[upstream.nosocket]
servers = ["http+unix:{dir}/nobody.sock"]
paths = ["/nosocket"]

[upstream.noname]
servers = ["http://nowhere.soak.example:80"]
paths = ["/noname"]

[upstream.plaintext]
servers = ["https://127.0.0.1:{plain}"]
paths = ["/plain"]

[upstream.stranger]
servers = ["https://127.0.0.1:{tls_liar}"]
paths = ["/stranger"]

[upstream.misnamed]
servers = ["https://127.0.0.1:{tls_liar}"]
paths = ["/misnamed"]
tls = {{ ca = "{dir}/chain.pem", server_name = "other.example" }}

[upstream.closed]
servers = ["http://127.0.0.1:{refused}"]
paths = ["/maintained"]
maintenance = true
"""

NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error crit;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port} http2;
        location /n/ {{ root {dir}/root; }}
    }}
}}
"""

FPM = """\
[global]
daemonize = no
error_log = {dir}/fpm.error
[soak]
{user}
listen = {dir}/fpm.sock
listen.backlog = 128
pm = static
pm.max_children = 4
env[LEDGER] = {dir}/ledger
"""

PHP = {
    "hello": 'echo "hello ", strlen($_GET["id"] ?? "");',
    "sum": """
        file_put_contents(getenv("LEDGER"), "B {$_GET['id']}\\n", FILE_APPEND);
        $body = file_get_contents("php://input");
        $said = hash("sha256", $body) . " " . strlen($body);
        file_put_contents(getenv("LEDGER"), "E {$_GET['id']} $said\\n", FILE_APPEND);
        echo $said;""",
    "fatal": "undefined_function_of_the_soak();",
    "kill": "usleep(20000); posix_kill(posix_getpid(), 9);",
    "kill-late": """
        header("Content-Length: 100000");
        echo str_repeat("x", 40000); flush(); usleep(50000); posix_kill(posix_getpid(), 9);""",
}

FILES = {"1k": 1_000, "10k": 10_000, "1m": 1_000_000}


PORTS = ("port", "tls", "extra", "origin", "origin_tls", "nginx")


class World:
    """Ports, processes and files of one soak. Its processes can be killed and started again."""

    def __init__(self, lab, binary):
        self.lab, self.binary = lab, binary
        self.ports = {}
        while len(set(self.ports.values())) < len(PORTS):
            self.ports = {name: laboratory.free_port() for name in PORTS}
        self.processes = {}
        self.certify()
        self.ledger = lab.dir / "ledger"
        self.log = lab.dir / "access.log"
        self.conf = lab.dir / "causeway.toml"

    def certify(self):
        """A certificate that vouches for itself; the chain serves as its authority too."""
        command = [laboratory.tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                   "/CN=soak.example", "-addext", "subjectAltName=DNS:soak.example",
                   "-addext", "basicConstraints=critical,CA:FALSE",
                   "-keyout", self.lab.dir / "key.pem", "-out", self.lab.dir / "chain.pem"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if made.returncode != 0:
            raise Trouble(f"openssl made no certificate: {made.stderr}")

    def tls_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.lab.dir / "chain.pem", self.lab.dir / "key.pem")
        return context

    def version(self):
        command = [self.binary, "--version"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return said.stdout.splitlines()[0].strip()

    def start_all(self, ports):
        self.ports.update(ports)
        self.write_files()
        self.write_config()
        for name in ("origin", "php", "nginx"):
            self.start(name)
        command = [self.binary, "run", "--config", self.conf]
        self.processes["causeway"] = self.lab.start(
            "causeway", command, self.ports["port"], self.all_cores())

    def all_cores(self):
        return self.lab.proxy_cores + self.lab.load_cores

    def start(self, name):
        """Starts a backend; returns once it takes connections."""
        command, address = {
            "origin": ([sys.executable, HERE / "origin.py", self.ports["origin"],
                        self.ports["origin_tls"], self.lab.dir / "chain.pem",
                        self.lab.dir / "key.pem", self.ledger], self.ports["origin"]),
            "php": ([laboratory.php_fpm(), "--nodaemonize", "--allow-to-run-as-root",
                     "--fpm-config", self.lab.dir / "fpm.conf"], self.lab.dir / "fpm.sock"),
            "nginx": (laboratory.nginx_command(self.lab, self.lab.dir / "nginx.conf"),
                      self.ports["nginx"]),
        }[name]
        self.processes[name] = self.lab.start(name, command, address, self.lab.load_cores)

    def write_files(self):
        directory = self.lab.dir
        common = laboratory.nginx_common(self.lab, "nginx")
        (directory / "nginx.conf").write_text(NGINX.format(port=self.ports["nginx"], **common))
        user = common["user"].replace("user root;", "user = root")
        (directory / "fpm.conf").write_text(FPM.format(dir=directory, user=user))
        for folder in ("root/n", "root/php"):
            (directory / folder).mkdir(parents=True)
            for seed, (name, length) in enumerate(FILES.items()):
                (directory / folder / f"{name}.bin").write_bytes(content(length, seed))
        for name, source in PHP.items():
            (directory / "root/php" / f"{name}.php").write_text(f"<?php {source}")

    def write_config(self, first_byte="2s", extra=False, broken=False):
        listener = f', "127.0.0.1:{self.ports["extra"]}"' if extra else ""
        values = {**self.ports, "extra": listener, "dir": self.lab.dir, "first_byte": first_byte,
                  "connections": CONNECTIONS_MAX, "keepalive": KEEPALIVE_S}
        text = CONFIG.format(**values)
        if broken:
            text = text.replace("workers = 2", "workers = two")
        fresh = self.conf.with_suffix(".new")
        fresh.write_text(text)
        # In one step: whoever reads finds the old one or the new one.
        fresh.rename(self.conf)

    def pid(self, name):
        return self.processes[name].pid
