//! Small servers that say their name, and what they were asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::TempDir;

/// A server whose thread ends with the test's process.
#[derive(Debug)]
pub struct Backend {
    pub port: u16,
    dir: Option<TempDir>,
}

impl Backend {
    pub fn start(name: &str) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let name = name.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let name = name.clone();
                thread::spawn(move || serve(stream, &name));
            }
        });
        Backend { port, dir: None }
    }

    /// The same on a Unix socket that everybody may open.
    pub fn on_socket(name: &str) -> Backend {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        };
        open(dir.path(), 0o755);
        let path = dir.path().join("app.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        open(&path, 0o666);
        let name = name.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let name = name.clone();
                thread::spawn(move || serve(stream, &name));
            }
        });
        Backend { port: 0, dir: Some(dir) }
    }

    /// Its socket.
    pub fn path(&self) -> PathBuf {
        self.dir.as_ref().expect("it has a socket").path().join("app.sock")
    }
}

/// Answers one request after the other with the name, the target and the host.
fn serve(stream: impl Read + Write, name: &str) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let target = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let host = lines.iter().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case("host").then(|| value.trim())
        });
        let body = format!("{name}\n{target}\n{}\n", host.unwrap_or_default());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if reader.get_mut().write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}
