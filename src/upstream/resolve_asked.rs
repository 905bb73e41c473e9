//! Which name server was asked what, and how it answered: kept of the questions that failed.
//!
//! hickory keeps the rcode of a failed look-up and lets go of who gave it, when, and with which
//! extended errors. So every connection to a name server passes through here. A good answer leaves
//! nothing behind.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle, DnsResponseStream, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ConnectionProvider, PoolContext};

use super::resolve_extended::{Extended, extended};
use super::resolve_sockets::Sockets;

/// Questions that are kept; two are asked for a name at a time.
const NOTES_MAX: usize = 64;
/// Names that one may be an alias of in turn; as many as hickory follows.
const ALIASES_MAX: usize = 8;

/// What is known of a look-up that failed, beside how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The name server that gave the answer that counts, or that owes one.
    pub resolver: Option<SocketAddr>,
    /// How long that answer took; `None` where none came.
    pub latency: Option<Duration>,
    /// The name at the end of the aliases, where it is another one.
    pub alias: Option<String>,
    pub extended: Vec<Extended>,
    /// Datagrams that came from the resolver in place of an answer and answered nothing.
    pub strays: u32,
    /// What the kernel said of the question; hickory passes over it.
    pub errno: Option<i32>,
    /// An answer was cut to fit a datagram, and could not be had whole.
    pub truncated: bool,
}

/// Makes connections to name servers and takes note of what passes.
#[derive(Debug, Clone, Default)]
pub struct Asking {
    sockets: Sockets,
}

/// A connection to one name server.
#[derive(Clone)]
pub struct Asked {
    inner: DnsExchange<Sockets>,
    server: SocketAddr,
    notes: Notes,
}

/// The questions of one resolver that failed or are open, the oldest first. hickory wants to share
/// it between threads; there is but one.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<VecDeque<Note>>>);

/// One question to one name server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    server: SocketAddr,
    name: String,
    kind: RecordType,
    asked: Instant,
    strays: u32,
    errno: Option<i32>,
    heard: Option<Heard>,
}

/// An answer that was of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    after: Duration,
    rcode: u16,
    alias: Option<String>,
    extended: Vec<Extended>,
    truncated: bool,
}

impl Asking {
    /// What was noted so far.
    pub fn notes(&self) -> &Notes {
        &self.sockets.notes
    }
}

impl ConnectionProvider for Asking {
    type Conn = Asked;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Asked, NetError>> + Send>>;
    type RuntimeProvider = Sockets;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        cx: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let server = SocketAddr::new(ip, config.port);
        let notes = self.notes().clone();
        let opening = self.sockets.new_connection(ip, config, cx)?;
        Ok(Box::pin(async move { Ok(Asked { inner: opening.await?, server, notes }) }))
    }

    fn runtime_provider(&self) -> &Sockets {
        &self.sockets
    }
}

impl DnsHandle for Asked {
    type Response = DnsResponseStream;
    type Runtime = Sockets;

    fn send(&self, request: DnsRequest) -> DnsResponseStream {
        let Asked { inner, server, notes } = self.clone();
        let question = request.queries.first();
        let question = question.map(|query| (plain(query.name().to_ascii()), query.query_type()));
        Box::pin(async move {
            let asked = Instant::now();
            if let Some((name, kind)) = &question {
                notes.ask(Note {
                    server,
                    name: name.clone(),
                    kind: *kind,
                    asked,
                    strays: 0,
                    errno: None,
                    heard: None,
                });
            }
            let answer = inner.send(request).first_answer().await;
            match (&question, &answer) {
                (Some((name, kind)), Ok(answer)) => {
                    notes.hear(server, name, *kind, heard(answer, asked.elapsed()));
                }
                (Some((name, kind)), Err(NetError::Io(error))) => {
                    notes.fail(server, name, *kind, error.raw_os_error());
                }
                (None, _) | (_, Err(_)) => {}
            }
            answer
        })
        .into()
    }
}

