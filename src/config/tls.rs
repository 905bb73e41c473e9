//! `[tls]`: HTTPS for clients.
//!
//! Decides what the table means by itself, and proves that each chain and its key can be served;
//! `routes` compares its listeners with the others.

use std::ops::Range;

use super::address::{self, absolute_path};
use super::certificate::{PairFault, Side, read_pair};
use super::error::Fault;
use super::reader::{Table, wrong_type};
use super::{Acme, Certificate, Hsts, ListenAddress, Offer, Tls, TlsVersion, acme};

const CERTIFICATES: &str = "e.g. certificates = [{ chain = \"/etc/ssl/shop/fullchain.pem\", \
                            key = \"/etc/ssl/shop/key.pem\" }]";

/// An address of `listen` and where it stands.
pub type Listen = (ListenAddress, Range<usize>);

/// The table, with what it says of other parts of the configuration.
#[derive(Debug, Default)]
pub struct Read {
    pub tls: Tls,
    pub listen: Vec<Listen>,
    /// For upstream blocks that do not say it themselves.
    pub redirect: bool,
    /// Whether there is such a table at all.
    pub there: bool,
}

/// Reads the table.
pub fn read(mut table: Table<'_>) -> Read {
    let mistakes = table.mistakes;
    let lost_keys = mistakes.may_lack_keys(table.span.start);
    let texts = table.texts("listen");
    if texts.is_none() && !table.has("listen") && !lost_keys {
        let fault = Fault::new("`[tls]` has no `listen`");
        mistakes.note(fault.expected("e.g. listen = [\"0.0.0.0:443\"]"), table.span.clone());
    }
    table.note_empty("listen");
    let address = |text: super::reader::Text<'_>| {
        let address = mistakes.check(address::listen(text.value), text.span.clone())?;
        Some((address, text.span))
    };
    let listen = texts.into_iter().flatten().filter_map(address).collect();
    if !table.has("certificates") && !table.has("acme") && !lost_keys {
        let fault = Fault::new("`[tls]` has no `certificates`");
        mistakes.note(fault.expected(CERTIFICATES), table.span.clone());
    }
    let mut certificates = certificates(&mut table);
    let acme = table.table("acme").and_then(acme::read);
    certificates.extend(acme.iter().flat_map(Acme::files));
    let mut offer = Offer::default();
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    table.choice("min_version", &versions, &mut offer.min_version);
    table.flag("http2", &mut offer.http2);
    let mut redirect = false;
    table.flag("redirect_to_https", &mut redirect);
    let hsts = hsts(&mut table);
    table.finish();
    Read { tls: Tls { certificates, acme, offer, hsts }, listen, redirect, there: true }
}

/// Zero is a value: it takes back what was said before (RFC 6797 section 6.1.1).
fn hsts(table: &mut Table<'_>) -> Option<Hsts> {
    let max_age = table.duration_or_zero("hsts");
    let mut subdomains = false;
    table.flag("hsts_subdomains", &mut subdomains);
    if !table.has("hsts") {
        let fault = Fault::new("no host says anything of those below it without `hsts`");
        table.note_at("hsts_subdomains", fault.expected("e.g. hsts = \"365d\""));
    }
    Some(Hsts { max_age: max_age?, subdomains })
}

fn certificates(table: &mut Table<'_>) -> Vec<Certificate> {
    let Some(value) = table.value("certificates") else { return Vec::new() };
    let Some(items) = value.get_ref().as_array() else {
        let fault = wrong_type("an array of tables", value).expected(CERTIFICATES);
        table.mistakes.note(fault, value.span());
        return Vec::new();
    };
    table.note_empty("certificates");
    let read = |item| {
        let certificate = table.as_table("certificates", item, CERTIFICATES)?;
        certificate_of(certificate)
    };
    items.iter().filter_map(read).collect()
}

fn certificate_of(mut table: Table<'_>) -> Option<Certificate> {
    let mistakes = table.mistakes;
    for key in ["chain", "key"] {
        if !table.has(key) && !mistakes.may_lack_keys(table.span.start) {
            let fault = Fault::new(format!("a certificate without `{key}`"));
            mistakes.note(fault.expected(CERTIFICATES), table.span.clone());
        }
    }
    let chain = table.parsed("chain", absolute_path);
    let key = table.parsed("key", absolute_path);
    let files = chain.zip(key).map(|(chain, key)| Certificate { chain, key });
    let faults = files.as_ref().and_then(|files| read_pair(files).err()).unwrap_or_default();
    for PairFault { side, fault } in faults {
        let key = match side {
            Side::Chain => "chain",
            Side::Key => "key",
        };
        table.note_at(key, fault);
    }
    table.finish();
    files
}
