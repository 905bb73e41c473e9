//! `[tls.acme]`: certificates that an authority gives by ACME (RFC 8555).
//!
//! Decides which certificates are to be had, from whom, and where each is kept; the getting is
//! `server`'s. A program that was built without it refuses the table by name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::Certificate;
use super::address::absolute_path;
use super::error::Fault;
use super::host::dns_name;
use super::reader::{Table, Text, wrong_type};
use super::upstream::authorities;

/// Let's Encrypt, for everybody.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// What authorities give at most in one certificate.
const HOSTS_MAX: usize = 100;
/// So many are ordered one after another, and none must come too late for the last.
const CERTIFICATES_MAX: usize = 1000;
const CERTIFICATES: &str = "a list of hosts for each certificate, e.g. [[\"shop.example\", \
                            \"www.shop.example\"]]";
const TERMS: &str = "terms_agreed = true, once you have read the authority's terms of service";

/// Whom to ask for which certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The hosts of each, lower-case; at least one of each.
    pub certificates: Vec<Vec<String>>,
    /// Where the authority writes to: `mailto:` addresses.
    pub contact: Vec<String>,
    /// The address of the authority's directory, `https:`.
    pub directory: String,
    /// PEM file of the certificate authority that the directory's own certificate is from, the
    /// first in it; `None`: the system's store.
    pub ca: Option<PathBuf>,
    pub challenge: Challenge,
    /// The folder that account and certificates are kept in.
    pub state: PathBuf,
}

/// How the authority sees that a host is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// It asks port 80 for a file (RFC 8555 section 8.3).
    Http01,
    /// It shakes hands with port 443 (RFC 8737).
    TlsAlpn01,
}

impl Acme {
    /// The folder of what belongs to this authority.
    pub fn folder(&self) -> PathBuf {
        let host = self.directory.trim_start_matches("https://").split(['/', ':']).next();
        let host: String = host.unwrap_or_default().chars().filter(plain).collect();
        self.state.join(format!("{host}-{}", short(self.directory.as_bytes())))
    }

    /// The file of a certificate: chain and key in one, so that they change at one moment.
    pub fn file(&self, hosts: &[String]) -> PathBuf {
        let mut sorted: Vec<&str> = hosts.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let first = hosts.first().map_or("", String::as_str);
        self.folder().join(format!("{first}-{}.pem", short(sorted.join(" ").as_bytes())))
    }

    /// Every certificate as the listeners of `[tls]` know theirs.
    pub fn files(&self) -> impl Iterator<Item = Certificate> {
        self.certificates.iter().map(|hosts| {
            let file = self.file(hosts);
            Certificate { chain: file.clone(), key: file }
        })
    }
}

fn plain(c: &char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.')
}

