//! How `causeway reload` learns what became of a reload: a socket in the service's own directory.
//!
//! A signal has no answer, and `systemctl reload` is to fail when the new configuration is refused.
//! One line is asked, and one answer given: an exit code and a text. Who may connect is whom the
//! socket's mode lets, the service's own user and root.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory of a service that has another, or none.
const DIRECTORY: &str = "/run/causeway";
const NAME: &str = "control.sock";
const RELOAD: &[u8] = b"reload\n";

/// So long may the service take for a reload, before whoever asked gives it up.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// So long may whoever asks take to say what, and to take the answer: the main thread waits.
const ASK_WITHIN: Duration = Duration::from_millis(500);
/// A longer answer is cut.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Opens the socket where the service has a directory of its own (RuntimeDirectory=).
///
/// # Errors
/// Where it has one in which no socket can be made.
pub fn listen() -> io::Result<Option<UnixListener>> {
    let Some(path) = own_directory().map(|directory| directory.join(NAME)) else {
        return Ok(None);
    };
    // That of a process before us; systemd runs one at a time.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

fn own_directory() -> Option<PathBuf> {
    let directories = std::env::var_os("RUNTIME_DIRECTORY")?;
    // Several stand there as in PATH (systemd.exec(5)).
    std::env::split_paths(&directories).next().filter(|path| path.is_absolute())
}

/// One who waits for an answer.
#[derive(Debug)]
pub struct Asker(UnixStream);

impl Asker {
    /// Hears what is asked: `None` unless it is a reload.
    pub fn hear(stream: UnixStream) -> Option<Asker> {
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(ASK_WITHIN)).ok()?;
        stream.set_write_timeout(Some(ASK_WITHIN)).ok()?;
        let mut asker = Asker(stream);
        let mut asked = [0; RELOAD.len()];
        asker.0.read_exact(&mut asked).ok()?;
        (asked == RELOAD).then_some(asker)
    }

    /// Answers; whether anybody still listens is not our concern.
    pub fn answer(mut self, code: u8, text: &str) {
        let mut answer = vec![code];
        answer.extend(text.bytes().take(ANSWER_BYTES_MAX));
        let _ = self.0.write_all(&answer);
    }
}

/// Asks the running service for a reload and waits for its outcome: an exit code and a text.
///
/// # Errors
/// Nobody listens, or nobody answers in time.
pub fn ask_reload() -> io::Result<(u8, String)> {
    let directory = own_directory().unwrap_or_else(|| Path::new(DIRECTORY).to_owned());
    let mut stream = UnixStream::connect(directory.join(NAME))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(RELOAD)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX as u64 + 1).read_to_end(&mut answer)?;
    let (code, text) = answer.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((*code, String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reload_is_heard_and_answered() {
        let (mut asking, heard) = UnixStream::pair().unwrap();
        asking.write_all(RELOAD).unwrap();
        Asker::hear(heard).unwrap().answer(78, "refused");
        let mut answer = Vec::new();
        asking.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"\x4erefused");

        let (mut asking, heard) = UnixStream::pair().unwrap();
        asking.write_all(b"restart").unwrap();
        assert!(Asker::hear(heard).is_none());
        let (_silent, heard) = UnixStream::pair().unwrap();
        assert!(Asker::hear(heard).is_none(), "the main thread does not wait for ever");
    }
}