/// What of an answer is worth keeping; nothing of one with an address.
fn heard(answer: &DnsResponse, after: Duration) -> Option<Heard> {
    let mut alias = None;
    for record in &answer.answers {
        match &record.data {
            RData::A(_) | RData::AAAA(_) if answer.response_code == ResponseCode::NoError => {
                return None;
            }
            RData::CNAME(target) => alias = Some(plain(target.to_ascii())),
            _ => {}
        }
    }
    Some(Heard {
        after,
        rcode: answer.response_code.into(),
        alias,
        extended: answer.edns.as_ref().map(extended).unwrap_or_default(),
        truncated: answer.truncation,
    })
}

/// A name as it is compared: without the final dot, in lower case (RFC 4343).
fn plain(mut name: String) -> String {
    name.make_ascii_lowercase();
    if name.len() > 1 && name.ends_with('.') {
        name.pop();
    }
    name
}

impl Notes {
    fn ask(&self, note: Note) {
        self.with(|notes| {
            notes.retain(|other| !other.is_about(note.server, &note.name, note.kind));
            if notes.len() == NOTES_MAX {
                notes.pop_front();
            }
            notes.push_back(note);
        });
    }

    fn hear(&self, server: SocketAddr, name: &str, kind: RecordType, heard: Option<Heard>) {
        self.with(|notes| match heard {
            None => notes.retain(|note| !note.is_about(server, name, kind)),
            Some(_) => {
                let mut notes = notes.iter_mut();
                if let Some(note) = notes.find(|note| note.is_about(server, name, kind)) {
                    note.heard = heard;
                }
            }
        });
    }

    fn fail(&self, server: SocketAddr, name: &str, kind: RecordType, errno: Option<i32>) {
        self.with(|notes| {
            let mut notes = notes.iter_mut();
            if let Some(note) = notes.find(|note| note.is_about(server, name, kind)) {
                note.errno = errno;
            }
        });
    }

    /// A datagram came in place of the answer to this query.
    pub(super) fn stray(&self, server: SocketAddr, query: &[u8]) {
        let Ok(query) = Message::from_vec(query) else { return };
        let Some(query) = query.queries.first() else { return };
        let name = plain(query.name().to_ascii());
        self.with(|notes| {
            let mut notes = notes.iter_mut();
            if let Some(note) = notes.find(|note| note.is_about(server, &name, query.query_type()))
            {
                note.strays = note.strays.saturating_add(1);
            }
        });
    }