/// Enough of a hash to tell a handful of things apart.
fn short(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Where systemd has a service keep its state, by the unit's StateDirectory (systemd.exec(5)).
fn default_state() -> PathBuf {
    let given = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    let first = given.split(':').next().filter(|path| path.starts_with('/'));
    Path::new(first.unwrap_or("/var/lib/causeway")).join("acme")
}

/// Reads the table; `None` once what is wrong with it was noted.
pub fn read(mut table: Table<'_>) -> Option<Acme> {
    let mistakes = table.mistakes;
    let before = mistakes.count();
    let lost_keys = mistakes.may_lack_keys(table.span.start);
    if !cfg!(feature = "acme") {
        let fault = Fault::new("`acme` is not available: this Causeway was built without it");
        let expected = "`certificates` in `[tls]`, or a build with the feature `acme`";
        mistakes.note(fault.expected(expected), table.span.clone());
    }
    let certificates = certificates(&mut table);
    if !table.has("certificates") && !lost_keys {
        let fault = Fault::new("`[tls.acme]` has no `certificates`").expected(CERTIFICATES);
        mistakes.note(fault, table.span.clone());
    }
    let contact = table.parsed_list("contact", mailbox).unwrap_or_default();
    let mut agreed = false;
    table.flag("terms_agreed", &mut agreed);
    if !agreed && !lost_keys {
        let fault = Fault::new("the authority's terms are not agreed to").expected(TERMS);
        match table.has("terms_agreed") {
            true => table.note_at("terms_agreed", fault),
            false => mistakes.note(fault, table.span.clone()),
        }
    }
    let directory = table.parsed("directory", directory).unwrap_or_else(|| DIRECTORY.to_owned());
    let ca = table.parsed("ca", authorities);
    let mut challenge = Challenge::Http01;
    let words = [("http-01", Challenge::Http01), ("tls-alpn-01", Challenge::TlsAlpn01)];
    table.choice("challenge", &words, &mut challenge);
    let state = table.parsed("state", absolute_path).unwrap_or_else(default_state);
    table.finish();
    let sound = mistakes.count() == before && !certificates.is_empty();
    sound.then_some(Acme { certificates, contact, directory, ca, challenge, state })
}

fn certificates(table: &mut Table<'_>) -> Vec<Vec<String>> {
    let Some(value) = table.value("certificates") else { return Vec::new() };
    let mistakes = table.mistakes;
    let Some(lists) = value.get_ref().as_array() else {
        let fault = wrong_type("an array of arrays of hosts", value).expected(CERTIFICATES);
        mistakes.note(fault, value.span());
        return Vec::new();
    };
    table.note_empty("certificates");
    if lists.len() > CERTIFICATES_MAX {
        let fault = Fault::new(format!("{} certificates", lists.len()));
        table.note_at("certificates", fault.expected(format!("at most {CERTIFICATES_MAX}")));
    }
    let mut certificates = Vec::new();
    let mut known: HashSet<Vec<String>> = HashSet::new();
    for list in lists {
        let Some(hosts) = list.get_ref().as_array() else {
            let written = mistakes.source.get(value.span()).filter(|_| list.get_ref().is_str());
            let fault = wrong_type("an array of hosts", list).expected(CERTIFICATES);
            mistakes.note(fault.nearest(written.map(|text| format!("[{text}]"))), list.span());
            // The others have the same mistake.
            return Vec::new();
        };
        let texts = hosts.iter().filter_map(|host| table.as_text(host));
        let read = |text: Text<'_>| mistakes.check(host(text.value), text.span);
        let names: Vec<String> = texts.filter_map(read).collect();
        let count = hosts.len();
        if count == 0 || count > HOSTS_MAX {
            let fault = Fault::new(format!("a certificate for {count} hosts"));
            mistakes.note(fault.expected(format!("1 to {HOSTS_MAX} hosts")), list.span());
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() < names.len() {
            let fault = Fault::new("a host stands twice in one certificate");
            mistakes.note(fault.expected("each host once"), list.span());
        } else if !sorted.is_empty() && !known.insert(sorted) {
            let fault = Fault::new("two certificates for the same hosts");
            mistakes.note(fault.expected("each list once"), list.span());
        }
        certificates.push(names);
    }
    certificates
}

/// A host that both challenges can prove.
fn host(text: &str) -> Result<String, Fault> {
    if text.starts_with("*.") {
        let fault = Fault::new(format!("`{text}` cannot be proven"));
        return Err(fault.expected(
            "each host by its name: authorities want DNS for wildcards (dns-01), which Causeway \
             does not change",
        ));
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        let fault = Fault::new(format!("`{text}` is an address"));
        return Err(fault.expected("a DNS name, e.g. \"shop.example\""));
    }
    dns_name(text)
}

fn mailbox(text: &str) -> Result<String, Fault> {
    let contact = super::address::contact(text);
    match contact {
        Ok(contact) if contact.starts_with("mailto:") => Ok(contact),
        Ok(_) | Err(_) => {
            let nearest = contact.err().and_then(|fault| fault.nearest);
            Err(Fault::new(format!("`{text}` is not where an authority can write to"))
                .expected("e.g. \"mailto:admin@shop.example\"")
                .nearest(nearest))
        }
    }
}

fn directory(text: &str) -> Result<String, Fault> {
    let host = text.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    let sound = host.is_some_and(|host| !host.is_empty() && !host.contains('@'));
    match sound && text.parse::<http::Uri>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("`{text}` is not the address of an ACME directory"))
            .expected(format!("an https:// address, e.g. \"{DIRECTORY}\""))),
    }
}
