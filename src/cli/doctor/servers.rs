//! Asks each server of each upstream: through the proxy itself, started for the one question on a
//! loopback port. So a failure is classified, looked into and explained as a request's would be.
//!
//! The question is a GET of the block's first path, which a visitor may ask any time. Whoever else
//! finds the port is a visitor too: an operator is only who names an address that was made up for
//! this one question.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde_json::Value;

use crate::config::{
    AccessLog, Config, HostPattern, ListenAddress, Listener, Log, Page, Scheme, Server,
    ServerAddress, Upstream,
};
use crate::diagnose::{Ailment, Code};
use crate::probe;
use crate::server;

use super::{Check, Found, Speech, host, progress};

/// How long a server may be silent before the doctor calls it so, if the configuration does not
/// before that.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// What comes on top: the look at this host, and our own work.
const OWN_TIME: Duration = Duration::from_secs(3);
/// Servers that are asked at once.
const AT_ONCE: usize = 8;
/// The most of an answer that is read.
const ANSWER_MAX: u64 = 1 << 20;
/// How often a failure is asked for again, since what was found late stands on the next page.
const AGAIN: usize = 2;
const AGAIN_AFTER: Duration = Duration::from_millis(600);
/// A folder that no PHP has: where the site has no script to ask for, PHP-FPM says just that, and
/// so that it is there.
const NOWHERE: &str = "/nonexistent/causeway-doctor";

/// One server, and what it is asked.
struct Question {
    block: Arc<Upstream>,
    server: Server,
    path: String,
    host: String,
    /// PHP is asked for a script that nobody has.
    nowhere: bool,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// A check a server.
pub fn checks(config: &Config, only: Option<&str>, speech: Speech) -> Vec<Check> {
    let blocks = config.upstreams.iter().filter(|block| only.is_none_or(|name| block.name == name));
    let questions: Vec<Question> = blocks
        .flat_map(|block| block.servers.iter().map(|server| question(block, server)))
        .collect();
    let mut checks = Vec::new();
    for some in questions.chunks(AT_ONCE) {
        progress(&some.iter().map(Question::subject).collect::<Vec<_>>().join(", "));
        checks.extend(thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|question| scope.spawn(move || examine(config, question, speech)))
                .collect();
            let told =
                |(question, asked): (&Question, thread::ScopedJoinHandle<'_, Vec<Check>>)| {
                    let lost =
                        || vec![not_asked(question, &io::Error::other("the check has panicked"))];
                    asked.join().unwrap_or_else(|_| lost())
                };
            some.iter().zip(asked).flat_map(told).collect::<Vec<_>>()
        }));
    }
    checks
}

fn question(block: &Arc<Upstream>, server: &Server) -> Question {
    let host = match block.hosts.first() {
        Some(HostPattern::Exact(host)) => host.clone(),
        Some(HostPattern::Wildcard(suffix)) => format!("www.{suffix}"),
        None => match &server.address {
            ServerAddress::Name { host, .. } => host.clone(),
            ServerAddress::Ip(address) => address.to_string(),
            ServerAddress::Unix(_) => "localhost".to_owned(),
        },
    };
    let mut path = block.paths.first().cloned().unwrap_or_else(|| "/".to_owned());
    let mut nowhere = false;
    if let (Scheme::FastCgi, Some(files)) = (server.scheme, &block.files) {
        // Not the folder's static page, which would tell nothing of PHP.
        let mut scripts = files.index.iter().filter(|name| name.ends_with(".php"));
        let is_there = |name: &&String| !files.root.exists() || files.root.join(name).is_file();
        let script = scripts.find(is_there);
        nowhere = script.is_none();
        path = format!("/{}", script.map_or("index.php", String::as_str));
    }
    Question { block: block.clone(), server: server.clone(), path, host, nowhere }
}

impl Question {
    fn subject(&self) -> String {
        format!("{} {}", self.block.name, self.server)
    }

    /// The block with this server alone, and as patient as a doctor.
    fn block(&self) -> Upstream {
        let mut block = Upstream {
            servers: vec![self.server.clone()],
            hosts: Vec::new(),
            paths: vec!["/".to_owned()],
            redirect_to_https: false,
            maintenance: None,
            ..self.block.as_ref().clone()
        };
        let timeouts = &mut block.timeouts;
        for time in [&mut timeouts.send, &mut timeouts.first_byte, &mut timeouts.idle] {
            *time = (*time).min(SILENCE_MAX);
        }
        if let Some(files) = block.files.as_mut().filter(|_| self.nowhere) {
            files.root = PathBuf::from(NOWHERE);
        }
        block
    }
}

/// The question, and where it was answered over TLS, how long that will go on.
fn examine(config: &Config, question: &Question, speech: Speech) -> Vec<Check> {
    let check = check(config, question, speech);
    let mut checks = Vec::new();
    if check.found.is_none() && question.server.scheme == Scheme::Https {
        let limit = question.block.timeouts.tls;
        let end = probe::certificate_end(&question.block, &question.server, limit);
        checks.extend(end.map(|end| host::certificate(question.subject(), end)));
    }
    checks.insert(0, check);
    checks
}

