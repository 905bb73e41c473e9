//! `[tls]`: HTTPS for clients.
//!
//! Decides what the table means by itself, and proves that each chain and its key can be served;
//! `routes` compares its listeners with the others.

use std::ops::Range;

use super::address::{self, absolute_path};
use super::certificate::{PairFault, Side, read_pair};
use super::error::Fault;
use super::reader::{Table, wrong_type};
use super::{Certificate, ListenAddress, Tls};

const CERTIFICATES: &str = "e.g. certificates = [{ chain = \"/etc/ssl/shop/fullchain.pem\", \
                            key = \"/etc/ssl/shop/key.pem\" }]";

/// An address of `listen` and where it stands.
pub type Listen = (ListenAddress, Range<usize>);

/// Reads the table, and its listeners apart.
pub fn read(mut table: Table<'_>) -> (Tls, Vec<Listen>) {
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
    if !table.has("certificates") && !lost_keys {
        let fault = Fault::new("`[tls]` has no `certificates`");
        mistakes.note(fault.expected(CERTIFICATES), table.span.clone());
    }
    let tls = Tls { certificates: certificates(&mut table) };
    table.finish();
    (tls, listen)
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