    /// What is known of the failed look-up of a name that ended with this rcode, or without any.
    pub fn lookup(&self, host: &str, rcode: Option<u16>) -> Lookup {
        self.with(|notes| lookup(notes, &plain(host.to_owned()), rcode))
    }

    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<Note>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Note {
    fn is_about(&self, server: SocketAddr, name: &str, kind: RecordType) -> bool {
        self.server == server && self.kind == kind && self.name == name
    }
}

/// Of the questions for a name and for what it is an alias of, the one that decided: it has the
/// rcode that came out, then extended errors, then it is the youngest.
fn lookup(notes: &VecDeque<Note>, host: &str, rcode: Option<u16>) -> Lookup {
    let names = chain(notes, host);
    let related = notes.iter().filter(|note| names.iter().any(|name| covers(name, &note.name)));
    let decided = related.clone().max_by_key(|note| {
        let heard = note.heard.as_ref();
        let explained = heard.is_some_and(|heard| !heard.extended.is_empty());
        (heard.map(|heard| heard.rcode) == rcode, explained, note.asked)
    });
    let Some(decided) = decided else { return Lookup::default() };
    let heard = decided.heard.as_ref();
    let alias = names.last().filter(|name| *name != host).cloned();
    Lookup {
        resolver: Some(decided.server),
        latency: heard.map(|heard| heard.after),
        alias,
        extended: heard.map(|heard| heard.extended.clone()).unwrap_or_default(),
        strays: if heard.is_none() { decided.strays } else { 0 },
        errno: decided.errno,
        truncated: related.filter_map(|note| note.heard.as_ref()).any(|heard| heard.truncated),
    }
}

/// The name, and those that it was found to be an alias of, in order.
fn chain(notes: &VecDeque<Note>, host: &str) -> Vec<String> {
    let mut names = vec![host.to_owned()];
    while names.len() < ALIASES_MAX {
        let last = &names[names.len() - 1];
        let of_last = notes.iter().filter(|note| covers(last, &note.name));
        let alias = of_last.filter_map(|note| note.heard.as_ref()?.alias.as_ref()).next_back();
        match alias {
            Some(alias) if !names.contains(alias) => names.push(alias.clone()),
            Some(_) | None => break,
        }
    }
    names
}

/// Whether a question for `asked` was for `name`, perhaps with a search domain behind it.
fn covers(name: &str, asked: &str) -> bool {
    asked.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "192.0.2.53:53";

    fn note(name: &str, asked_ms: u64, heard: Option<Heard>, started: Instant) -> Note {
        Note {
            server: SERVER.parse().unwrap(),
            name: name.to_owned(),
            kind: RecordType::A,
            asked: started + Duration::from_millis(asked_ms),
            strays: 2,
            errno: None,
            heard,
        }
    }

    fn answer(rcode: u16, alias: Option<&str>, code: Option<u16>) -> Option<Heard> {
        let text = String::new();
        Some(Heard {
            after: Duration::from_millis(7),
            rcode,
            alias: alias.map(str::to_owned),
            extended: code.map(|code| Extended { code, text }).into_iter().collect(),
            truncated: false,
        })
    }

    #[test]
    fn the_question_that_decided_is_found() {
        let now = Instant::now();
        let notes = VecDeque::from([
            note("other.example", 9, answer(2, None, Some(23)), now),
            note("app.example", 1, answer(2, None, None), now),
            note("app.example", 2, None, now),
            note("bogus.example", 3, answer(2, None, Some(6)), now),
            note("bogus.example", 4, answer(2, None, None), now),
            note("www.example", 5, answer(0, Some("gone.example"), None), now),
            note("gone.example", 6, answer(3, None, None), now),
            note("short.corp.example", 7, answer(3, None, None), now),
            note("short", 6, answer(0, None, None), now),
            note("loop.example", 8, answer(0, Some("loop.example"), None), now),
            note("silent.example", 8, None, now),
        ]);
        // Name, rcode: latency known, alias, code, strays.
        for (host, rcode, known, alias, code, strays) in [
            ("app.example", Some(2), true, None, None, 0),
            ("App.Example.", None, false, None, None, 2),
            ("bogus.example", Some(2), true, None, Some(6), 0),
            ("www.example", Some(3), true, Some("gone.example"), None, 0),
            ("short", Some(3), true, None, None, 0),
            ("loop.example", Some(0), true, None, None, 0),
            ("silent.example", None, false, None, None, 2),
        ] {
            let found = lookup(&notes, &plain(host.to_owned()), rcode);
            assert_eq!(found.resolver, Some(SERVER.parse().unwrap()), "{host}");
            assert_eq!(found.latency.is_some(), known, "{host}");
            assert_eq!(found.alias.as_deref(), alias, "{host}");
            assert_eq!(found.extended.first().map(|one| one.code), code, "{host}");
            assert_eq!(found.strays, strays, "{host}");
        }
        assert_eq!(lookup(&notes, "exam", Some(2)), Lookup::default());
    }

    #[test]
    fn what_is_kept_is_bounded_and_good_answers_leave_nothing() {
        let (notes, now) = (Notes::default(), Instant::now());
        for i in 0..1000 {
            notes.ask(note(&format!("{i}.example"), i, None, now));
        }
        assert_eq!(notes.with(|notes| notes.len()), NOTES_MAX);
        notes.ask(note("999.example", 1000, None, now));
        assert_eq!(notes.with(|notes| notes.len()), NOTES_MAX);
        let server = SERVER.parse().unwrap();
        let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03999\x07example\0\0\x01\0\x01";
        notes.stray(server, query);
        notes.stray(server, &query[..20]);
        assert_eq!(notes.lookup("999.example", None).strays, 3);
        assert_eq!(notes.lookup("998.example", None).strays, 2);
        notes.hear(server, "999.example", RecordType::A, None);
        assert_eq!(notes.lookup("999.example", None), Lookup::default());
    }
}
