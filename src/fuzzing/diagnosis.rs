//! What must hold of the way from a failure to a page: every failure gets a cause, no record of it
//! stops us, and a visitor's page keeps what belongs to operators to itself.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use http::Method;

use crate::config::{Scheme, Server, ServerAddress};
use crate::diagnose::{
    self, Around, AttemptSummary, Audience, Cause, Certainty, Code, Fate, FixId, IncidentId,
    Report, Rules, Standing,
};
use crate::page::{self, Format, Fresh, Kind, Page, Plates, View};
use crate::upstream::{self, Attempt, Failure, HeadFailure, TlsFailure};

use super::failures;
use super::source::{ADDRESSES, CANARY, Source};

/// What stands in every word that a visitor must not see.
const SECRET: &str = "canary";
/// More than any page takes, whatever a peer said.
const PAGE_BYTES_MAX: usize = 256 * 1024;

thread_local! {
    /// What visitors got before.
    static PLATES: RefCell<Plates> = RefCell::default();
}

/// Any failure, with any record and any facts: a cause that is not our own fault, and its pages.
pub fn diagnosis(bytes: &[u8]) {
    let mut source = Source(bytes);
    let (cause, certainty, attempt) = classified(&mut source);
    assert_ne!(cause.code(), Code::ProxyInternalError, "{attempt:?}");
    shown(cause, certainty, &attempt, &mut source);
}

/// The cause that bytes lead to.
#[cfg(test)]
pub fn cause(mut source: Source<'_>) -> Cause {
    classified(&mut source).0
}

/// A failure with its cause.
pub fn classified(source: &mut Source<'_>) -> (Cause, Certainty, Attempt) {
    let failure = failures::failure(source);
    failures::is_made(&failure);
    let attempt = failures::attempt(source);
    let facts = failures::facts(source);
    let _ = diagnose::is_stale(&attempt);
    let (cause, certainty) = diagnose::classify(&failure, &attempt, &facts);
    (cause, certainty, attempt)
}

/// The first bytes of a peer, in each protocol that we may have spoken to it.
pub fn first_bytes(bytes: &[u8]) {
    for choice in 0..3 {
        let mut attempt = failures::attempt(&mut Source(&[0, 2, 0, 0, 0, 0, choice]));
        attempt.keep_first_bytes(bytes);
        let facts = diagnose::Facts::default();
        for failure in [
            Failure::Head(HeadFailure::Foreign),
            Failure::Head(HeadFailure::Closed),
            Failure::Tls(TlsFailure::TimedOut),
        ] {
            let (cause, _) = diagnose::classify(&failure, &attempt, &facts);
            assert_ne!(cause.code(), Code::ProxyInternalError);
            assert!(cause.evidence().iter().all(|(_, value)| !value.contains('\u{1b}')));
        }
    }
}

/// A chain of certificates, each behind its length, and a verdict on it.
pub fn certificates(bytes: &[u8]) {
    let mut source = Source(bytes);
    let mut attempt = failures::attempt(&mut Source(&[0, 2, 0, 0, 0, 0, 1]));
    let verdict = failures::verdict(&mut source);
    let (at, mut chain) = (source.number(), Vec::new());
    let beside_dates = source.maybe(failures::verdict);
    while !source.0.is_empty() && chain.len() < 8 {
        let length = usize::from(source.short()).min(source.0.len());
        let (one, rest) = source.0.split_at(length);
        chain.push(one.to_vec());
        source.0 = rest;
    }
    let presented = upstream::Presented { chain, at, beside_dates };
    attempt.remains().presented = Some(Box::new(presented));
    let failure = TlsFailure::Rustls(rustls::Error::InvalidCertificate(verdict));
    let failure = Failure::Tls(failure);
    let (cause, certainty) = diagnose::classify(&failure, &attempt, &diagnose::Facts::default());
    assert!(cause.code().name().starts_with("tls_cert_"), "{cause:?}");
    shown(cause, certainty, &attempt, &mut source);
}

/// The report of a cause, and its pages in each format and for each reader.
pub fn shown(cause: Cause, certainty: Certainty, attempt: &Attempt, source: &mut Source<'_>) {
    shown_beside(cause, certainty, attempt, None, source);
}

/// The same with what was found around it, and with what lies behind it.
pub fn shown_beside(
    cause: Cause,
    certainty: Certainty,
    attempt: &Attempt,
    around: Option<Around>,
    source: &mut Source<'_>,
) {
    commands_hold_nothing_of_a_peer(&cause);
    let report = report(cause, certainty, attempt, around.map(Arc::new), source);
    let words = diagnose::english();
    for format in [Format::Html, Format::ProblemJson, Format::Text] {
        let show_operator_fixes = source.flag();
        for audience in [Audience::Operator, Audience::Visitor] {
            let view = View {
                audience,
                format,
                contact: Some("https://help.example/"),
                show_operator_fixes,
                repeatable: true,
                again: true,
                own: None,
                fixed: None,
            };
            let page = page::render(&report, words, &view);
            check(&report, &page, &view);
            if audience == Audience::Visitor && !show_operator_fixes {
                let again = again(&report, &view);
                assert_eq!(again.body, page.body, "a visitor's page is not the same");
            }
        }
    }
}

