//! What a row of THE TABLE is: a cause, the backend that brings it about, how a client must ask for
//! it, and what the client then sees.
//!
//! The rows stand in `rows`; the demonstration serves them and the integration tests run them, so
//! that no cause is shown which is not tested. Data only: no socket is opened here.

use crate::config::{Rehearsal, Upstream};
use crate::diagnose::Code;

/// One way to fail.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The cause that must come out.
    pub code: Code,
    /// The last segment of its path: the cause's name, or that with `-variant` behind it.
    pub name: &'static str,
    /// What the backend does, in one plain sentence.
    pub what: &'static str,
    pub setup: Setup,
    pub ask: Ask,
    pub sees: Sees,
    pub side: Side,
    /// Changes to its block beyond the demonstration's short timeouts.
    pub adjust: Option<fn(&mut Upstream)>,
}

/// What stands behind the proxy.
#[derive(Debug, Clone, Copy)]
pub enum Setup {
    /// A peer on TCP that follows the script with every connection.
    Tcp(&'static [Step]),
    /// A peer on TCP that answers a request with these bytes.
    Says(&'static [u8]),
    /// The same, behind the status line `HTTP/1.1 200 OK`.
    Heads(&'static [u8]),
    /// A peer on TCP that speaks first, as servers of other protocols do.
    Greets(&'static [u8]),
    /// A peer on TCP where TLS is configured.
    InPlaceOfTls(&'static [Step]),
    /// A peer that follows the script inside TLS.
    Tls(Cert, &'static [Step]),
    Unix(UnixSetup),
    /// A TCP port on which nothing listens.
    ClosedPort,
    /// A listener whose accept queue is full.
    FullQueue,
    /// An address to which no route leads.
    Unroutable,
    /// A healthy server behind a name that has to be resolved.
    Name(&'static str),
    /// Acted out by the proxy: the real failure would harm the host.
    Rehearsed(Rehearsal),
    /// A FastCGI peer on TCP that follows the script; the site's folder is not on this host.
    FastCgi(&'static [Step]),
    /// FastCGI over a Unix socket.
    FastCgiUnix(UnixSetup),
    /// A FastCGI peer on a Unix socket, to which HTTP is spoken.
    HttpToFastCgi(&'static [Step]),
    /// A site whose files are on this host; nobody runs its scripts.
    Files,
    /// A peer on TCP that follows the script, to which HTTP/2 is spoken.
    Http2(&'static [Step]),
    /// The proxy's own listener.
    Itself,
    /// No block of its own: it is over before an upstream is chosen.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnixSetup {
    Missing,
    /// A component of the path is missing.
    MissingDirectory,
    /// Nobody may open it.
    Forbidden,
    /// The file is left over; its server is gone.
    Stale,
    /// A regular file.
    NotASocket,
    BacklogFull,
    /// The backlog has room, and nobody accepts.
    Unaccepted,
    /// A datagram socket.
    Datagram,
    /// A path longer than an address may be (unix(7): 107 bytes).
    TooLong,
}

/// The certificate that a TLS peer presents, and whether it asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cert {
    Good,
    Expired,
    NotYetValid,
    WrongHost,
    SelfSigned,
    /// As `openssl req -x509` makes it: CA:TRUE.
    SelfSignedCa,
    UnknownIssuer,
    /// Good, but for clients only.
    ClientsOnly,
    /// Good, and the peer wants one from us too.
    WantsOurs,
}

/// One act of a scripted peer. After the last it closes as [`Step::Close`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reads until a request head has ended.
    Head,
    /// Reads the line of the PROXY protocol, and hangs up on whoever begins with anything else.
    ProxyLine,
    /// Reads what comes first, once.
    Some,
    /// Waits for what comes first and leaves it unread.
    Unread,
    /// Reads a FastCGI request to the end of its input. On the way it does what PHP-FPM does: it
    /// answers a question about itself, and drops a connection that speaks something else.
    Request,
    /// Reads an HTTP/2 connection until the fields of a request have come.
    Stream,
    /// Bytes of a FastCGI answer: the program's output.
    Stdout(&'static [u8]),
    /// What the program writes to its log.
    Stderr(&'static str),
    /// The end of a FastCGI answer with this protocolStatus.
    End(u8),
    Write(&'static [u8]),
    /// The same bytes, that many times.
    Repeat(&'static [u8], usize),
    /// Writes beneath TLS.
    Raw(&'static [u8]),
    /// Neither reads nor writes for so many milliseconds.
    Wait(u64),
    /// Neither reads nor writes until the demonstration's timeouts are long over.
    Stall,
    /// FIN (over TLS after close_notify), then reads until the other side has closed too.
    Close,
    /// FIN without close_notify.
    Cut,
    /// Drops the connection; bytes that it has not read turn this into RST.
    Drop,
    Reset,
}

impl Step {
    /// Whether it is a part of a FastCGI answer.
    pub(super) fn is_record(self) -> bool {
        matches!(self, Step::Stdout(_) | Step::Stderr(_) | Step::End(_))
    }
}

/// How a client must ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Get,
    Post {
        body_bytes: usize,
    },
    /// GET, and when it is answered POST: over the connection that the proxy has kept.
    GetThenPost,
    /// Two at once; the answer that comes first counts.
    Together,
    /// GET that asks for this protocol.
    Upgrade(&'static str),
    /// GET so many times, each when the one before is answered; the last counts.
    Times(u8),
    /// GET, again and again until the cause is named: the proxy has to look first.
    UntilNamed,
    /// GET for this host.
    Host(&'static str),
    /// GET for this path below the row's.
    Below(&'static str),
    /// GET with a header line of so many bytes.
    LargeHeader {
        bytes: usize,
    },
    /// These bytes, `{path}` replaced, and then silence.
    Raw(&'static str),
    /// GET while another connection is held open.
    Crowd,
    /// GET, and the client closes before the answer.
    Leave,
}

/// What the client is left with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// The proxy's page.
    Page,
    /// The backend's answer, cut off: it had begun.
    Cut,
    /// The backend's own answer, whole and with this status; the cause stands beside it.
    Own { status: u16 },
    /// The proxy's page with this status, in place of the backend's answer.
    Replaced { status: u16 },
    /// Nothing: it has left.
    Nothing,
}

/// The proxy that a row needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Main,
    /// Its resolver cannot be reached.
    Deaf,
    /// It takes one client connection at a time.
    Narrow,
    /// It has no upstream at all.
    Empty,
}

/// A row: GET, answered with a page, by the main proxy.
pub(super) const fn row(
    code: Code,
    name: &'static str,
    what: &'static str,
    setup: Setup,
) -> Scenario {
    let (ask, sees, side) = (Ask::Get, Sees::Page, Side::Main);
    Scenario { code, name, what, setup, ask, sees, side, adjust: None }
}

impl Scenario {
    pub(super) const fn ask(self, ask: Ask) -> Scenario {
        Scenario { ask, ..self }
    }

    pub(super) const fn sees(self, sees: Sees) -> Scenario {
        Scenario { sees, ..self }
    }

    pub(super) const fn side(self, side: Side) -> Scenario {
        Scenario { side, ..self }
    }

    pub(super) const fn adjust(self, adjust: fn(&mut Upstream)) -> Scenario {
        Scenario { adjust: Some(adjust), ..self }
    }

    /// The path that leads to it.
    pub fn path(&self) -> String {
        format!("/fail/{}", self.name)
    }

    /// The path that is asked for: that one, or one below it.
    pub fn target(&self) -> String {
        match self.ask {
            Ask::Below(rest) => self.path() + rest,
            _ => self.path(),
        }
    }

    /// Whether it is further evidence of a cause that has its row already.
    pub fn is_variant(&self) -> bool {
        self.name != self.code.name()
    }

    /// Whether a plain link is enough to ask for it.
    pub fn is_linkable(&self) -> bool {
        matches!(self.ask, Ask::Get | Ask::Host(_) | Ask::Below(_))
    }

    /// Whether that link shows what came of it: a browser keeps the head of an answer to itself.
    pub fn is_told_by_a_link(&self) -> bool {
        self.is_linkable() && !matches!(self.sees, Sees::Own { .. })
    }
}

/// Every row, in the order of the stages.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    super::rows::ALL.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_cause_has_its_row() {
        let rows: HashSet<_> = scenarios().map(|row| row.name).collect();
        let missing: Vec<_> =
            Code::all().map(Code::name).filter(|name| !rows.contains(name)).collect();
        assert!(missing.is_empty(), "no scenario for {missing:?}");
    }

    #[test]
    fn names_are_unique_and_begin_with_their_cause() {
        let mut seen = HashSet::new();
        for row in scenarios() {
            assert!(seen.insert(row.name), "{} stands twice", row.name);
            let variant = row.name.strip_prefix(row.code.name());
            let named = variant.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            assert!(named, "{} is not named after {}", row.name, row.code.name());
            assert!(row.what.ends_with('.'), "{}: a sentence ends with a full stop", row.name);
        }
    }
}
