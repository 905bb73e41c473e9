//! The sockets that systemd passes to a process as it starts (sd_listen_fds(3)): those of socket
//! units, and those that an earlier process of ours had it store.

use listenfd::ListenFd;
use socket2::Socket;

use super::manager::is_ours;

/// A socket that this process was given.
#[derive(Debug)]
pub struct Passed {
    /// Its name in the socket unit; `None`: one that we had stored.
    pub name: Option<String>,
    pub socket: Socket,
}

/// Takes every passed socket, and the variables that tell of them out of the environment: nobody
/// whom we start is to take them for its own. To be called while this is the only thread.
///
/// # Errors
/// The name of the first that is no stream socket.
pub fn passed() -> Result<Vec<Passed>, String> {
    // A process that another one started in its place inherits its variables too.
    let own = std::process::id().to_string();
    let for_us = std::env::var("LISTEN_PID").is_ok_and(|process| process == own);
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut fds = ListenFd::from_env();
    if !for_us {
        return Ok(Vec::new());
    }
    let mut names = names.split(':');
    let mut passed = Vec::new();
    for number in 0..fds.len() {
        // What systemd says of a socket without a name.
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        let tcp = fds.take_tcp_listener(number).map(|tcp| tcp.map(Socket::from));
        let taken =
            tcp.or_else(|_| fds.take_unix_listener(number).map(|unix| unix.map(Socket::from)));
        match taken {
            Ok(Some(socket)) => {
                let name = (!is_ours(name)).then(|| name.to_owned());
                passed.push(Passed { name, socket });
            }
            Ok(None) => {}
            Err(_) => return Err(name.to_owned()),
        }
    }
    Ok(passed)
}