/// No byte that came from a client or an upstream stands in a command, whatever failed.
fn commands_hold_nothing_of_a_peer(cause: &Cause) {
    let unix = ServerAddress::Unix("/run/php/php8.2-fpm.sock".into());
    let name = ServerAddress::Name { host: "app.internal".to_owned(), port: 443 };
    let local = ServerAddress::Ip(SocketAddr::from(([127, 0, 0, 1], 8080)));
    for (scheme, address) in [(Scheme::FastCgi, unix), (Scheme::Https, name), (Scheme::Http, local)]
    {
        let server = Server { scheme, address };
        let root = Some(Path::new("/var/www/shop"));
        let site = diagnose::Site { root, ..diagnose::Site::of(Some(&server)) };
        let ranked = diagnose::fixes(cause, &site, None).into_iter().flat_map(|fix| fix.commands);
        let all = FixId::all().flat_map(|id| diagnose::commands(id, cause, &site));
        for command in ranked.chain(all) {
            let line = command.line;
            assert!(!line.contains(SECRET), "{line}");
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
        }
    }
}

fn report(
    cause: Cause,
    certainty: Certainty,
    attempt: &Attempt,
    around: Option<Arc<Around>>,
    source: &mut Source<'_>,
) -> Report {
    let entry = diagnose::entry(cause.code());
    let server_name = upstream::server_name(&attempt.upstream, attempt.server());
    let named = attempt.remains.as_ref().and_then(|remains| remains.named.clone());
    let site = diagnose::Site {
        server_name: &server_name,
        moved: diagnose::has_moved(named.as_ref()),
        named: named.as_ref(),
        is_here: around.is_some(),
        around: around.as_deref(),
        ..diagnose::Site::of(Some(attempt.server()))
    };
    let root = diagnose::root(&cause, &site);
    assert_eq!(root, diagnose::root(&cause, &site));
    let summary = AttemptSummary::new(attempt, cause.code(), Instant::now());
    Report {
        incident: IncidentId::new(source.number()),
        // In a year that is nowhere in the evidence.
        time: UNIX_EPOCH + Duration::from_secs(7_000_000_000 + source.number() % 1_000_000),
        certainty,
        fate: Fate::of([attempt].into_iter()),
        entry,
        status: entry.status,
        fixes: diagnose::fixes(&cause, &site, root.as_ref()),
        attempts: vec![summary; 2],
        named,
        upstream: attempt.upstream.name.as_str().into(),
        host: source.word(),
        method: Method::GET,
        path: source.word(),
        standing: Standing::default(),
        root,
        around,
        cause,
    }
}

/// What ranks the fixes of a report.
fn rules(report: &Report) -> Rules {
    let moved = diagnose::has_moved(report.named.as_ref());
    let site = diagnose::Site { moved, ..diagnose::Site::of(None) };
    Rules::of(&report.cause, &site)
}

/// The page as the second visitor gets it: printed from the first one's.
fn again(report: &Report, view: &View<'_>) -> Page {
    let words = diagnose::english();
    let kind = Kind::of(report, 0, view, rules(report));
    PLATES.with_borrow_mut(|plates| {
        let (cause, entry, fresh) = (&report.cause, &report.entry, Fresh::of(report));
        let printed = plates.print(&kind, cause, entry, &fresh, words, None);
        match printed {
            Some(printed) => printed.into_page(report.status),
            None => plates.cut(kind, report, words, view, None),
        }
    })
}

fn check(report: &Report, page: &Page, view: &View<'_>) {
    let said = page.headers["proxy-status"].to_str().expect("ASCII");
    let name = report.cause.code().name();
    assert!(said.contains(&format!("; details=\"{name}\"")), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    assert!(page.body.len() < PAGE_BYTES_MAX, "{name}: {} bytes", page.body.len());
    let body = std::str::from_utf8(&page.body).expect("pages are UTF-8");
    assert!(!body.contains(CANARY), "{name}: passed on as it came");
    assert!(body.contains(name));
    if view.format == Format::ProblemJson {
        let read = serde_json::from_str::<serde_json::Value>(body);
        assert!(read.is_ok_and(|read| read["cause"] == name), "{body}");
    }
    if view.audience == Audience::Operator {
        return;
    }
    let inside = |inner: &&str| body.contains(*inner);
    assert_eq!(ADDRESSES.iter().find(|inner| inside(inner)), None, "{body}");
    assert!(!body.contains(SECRET), "{name}: a visitor sees evidence: {body}");
    let found = report.around.as_ref().map(|around| around.rows()).unwrap_or_default();
    for (key, value) in report.cause.evidence().into_iter().chain(found) {
        // Words that stand in the catalogue too say nothing; numbers and what peers sent do.
        let telling = value.len() > 5 && value.bytes().any(|byte| byte.is_ascii_digit());
        assert!(!telling || !body.contains(&value), "{name}: {key} is shown: {body}");
    }
}
