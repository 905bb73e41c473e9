//! The service installed in a container, with a backend before which it stands.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use super::support::load::Target;
use super::support::sandbox::Sandbox;

const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
pub const FILE: &str = "/etc/causeway/causeway.toml";

/// Where the service listens in these tests, and its backend.
pub const FRONT: ([u8; 4], u16) = ([127, 0, 0, 1], 80);
const BACK: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// A container with program, units and account, and a backend; nothing is started.
pub fn installed() -> Sandbox {
    let sandbox = Sandbox::boot();
    sandbox.install(Path::new(PROGRAM), "/usr/sbin/causeway", 0o755);
    for unit in ["causeway.service", "causeway.socket", "causeway-https.socket"] {
        let file = Path::new(CONFIG).join(unit);
        sandbox.install(&file, &format!("/usr/lib/systemd/system/{unit}"), 0o644);
    }
    let users = Path::new(CONFIG).join("causeway.sysusers");
    sandbox.install(&users, "/usr/lib/sysusers.d/causeway.conf", 0o644);
    sandbox.sh("systemd-sysusers && systemctl daemon-reload");
    serve(&sandbox);
    sandbox
}

/// The configuration's first lines and the block of the backend.
pub fn configure(sandbox: &Sandbox, top: &str) {
    let back = SocketAddr::from(BACK);
    sandbox.write(
        FILE,
        &format!(
            "{top}\n[upstream.shop]\nservers = [\"http://{back}\"]\n\
             [log]\naccess = \"/var/log/causeway/access.log\"\n"
        ),
    );
}

/// Where the load goes.
pub fn front() -> Target {
    Target::Tcp(FRONT.into())
}

/// A drop-in for a unit.
pub fn drop_in(sandbox: &Sandbox, unit: &str, text: &str) {
    sandbox.write(&format!("/etc/systemd/system/{unit}.d/test.conf"), text);
    sandbox.sh("systemctl daemon-reload");
}

/// Answers every request on every connection, from threads that end with the container's network.
fn serve(sandbox: &Sandbox) {
    let network = sandbox.network();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        network.enter();
        let listener = TcpListener::bind(SocketAddr::from(BACK)).unwrap();
        tell.send(()).unwrap();
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    told.recv().unwrap();
}

fn answer(mut stream: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
        }
    }
}
