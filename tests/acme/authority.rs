//! Pebble, Let's Encrypt's own server for tests of clients, with a resolver that it asks: both on
//! 127.0.0.1, with an HTTPS certificate of the test's making, ended with this value.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::support::client;
use super::support::tools::{Group, eventually, free_port, run};

/// What an authority needs to know of the proxy before it is started.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Where it looks for proofs: the proxy's listeners.
    pub http: u16,
    pub tls: u16,
    /// Where it is to be found itself.
    pub directory: u16,
    management: u16,
}

/// The authority's files; it may be started later than the proxy.
pub struct Site {
    pub ports: Ports,
    dir: TempDir,
}

/// A running authority.
pub struct Authority {
    management: u16,
    resolver: u16,
    dir: PathBuf,
    _pebble: Group,
    _resolver: Group,
}

impl Site {
    pub fn new() -> Site {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(dir.path().join("directory.pem"), certificate.pem()).expect("a file");
        fs::write(dir.path().join("directory.key"), key.serialize_pem()).expect("a file");
        let ports = Ports {
            http: free_port(),
            tls: free_port(),
            directory: free_port(),
            management: free_port(),
        };
        Site { ports, dir }
    }

    /// The lines of `[tls]` and `[tls.acme]` for these certificates.
    pub fn lines(&self, certificates: &str, challenge: &str) -> String {
        let dir = self.dir.path().display();
        let Ports { tls, directory, .. } = self.ports;
        format!(
            "[tls]\nlisten = [\"127.0.0.1:{tls}\"]\n[tls.acme]\ncertificates = {certificates}\n\
             contact = [\"mailto:admin@shop.example\"]\nterms_agreed = true\n\
             directory = \"https://127.0.0.1:{directory}/dir\"\nca = \"{dir}/directory.pem\"\n\
             challenge = \"{challenge}\"\nstate = \"{dir}/state\"\n"
        )
    }

    /// What the proxy keeps, by the end of the files' names.
    pub fn kept(&self, end: &str) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.dir.path().join("state")).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).expect("a folder"));
        let paths = files.map(|file| file.expect("an entry").path());
        paths.filter(|path| path.display().to_string().ends_with(end)).collect()
    }

    /// Starts the authority, whose certificates are valid for so many seconds.
    pub fn open(&self, validity: u32) -> Authority {
        for program in ["/usr/bin/pebble", "/usr/bin/pebble-challtestsrv"] {
            assert!(
                std::path::Path::new(program).exists(),
                "these tests need a real ACME server: apt-get install pebble"
            );
        }
        let dir = self.dir.path().to_owned();
        let Ports { http, tls, directory, management } = self.ports;
        let (names, resolver) = (free_port(), free_port());
        let log = |name: &str| File::create(dir.join(name)).expect("a file");
        let said = |name: &'static str| {
            let file = dir.join(name);
            move || fs::read_to_string(&file).unwrap_or_default()
        };
        let listens = |port: u16| move || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let mut command = Command::new("/usr/bin/pebble-challtestsrv");
        command
            .args(["-dns01", &format!("127.0.0.1:{names}"), "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-management", &format!("127.0.0.1:{resolver}")])
            .stderr(log("resolver.log"));
        let resolving =
            Group::start("the resolver", &mut command, said("resolver.log"), listens(resolver));
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{directory}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": dir.join("directory.pem"),
            "privateKey": dir.join("directory.key"),
            "httpPort": http,
            "tlsPort": tls,
            "certificateValidityPeriod": validity,
        }});
        let file = dir.join("pebble.json");
        fs::write(&file, config.to_string()).expect("a file");
        let mut command = Command::new("/usr/bin/pebble");
        command
            .arg("-config")
            .arg(&file)
            .args(["-strict", "-dnsserver", &format!("127.0.0.1:{names}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_VA_ALWAYS_VALID", "0")
            .stderr(log("pebble.err"));
        // Its log goes to stdout, which a group does not keep: asked for by a shell.
        let mut shell = Command::new("sh");
        let program = format!("exec \"$@\" >{}", dir.join("pebble.log").display());
        shell.args(["-c", &program, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        shell.stderr(log("pebble.err"));
        let pebble = Group::start("pebble", &mut shell, said("pebble.err"), listens(directory));
        Authority { management, resolver, dir, _pebble: pebble, _resolver: resolving }
    }
}

impl Authority {
    /// Has the names of a host lead to an address where nobody listens.
    pub fn mislead(&self, host: &str) {
        let body = format!("{{\"host\":\"{host}\",\"addresses\":[\"127.0.0.9\"]}}");
        let answer = client::request(self.resolver, "POST", "/add-a", &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The root of the certificates that it gives.
    pub fn root(&self) -> PathBuf {
        let file = self.dir.join("root.pem");
        let address = format!("https://127.0.0.1:{}/roots/0", self.management);
        run(Command::new("curl").args(["-sSkf", "-o"]).arg(&file).arg(address));
        file
    }

    /// How many orders were placed.
    pub fn orders(&self) -> usize {
        let log = fs::read_to_string(self.dir.join("pebble.log")).unwrap_or_default();
        log.matches("Added order").count()
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("pebble.log")).unwrap_or_default()
    }

    /// Waits until it has said something so often.
    pub fn said(&self, what: &str, times: usize) {
        eventually(&format!("{what:?} of the authority"), || {
            (self.log().matches(what).count() >= times).then_some(())
        });
    }
}
