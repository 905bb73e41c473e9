//! What the program says of failed requests: one message a kind, in text and in a journal's fields.

use std::collections::HashMap;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use super::backend::{Backend, refusing};
use super::client::Client;
use super::proxy::{Program, get};
use super::{PATIENCE, eventually};

const TURNED_AWAY: &str = "The site's server turns connections away (connection_refused)";

#[test]
fn failures_of_a_kind_are_one_message_and_the_end_tells_the_rest() {
    let server = refusing();
    let mut program = Program::before(&server, "");
    let first = Client::sent(program.address, get("/1")).answer("GET");
    assert_eq!(first.status, 502);
    let incident = program.logged("/1")["incident"].as_str().unwrap().to_owned();
    let said = program.said(TURNED_AWAY, 1);
    let line = said.lines().find(|line| line.contains(TURNED_AWAY)).unwrap();
    assert!(line.contains(" WARN "), "{line}");
    let text = format!("upstream app at {server}: {TURNED_AWAY}, incident {incident}");
    assert!(line.ends_with(&text), "{line}");
    for number in 2..=5 {
        Client::sent(program.address, get(&format!("/{number}"))).answer("GET");
    }
    // What a visitor alone brings about is not the operator's business.
    let refused = Client::sent(program.address, "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n");
    assert_eq!({ refused }.answer("GET").status, 400);
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    let said = program.stderr();
    let told: Vec<_> = said.lines().filter(|line| line.contains("(")).collect();
    assert_eq!(told.len(), 2, "{said}");
    assert!(told[1].contains(TURNED_AWAY) && told[1].contains("; 3 more"), "{said}");
}

#[test]
fn an_upstream_that_answers_again_is_told_of() {
    let backend = Backend::scripted(|peer| {
        while peer.request().is_some() && peer.number > 0 {
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let program = Program::before(&backend.server(), "");
    assert_eq!(Client::sent(program.address, get("/")).answer("GET").status, 502);
    program.said("(closed_before_response)", 1);
    // It has to answer for a while.
    let said = eventually("a word of the recovery", || {
        Client::sent(program.address, get("/")).answer("GET");
        let said = program.stderr();
        said.contains("answers again").then_some(said)
    });
    let line = said.lines().last().unwrap();
    assert!(line.contains("INFO upstream app answers again after 1 failure"), "{line}");
}

/// The journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL) at a socket of the
/// test's own, in a mount namespace: the path is fixed.
#[test]
fn a_journal_gets_the_fields() {
    const IN_PLACE: &str = "mount --bind \"$1\" /run && shift && \
        JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) && export JOURNAL_STREAM && exec \"$@\"";
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("systemd/journal");
    std::fs::create_dir_all(&journal).unwrap();
    let socket = UnixDatagram::bind(journal.join("socket")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = refusing();
    // As root, or in a user namespace where the test's user may not mount.
    let possible = |flags: &str| {
        Command::new("unshare").args([flags, "true"]).output().is_ok_and(|it| it.status.success())
    };
    let flags = ["-m", "-rm"].into_iter().find(|flags| possible(flags));
    let flags = flags.expect("unshare(1) may make a mount namespace here");
    let in_place = |program: &str| {
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-c", IN_PLACE, "sh"]).arg(dir.path()).arg(program);
        command
    };
    let lines = format!("[upstream.app]\nservers = [\"{server}\"]\n");
    let program = Program::found(&lines, in_place, |_| {
        let fields = message(&socket, |fields| fields["MESSAGE"].starts_with("listening on "));
        fields["MESSAGE"].rsplit(' ').next()?.parse().ok()
    });
    let started = message(&socket, |fields| fields["MESSAGE"].starts_with("started with "));
    assert_eq!(started["SYSLOG_IDENTIFIER"], "causeway");
    assert_eq!(started["PRIORITY"], "6");
    assert_eq!(started["MESSAGE_ID"].len(), 32);

    assert_eq!(Client::sent(program.address, get("/1")).answer("GET").status, 502);
    let failed = message(&socket, |fields| fields.contains_key("CAUSE"));
    let incident = program.logged("/1")["incident"].as_str().unwrap().to_owned();
    for (name, value) in [
        ("CAUSE", "connection_refused"),
        ("INCIDENT_ID", incident.as_str()),
        ("UPSTREAM", "app"),
        ("SERVER", server.as_str()),
        ("STATUS", "502"),
        ("PHASE", "connect"),
        ("CERTAINTY", "certain"),
        ("FAILURES", "1"),
        ("PRIORITY", "4"),
        ("MESSAGE_ID", "461981b9dd575066815644155d0efc83"),
    ] {
        assert_eq!(failed.get(name).map(String::as_str), Some(value), "{name} in {failed:?}");
    }
    assert!(failed["MESSAGE"].contains(TURNED_AWAY), "{failed:?}");
    assert_eq!(program.stderr(), "", "nothing is said twice");
}

/// The first message that is wanted, as fields.
fn message(
    socket: &UnixDatagram,
    wanted: impl Fn(&HashMap<String, String>) -> bool,
) -> HashMap<String, String> {
    let mut room = vec![0; 64 * 1024];
    loop {
        let length = socket.recv(&mut room).expect("a message in time");
        let fields = fields(&room[..length]);
        if !fields.is_empty() && wanted(&fields) {
            return fields;
        }
    }
}

/// `NAME=value`, or `NAME`, eight bytes of length, and the value; each with a newline behind it.
fn fields(mut bytes: &[u8]) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
        let line = std::str::from_utf8(&bytes[..end]).unwrap();
        bytes = &bytes[end + 1..];
        let (name, value) = match line.split_once('=') {
            Some(pair) => pair,
            None => {
                let (length, rest) = bytes.split_first_chunk().unwrap();
                let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
                bytes = &rest[length + 1..];
                (line, std::str::from_utf8(&rest[..length]).unwrap())
            }
        };
        fields.insert(name.to_owned(), value.to_owned());
    }
    fields
}