fn check(config: &Config, question: &Question, speech: Speech) -> Check {
    match ask(config, question, speech) {
        Ok(answer) => judge(question, &answer),
        Err(error) => not_asked(question, &error),
    }
}

fn not_asked(question: &Question, error: &io::Error) -> Check {
    Check::ails("upstream", question.subject(), Ailment::NotAsked, error.to_string())
}

fn judge(question: &Question, answer: &Answer) -> Check {
    let subject = question.subject();
    let problem = serde_json::from_slice::<Value>(&answer.body).ok();
    let problem = problem.filter(|problem| {
        let kind = problem["type"].as_str().unwrap_or_default();
        kind.starts_with("urn:causeway:cause:")
    });
    let Some(problem) = problem else {
        return match answer.status {
            ..500 => Check::well("upstream", subject),
            status => {
                Check::ails("upstream", subject, Ailment::ErrorStatus, format!("HTTP {status}"))
            }
        };
    };
    let cause = problem["cause"].as_str().unwrap_or_default().to_owned();
    let missing = [Code::FcgiScriptNotFound, Code::FcgiScriptForbidden].map(Code::name);
    if question.nowhere && missing.contains(&cause.as_str()) {
        return Check::well("upstream", subject);
    }
    let found = Found { ailment: Ailment::RequestFails, value: cause, problem: Some(problem) };
    Check { kind: "upstream", subject, found: Some(found) }
}

/// Starts a proxy before the server, and asks it.
fn ask(config: &Config, question: &Question, speech: Speech) -> io::Result<Answer> {
    let operator = made_up();
    let block = question.block();
    let timeouts = &block.timeouts;
    let patience = timeouts.resolve
        + timeouts.connect
        + timeouts.tls
        + timeouts.send
        + timeouts.first_byte
        + timeouts.idle
        + OWN_TIME;
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let page = Page {
        operators: vec![IpNet::from(IpAddr::V6(operator))],
        trusted_proxies: vec![IpNet::from(loopback)],
        ..Page::default()
    };
    let address = ListenAddress::Tcp(SocketAddr::new(loopback, 0));
    let proxy = Config {
        path: config.path.clone(),
        workers: 1,
        listeners: vec![Listener { address, tls: false, upstreams: vec![0] }],
        upstreams: vec![Arc::new(block)],
        page,
        log: Log { access: AccessLog::Off, ..Log::default() },
        resolvers: config.resolvers.clone(),
        drain_timeout: Duration::ZERO,
        ..Config::default()
    };
    let running = server::start(proxy).map_err(io::Error::other)?;
    let asked = match running.addresses().first() {
        Some(ListenAddress::Tcp(address)) => {
            until_found(*address, &request(question, operator, speech), patience)
        }
        _ => Err(io::Error::other("no address was bound")),
    };
    running.abort();
    asked
}

/// Asks again while something on this host has not been found in time.
fn until_found(address: SocketAddr, request: &[u8], patience: Duration) -> io::Result<Answer> {
    let mut answer = exchange(address, request, patience)?;
    for _ in 0..AGAIN {
        let problem = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let findings = problem["findings"].as_array().into_iter().flatten();
        let late = findings.into_iter().any(|found| found["key"] == "not_in_time");
        if !problem["type"].is_string() || problem["root"].is_string() && !late {
            break;
        }
        thread::sleep(AGAIN_AFTER);
        answer = exchange(address, request, patience)?;
    }
    Ok(answer)
}

fn request(question: &Question, operator: Ipv6Addr, speech: Speech) -> Vec<u8> {
    let Question { path, host, .. } = question;
    let (language, version) = (&speech.words.language, env!("CARGO_PKG_VERSION"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: causeway-doctor/{version}\r\n\
         Accept: application/problem+json\r\nAccept-Language: {language}\r\n\
         X-Forwarded-For: {operator}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

fn exchange(address: SocketAddr, request: &[u8], patience: Duration) -> io::Result<Answer> {
    let until = Instant::now() + patience;
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    while (bytes.len() as u64) < ANSWER_MAX {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Of an answer that was cut the head is here.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    answer(&bytes).ok_or_else(|| io::Error::other("no answer came"))
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok();
    let line =
        head.map_or_else(|| bytes.get(..12).map(String::from_utf8_lossy), |h| Some(h.into()));
    let status = line?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: bytes[end + 4..].to_vec() })
}

/// A unique local address (RFC 4193) that nobody has.
fn made_up() -> Ipv6Addr {
    let random = || RandomState::new().build_hasher().finish();
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&random().to_be_bytes());
    octets[8..].copy_from_slice(&random().to_be_bytes());
    octets[0] = 0xfd;
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_far_as_it_came() {
        let found = answer(b"HTTP/1.1 502 Bad Gateway\r\nA: b\r\n\r\n{}").unwrap();
        assert_eq!((found.status, found.body.as_slice()), (502, b"{}".as_slice()));
        for broken in [b"".as_slice(), b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
            assert!(answer(broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn addresses_that_are_made_up_are_local_and_differ() {
        let (one, other) = (made_up(), made_up());
        assert!(one != other && one.is_unique_local() && other.is_unique_local());
    }
}
