//! What this host shows beside a failure: who listens elsewhere, and what memory is left.
//!
//! Reads the kernel's tables and /proc, some milliseconds on a large host, so that it belongs on a
//! thread of its own. Bounded; what cannot be read is left out.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::config::{Server, ServerAddress};
use crate::diagnose::around::{Around, Memory, kilobytes, kin_listeners, kin_sockets};

use super::queue;

/// Processes that are looked at.
const PROCESSES_MAX: usize = 8192;
/// What workers of PHP are called; the kernel cuts names at 15 bytes.
const WORKERS: [&str; 3] = ["php-fpm", "php-cgi", "lsphp"];

/// Where somebody listens who may be the server.
pub fn elsewhere(server: &Server) -> Around {
    let (sockets, listeners) = (queue::unix_listeners(), queue::tcp_listeners());
    let mut sockets: Vec<PathBuf> = kin_sockets(server, &sockets);
    // A path is a name in its program's file tree, which may be another than ours.
    sockets.retain(|path| path.exists());
    Around { sockets, listeners: kin_listeners(server, &listeners), ..Around::default() }
}

/// What there is to work with: memory, and how many wait.
pub fn capacity(server: &ServerAddress, address: Option<SocketAddr>) -> Around {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = Memory::of(&meminfo, largest_worker());
    Around { memory, queue: queue::accept_queue(server, address), ..Around::default() }
}

/// The private memory of the largest worker of PHP that runs here.
fn largest_worker() -> Option<u64> {
    let processes = fs::read_dir("/proc").ok()?.take(PROCESSES_MAX).flatten();
    processes.filter_map(|process| worker(&process.path())).max()
}

fn worker(process: &Path) -> Option<u64> {
    let name = process.file_name()?.to_str()?;
    if !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let command = fs::read_to_string(process.join("comm")).ok()?;
    WORKERS.iter().find(|known| command.starts_with(**known))?;
    kilobytes(&fs::read_to_string(process.join("status")).ok()?, "RssAnon:")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use crate::config::Scheme;

    use super::*;

    #[test]
    fn a_listener_at_another_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut wanted = address;
        wanted.set_port(if address.port() == u16::MAX {
            address.port() - 1
        } else {
            address.port() + 1
        });
        let server = Server { scheme: Scheme::Http, address: ServerAddress::Ip(wanted) };
        assert!(elsewhere(&server).listeners.contains(&address));
        drop(listener);
        assert!(!elsewhere(&server).listeners.contains(&address));
    }

    #[test]
    fn a_socket_beside_the_missing_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let sibling = dir.path().join("php8.2-fpm.sock");
        let address = ServerAddress::Unix(dir.path().join("php8.1-fpm.sock"));
        let server = Server { scheme: Scheme::FastCgi, address };
        assert!(!elsewhere(&server).sockets.contains(&sibling));
        let listener = UnixListener::bind(&sibling).unwrap();
        assert_eq!(elsewhere(&server).sockets.first(), Some(&sibling));
        // A file that nobody listens on is no help.
        drop(listener);
        assert!(!elsewhere(&server).sockets.contains(&sibling));
    }

    #[test]
    fn the_memory_of_this_host_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let around = capacity(&ServerAddress::Unix(path), None);
        let memory = around.memory.unwrap();
        assert!(0 < memory.available_bytes && memory.available_bytes <= memory.total_bytes);
        assert_eq!(around.queue.map(|queue| queue.pending), Some(0));
    }
}
