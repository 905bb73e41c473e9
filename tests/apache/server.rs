//! A real Apache with PHP of the test's own: its pages, its configuration, its start and its end.
//!
//! Everything is in a temporary directory and on 127.0.0.1. A [`Site`] outlives the Apaches that
//! serve it: a test can end one and start the next. An Apache is a process group, ended as one.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::support::tools::{self, BigFile, Group, as_root, eventually, run};

/// The content of /hello.txt.
pub const HELLO: &[u8] = b"Good day from Apache.\n";

const MISSING: &str = "these tests need a real Apache with PHP: \
     apt-get install apache2 libapache2-mod-php8.2";

/// The pages beside /hello.txt and /big.bin.
const PAGES: &[(&str, &str)] = &[
    ("empty.txt", ""),
    (
        "page.php",
        "<?php header('X-From: php'); header('Set-Cookie: a=1'); header('Set-Cookie: b=2', false);
         echo '<!doctype html><title>Page</title><p>made by PHP ', PHP_MAJOR_VERSION;",
    ),
    ("redirect.php", "<?php header('Location: /elsewhere?from=here', true, 302);"),
    (
        "maintenance.php",
        "<?php http_response_code(503); header('Retry-After: 120'); echo 'Back at noon.';",
    ),
    ("broken.php", "<?php http_response_code(500); echo 'The shop broke.';"),
    ("fatal.php", "<?php no_such_function();"),
    ("gateway.php", "<?php http_response_code(502); echo 'A 502 of the site itself.';"),
    (
        "echo.php",
        "<?php header('Content-Type: application/json');
         $in = fopen('php://input', 'rb'); $hash = hash_init('md5'); $length = 0;
         while (!feof($in)) {
             $piece = fread($in, 65536); $length += strlen($piece); hash_update($hash, $piece);
         }
         echo json_encode(['method' => $_SERVER['REQUEST_METHOD'],
             'uri' => $_SERVER['REQUEST_URI'], 'length' => $length, 'md5' => hash_final($hash),
             'headers' => array_change_key_case(getallheaders())]);",
    ),
    (
        "stream.php",
        "<?php $in = fopen('big.bin', 'rb');
         while (!feof($in)) { echo fread($in, 65536); flush(); }",
    ),
    (
        "order.php",
        "<?php file_get_contents('php://input');
         file_put_contents('../orders/all', \"order\\n\", FILE_APPEND | LOCK_EX);
         sleep(60); echo 'Thank you.';",
    ),
];

/// What an Apache speaks on its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http,
    /// Behind a line of the PROXY protocol, as balancers send it.
    HttpBehindALine,
    Https,
}

/// The files that an Apache serves, and their surroundings.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    websocket_port: Cell<Option<u16>>,
    backend_port: Cell<Option<u16>>,
    ip: Cell<IpAddr>,
    more: RefCell<String>,
}

