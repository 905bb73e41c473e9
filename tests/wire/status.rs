//! Every `Proxy-Status` that the scenarios bring about, read as RFC 9209 says it is to be read.

use causeway::config::{AccessLog, Log};
use causeway::demo::{self, Accept, Options, Ports, Sees, View};
use causeway::server;
use sfv::{BareItem, ListEntry, Parser};

/// The error types of RFC 9209 section 2.3, each with the parameters that it alone may have.
const TYPES: [(&str, &[&str]); 32] = [
    ("dns_timeout", &[]),
    ("dns_error", &["rcode", "info-code"]),
    ("destination_not_found", &[]),
    ("destination_unavailable", &[]),
    ("destination_ip_prohibited", &[]),
    ("destination_ip_unroutable", &[]),
    ("connection_refused", &[]),
    ("connection_terminated", &[]),
    ("connection_timeout", &[]),
    ("connection_read_timeout", &[]),
    ("connection_write_timeout", &[]),
    ("connection_limit_reached", &[]),
    ("tls_protocol_error", &[]),
    ("tls_certificate_error", &[]),
    ("tls_alert_received", &["alert-id", "alert-message"]),
    ("http_request_error", &["status-code", "status-phrase"]),
    ("http_request_denied", &[]),
    ("http_response_incomplete", &[]),
    ("http_response_header_section_size", &["header-section-size"]),
    ("http_response_header_size", &["header-name", "header-size"]),
    ("http_response_body_size", &["body-size"]),
    ("http_response_trailer_section_size", &["trailer-section-size"]),
    ("http_response_trailer_size", &["trailer-name", "trailer-size"]),
    ("http_response_transfer_coding", &["coding"]),
    ("http_response_content_coding", &["coding"]),
    ("http_response_timeout", &[]),
    ("http_upgrade_failed", &[]),
    ("http_protocol_error", &[]),
    ("proxy_internal_response", &[]),
    ("proxy_internal_error", &[]),
    ("proxy_configuration_error", &[]),
    ("proxy_loop_detected", &[]),
];

/// Those that every entry may have (section 2.1).
const COMMON: [&str; 5] = ["error", "next-hop", "next-protocol", "received-status", "details"];

/// Rows that are asked at one time.
const AT_ONCE: usize = 24;

#[test]
fn each_failure_is_told_in_registered_words() {
    let log = Log { access: AccessLog::Off, ..Log::default() };
    let rig = demo::rig(Options { ports: Ports::Free, log }).unwrap();
    let proxies: Vec<_> =
        rig.configs.iter().map(|(_, config)| server::start(config.clone()).unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut faults = Vec::new();
    let said = runtime.block_on(async {
        let mut asking = tokio::task::JoinSet::new();
        // All at once, a busy machine answers no look-up in time, and that is another cause.
        let places = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        for row in demo::scenarios().filter(|row| matches!(row.sees, Sees::Page)) {
            let proxy = rig.addresses.of_row(row, View::Visitor);
            let places = places.clone();
            asking.spawn(async move {
                let _place = places.acquire().await.unwrap();
                let accept = Accept { kind: "text/plain", language: "en" };
                let heard = demo::ask(row, proxy, accept).await.unwrap();
                (row, heard.header("proxy-status").unwrap_or_default().to_owned())
            });
        }
        let mut told = asking.join_all().await;
        // Some causes are told by how soon a peer answers, and so many rows at once keep a peer from
        // answering at all: such a row is asked again when nobody else asks.
        for (row, said) in told.iter_mut().filter(|(row, said)| cause(said) != row.code.name()) {
            faults.extend(check(said).err().map(|fault| format!("{}: {fault}: {said}", row.name)));
            let accept = Accept { kind: "text/plain", language: "en" };
            let heard = demo::ask(row, rig.addresses.of_row(row, View::Visitor), accept).await;
            *said = heard.unwrap().header("proxy-status").unwrap_or_default().to_owned();
        }
        told
    });
    proxies.into_iter().for_each(server::Running::abort);
    faults.extend(said.iter().filter_map(|(row, said)| {
        let fault = match cause(said) == row.code.name() {
            true => check(said).err()?,
            false => format!("not {}", row.code.name()),
        };
        Some(format!("{}: {fault}: {said}", row.name))
    }));
    assert!(!said.is_empty() && faults.is_empty(), "{}", faults.join("\n"));
}

/// The cause that is named.
fn cause(said: &str) -> String {
    let list: Result<sfv::List, _> = Parser::new(said).parse();
    let Ok([ListEntry::Item(item)]) = list.as_deref() else { return String::new() };
    let details = item.params.get("details").and_then(BareItem::as_string);
    details.map(|details| details.as_str().to_owned()).unwrap_or_default()
}

/// One entry, ours, with a registered type and the parameters that belong to it.
fn check(said: &str) -> Result<(), String> {
    let list: sfv::List = Parser::new(said).parse().map_err(|error| error.to_string())?;
    let [ListEntry::Item(item)] = list.as_slice() else {
        return Err("not one item".to_owned());
    };
    if item.bare_item.as_token().map(|token| token.as_str()) != Some("causeway") {
        return Err("the entry is not ours".to_owned());
    }
    let error = item.params.get("error").and_then(BareItem::as_token).map(|token| token.as_str());
    let Some((_, own)) = TYPES.iter().find(|(name, _)| Some(*name) == error) else {
        return Err(format!("{error:?} is not registered"));
    };
    let mut names = item.params.keys().map(|name| name.as_str());
    match names.find(|name| !COMMON.contains(name) && !own.contains(name)) {
        Some(name) => Err(format!("{name} has no place here")),
        None => Ok(()),
    }
}
