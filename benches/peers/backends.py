"""What stands behind the proxies: an nginx with answers of every size, PHP-FPM, and a silent one.

All of it runs on the cores of the load; none of its cost is counted.
"""

import os
import random
import selectors
import socket
import threading

from lab import GB, free_port, nginx_command, nginx_common, php_fpm

FILES = {"10k": 10_000, "1m": 1_000_000, "10m": 10_000_000}

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


def start_backend(lab):
    """An nginx that answers /small, /files/NAME and POST /sink; returns its port."""
    port = free_port()
    files = lab.dir / "files"
    files.mkdir()
    for name, size in FILES.items():
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


class NeverAnswers:
    """A backend that reads requests and keeps silent, counting the heads that came in."""

    def __init__(self):
        self.heard = 0
        self.changed = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self.listener:
                    connection = self.listener.accept()[0]
                    connection.setblocking(False)
                    selector.register(connection, selectors.EVENT_READ, bytearray())
                else:
                    self.read(selector, key)

    def read(self, selector, key):
        try:
            piece = key.fileobj.recv(65536)
        except OSError:
            piece = b""
        if not piece:
            selector.unregister(key.fileobj)
            key.fileobj.close()
            return
        key.data.extend(piece)
        if piece.endswith(b"\r\n\r\n"):
            with self.changed:
                self.heard += 1
                self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            return self.changed.wait_for(lambda: self.heard >= count, 20)
