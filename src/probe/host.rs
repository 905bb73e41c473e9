//! What this machine has left: small files of the kernel, and what the file systems say.

use std::fs;
use std::path::Path;

use crate::diagnose::around::{Host, Memory, Piece, kilobytes};

use super::look::Question;

/// Processes that are looked at.
const PROCESSES_MAX: usize = 8192;
/// What workers of PHP are called; the kernel cuts names at 15 bytes.
const WORKERS: [&str; 3] = ["php-fpm", "php-cgi", "lsphp"];

/// The lane of the look.
pub fn lane(_question: &Question) -> Piece {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Piece::Host(Host { memory: Memory::of(&meminfo, largest_worker()), ..Host::default() })
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
    use crate::config::{Scheme, Server, ServerAddress};

    use super::*;

    #[test]
    fn the_memory_of_this_host_is_known() {
        let address = ServerAddress::Unix("/run/nobody.sock".into());
        let Piece::Host(host) = lane(&Question::about(Server { scheme: Scheme::Http, address }))
        else {
            panic!("another lane's piece");
        };
        let memory = host.memory.unwrap();
        assert!(0 < memory.available_bytes && memory.available_bytes <= memory.total_bytes);
    }
}