impl Site {
    pub fn new() -> Site {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (websocket_port, backend_port, more) =
            (Cell::new(None), Cell::new(None), RefCell::default());
        let ip = Cell::new(Ipv4Addr::LOCALHOST.into());
        let site = Site { dir, websocket_port, backend_port, ip, more };
        for (name, mode) in
            [("", 0o755), ("run", 0o755), ("htdocs", 0o755), ("orders", 0o777), ("tls", 0o700)]
        {
            fs::create_dir_all(site.path(name)).expect("a directory");
            fs::set_permissions(site.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        site.old_page("hello.txt", HELLO);
        site.old_page("empty.txt", b"");
        fs::create_dir(site.path("htdocs/forbidden")).expect("a directory");
        for (name, text) in PAGES {
            fs::write(site.path("htdocs").join(name), text).expect("a page");
        }
        site
    }

    /// A page an hour old: the ETag of a fresh one changes from weak to strong after a second.
    fn old_page(&self, name: &str, content: &[u8]) {
        let mut page = File::create(self.path("htdocs").join(name)).expect("a page");
        page.write_all(content).expect("a page");
        page.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("its time");
    }

    /// Makes /big.bin, whose bytes do not repeat.
    pub fn big_file(&self) -> BigFile {
        tools::big_file(self.path("htdocs/big.bin"))
    }

    /// Lets /ws lead to a WebSocket server, from the next start on.
    pub fn forward_websockets_to(&self, port: u16) {
        self.websocket_port.set(Some(port));
    }

    /// Lets /behind lead to another server, from the next start on.
    pub fn forward_to(&self, port: u16) {
        self.backend_port.set(Some(port));
    }

    /// Has it listen at this address alone, from the next start on; 127.0.0.1 unless told so.
    #[allow(dead_code, reason = "tests/places asks for it")]
    pub fn listen_at(&self, ip: &str) {
        self.ip.set(ip.parse().expect("an address"));
    }

    /// Adds lines to the configuration, from the next start on.
    pub fn configure(&self, lines: &str) {
        *self.more.borrow_mut() += lines;
    }

    /// A page of the test's own.
    pub fn put(&self, name: &str, content: &str) {
        fs::write(self.path("htdocs").join(name), content).expect("a page");
    }

    /// How often /order.php was asked for.
    pub fn orders(&self) -> usize {
        fs::read_to_string(self.path("orders/all")).unwrap_or_default().lines().count()
    }

    /// The certificate authority of the TLS Apache, made when it is first asked for.
    pub fn authority(&self) -> PathBuf {
        let ca = self.path("tls/ca.pem");
        if ca.exists() {
            return ca;
        }
        let (ca_key, chain, key) =
            (self.path("tls/ca.key"), self.path("tls/site.pem"), self.path("tls/site.key"));
        let empty = self.path("tls/openssl.cnf");
        fs::write(&empty, "[req]\ndistinguished_name = name\n[name]\n").expect("a file");
        let make = |subject: &str, certificate: &Path, key: &Path| {
            let mut command = Command::new("openssl");
            command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
            command.arg("-config").arg(&empty).args(["-subj", subject]);
            command.arg("-out").arg(certificate).arg("-keyout").arg(key);
            command
        };
        let mut authority = make("/CN=authority of a test", &ca, &ca_key);
        authority.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
        run(&mut authority);
        let mut site = make("/CN=localhost", &chain, &key);
        site.args(["-addext", "basicConstraints=CA:FALSE"]);
        site.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        site.arg("-CA").arg(&ca).arg("-CAkey").arg(&ca_key);
        run(&mut site);
        ca
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, port: u16, speaks: Speaks) -> String {
        let dir = self.dir.path().display();
        let (modules, php) = modules();
        let at = SocketAddr::new(self.ip.get(), port);
        let mut text = String::new();
        for name in [
            "mpm_prefork",
            "authz_core",
            "dir",
            "headers",
            "mime",
            "proxy",
            "proxy_http",
            "proxy_wstunnel",
            "remoteip",
            "setenvif",
            "ssl",
        ] {
            let file = modules.join(format!("mod_{name}.so")).display().to_string();
            text += &format!("LoadModule {name}_module {file}\n");
        }
        text += &format!(
            "LoadModule php_module {}\n\
             ServerRoot {dir}\nServerName localhost\nListen {at}\n\
             DefaultRuntimeDir {dir}/run\nPidFile {dir}/run/pid\nMutex file:{dir}/run default\n\
             ErrorLog {dir}/run/error.log\nCustomLog {dir}/run/access.log \"%m %U %>s\"\n\
             StartServers 2\nMinSpareServers 1\nServerLimit 16\nMaxRequestWorkers 16\n\
             TypesConfig /dev/null\nAddType text/plain .txt\nHeader set X-Site \"real Apache\"\n\
             DocumentRoot {dir}/htdocs\n\
             <Directory {dir}/htdocs>\nRequire all granted\n</Directory>\n\
             <Location /forbidden>\nRequire all denied\n</Location>\n\
             <FilesMatch \"\\.php$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\n\
             php_admin_value post_max_size 0\nphp_admin_flag display_errors Off\n\
             php_admin_flag enable_post_data_reading Off\n",
            php.display()
        );
        if as_root() {
            text += "User www-data\nGroup www-data\n";
        }
        if let Some(port) = self.websocket_port.get() {
            text += &format!("ProxyPass /ws ws://127.0.0.1:{port}/\n");
        }
        if let Some(port) = self.backend_port.get() {
            text += &format!("ProxyPass /behind http://127.0.0.1:{port}/ retry=0\n");
        }
        text += &self.more.borrow();
        if speaks == Speaks::HttpBehindALine {
            text += "RemoteIPProxyProtocol On\n";
        }
        if speaks == Speaks::Https {
            self.authority();
            text += &format!(
                "SSLEngine on\nSSLSessionCache none\nSSLRandomSeed startup builtin\n\
                 SSLCertificateFile {dir}/tls/site.pem\nSSLCertificateKeyFile {dir}/tls/site.key\n"
            );
        }
        text
    }
}

/// A running Apache; it is killed with this value, its children too.
#[derive(Debug)]
pub struct Apache {
    pub port: u16,
    address: SocketAddr,
    processes: Group,
}

impl Apache {
    pub fn start(site: &Site, port: u16, speaks: Speaks) -> Apache {
        let address = SocketAddr::new(site.ip.get(), port);
        let config = site.path("apache.conf");
        fs::write(&config, site.config(port, speaks)).expect("the configuration is written");
        let errors = File::create(site.path("run/stderr")).expect("a file");
        let mut command = Command::new(program());
        command.arg("-d").arg(site.dir.path()).arg("-f").arg(&config).arg("-DFOREGROUND");
        let said = || {
            let files = ["run/stderr", "run/error.log"];
            files.map(|name| fs::read_to_string(site.path(name)).unwrap_or_default()).join("\n")
        };
        let processes = Group::start("Apache", command.stderr(errors), said, || {
            TcpStream::connect(address).is_ok()
        });
        Apache { port, address, processes }
    }

    /// Stops it as an administrator would.
    pub fn stop(mut self) {
        self.end("TERM");
    }

    /// Lets it finish what it has begun, and end.
    #[allow(dead_code, reason = "tests/differential asks for it")]
    pub fn quit(&mut self) {
        tools::signal(self.processes.id(), "WINCH");
        self.processes.wait();
    }

    /// Takes it away in the middle of what it does.
    pub fn kill(mut self) {
        self.end("KILL");
    }

    /// Signals the whole group and waits until nobody listens.
    fn end(&mut self, signal: &str) {
        self.processes.end(signal);
        eventually("nobody listens", || TcpStream::connect(self.address).is_err().then_some(()));
    }
}

fn program() -> PathBuf {
    let places = ["/usr/sbin/apache2", "/usr/local/sbin/apache2", "/usr/bin/apache2"];
    places.iter().map(PathBuf::from).find(|path| path.exists()).expect(MISSING)
}

/// The directory of modules, and PHP's among them, whichever version it has.
fn modules() -> (PathBuf, PathBuf) {
    let dir = PathBuf::from("/usr/lib/apache2/modules");
    let names = fs::read_dir(&dir).expect(MISSING);
    let php = names.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libphp") && name.ends_with(".so")
    });
    (dir, php.expect(MISSING))
}
