"""Who is compared: how each proxy is configured, started, asked and named.

Each has one worker, an access log, the usual forwarded fields, and TLS with HTTP/2 beside plain
HTTP, all with one certificate, ECDSA on P-256. Each may keep as many idle connections to the backend
as it opens, for with fewer the load of 1000 clients measures reconnects. What is not said here is as
the program has it.
"""

import http.client
import os
import pathlib
import platform
import re
import ssl
import subprocess
import tomllib

import lab as laboratory
from lab import ROOT, Trouble, free_port, nginx_command, nginx_common, tool

TITLES = {"causeway": "Causeway", "nginx": "nginx", "haproxy": "HAProxy", "pingora": "Pingora"}
PINGORA = ROOT / "benches" / "peers" / "pingora" / "Cargo.toml"

# The load is local, and local clients are operators by default, who get evidence with each page:
# here they are what nearly all are in an outage, visitors, unless a command asks for operators.
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
[upstream.main.limits]
connections = 64
[upstream.never.limits]
connections = 2000
{site}[tls]
listen = ["127.0.0.1:{tls_port}"]
certificates = [{{ chain = "{chain}", key = "{key}" }}]
[page]
operators = {operators}
[log]
access = "{log}"
"""

CAUSEWAY_SITE = """\
[upstream.site]
servers = ["fastcgi+unix:{fpm}"]
paths = ["/site"]
root = "{root}"
"""

# Buffers of requests and of responses on disk are off: the others have none. The forwarded fields
# are those of Debian's /etc/nginx/proxy_params: every proxy here tells its backend who asked.
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
    upstream main {{ server 127.0.0.1:{main}; keepalive 1024; keepalive_requests 100000000; }}
    upstream down {{ server 127.0.0.1:{down}; keepalive 64; }}
    upstream never {{ server 127.0.0.1:{never}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl http2 backlog=4096;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
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
    bind 127.0.0.1:{tls_port} ssl crt {both} alpn h2,http/1.1 backlog 4096
    http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
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


class Peer:
    """One proxy: how to start it, where it listens, where it logs, whether it serves the site."""

    def __init__(self, lab, name, binaries, upstreams, operators=False):
        self.lab, self.name, self.title = lab, name, TITLES[name]
        self.has_site = "fpm" in upstreams and name in ("causeway", "nginx")
        self.port, self.tls_port = free_port(), free_port()
        self.log = lab.dir / ("haproxy.out" if name == "haproxy" else f"{name}.access")
        values = {"port": self.port, "tls_port": self.tls_port, "log": self.log}
        values |= nginx_common(lab, name) | certificate(lab) | upstreams
        values["operators"] = '["127.0.0.0/8"]' if operators else "[]"
        site = {"causeway": CAUSEWAY_SITE, "nginx": NGINX_SITE}.get(name)
        values["site"] = site.format(**values) if self.has_site else ""
        text = {"causeway": CAUSEWAY, "nginx": NGINX, "haproxy": HAPROXY}.get(name)
        conf = lab.dir / f"{name}.conf"
        if text:
            conf.write_text(text.format(**values))
        match name:
            case "causeway":
                self.command = [binaries[name], "run", "--config", conf]
            case "nginx":
                self.command = nginx_command(lab, conf)
            case "haproxy":
                self.command = [tool("haproxy"), "-db", "-f", conf]
            case "pingora":
                words = ("port", "tls_port", "chain", "key", "log", "main", "down", "never")
                self.command = [binaries[name], *(values[word] for word in words)]
        self.process = None

    def start(self):
        self.process = self.lab.start(self.name, self.command, self.port, self.lab.proxy_cores)
        return self

    def stop(self):
        self.lab.stop(self.process)
        self.process = None

    @property
    def outage_status(self):
        """What a refused connection becomes: to HAProxy, a server that is not available."""
        return 503 if self.name == "haproxy" else 502

    def version(self):
        if self.name == "pingora":
            return f"{self.title} {pingora_version()}"
        flag = "--version" if self.name == "causeway" else "-v"
        said = subprocess.run([self.command[0], flag], capture_output=True, text=True, timeout=10)
        found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
        return f"{self.title} {found[0] if found else 'of an unknown version'}"

    def fetch(self, method, path, body=None, headers=None, tls=False):
        """One request over HTTP/1.1: status, headers, body, and what TLS agreed on."""
        if tls:
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.tls_port, timeout=10, context=context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            agreed = (connection.sock.version(), connection.sock.cipher()[0]) if tls else None
            response = connection.getresponse()
            return response.status, response.headers, response.read(), agreed
        finally:
            connection.close()


def certificate(lab):
    """One for all of a laboratory: chain, key, and both in one file as HAProxy wants them."""
    files = {word: lab.dir / f"{word}.pem" for word in ("chain", "key", "both")}
    if not files["both"].exists():
        command = [
            tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-noenc", "-days", "365", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", files["key"], "-out", files["chain"],
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Trouble(f"openssl made no certificate: {done.stderr}")
        files["both"].write_text(files["chain"].read_text() + files["key"].read_text())
        files["both"].chmod(0o600)
    return files


# What has to be built.


def add_arguments(parser):
    laboratory.add_common_arguments(parser)
    parser.add_argument("--pingora", type=pathlib.Path, help="the same of the proxy on Pingora")


def binaries(options, names):
    """The release builds that are compared, made first unless they were given."""
    found = {"causeway": laboratory.causeway_binary(options, names)}
    if "pingora" in names:
        # The host's OpenSSL, as nginx and HAProxy have it, in place of one of its own.
        os.environ["OPENSSL_NO_VENDOR"] = "1"
        hint = (": needs `apt-get install cmake libssl-dev pkg-config`; "
                "--peers causeway,nginx,haproxy leaves it out")
        folder, into = PINGORA.parent, laboratory.target() / "pingora"
        built = options.pingora or laboratory.build("causeway-peer-pingora", folder, into, hint)
        found["pingora"] = built.resolve()
    return found


def pingora_version():
    with open(PINGORA, "rb") as file:
        return tomllib.load(file)["dependencies"]["pingora"]["version"].lstrip("=")


def origin():
    """Where the peers come from: this host's distribution."""
    return platform.freedesktop_os_release().get("PRETTY_NAME", "an unknown distribution")
