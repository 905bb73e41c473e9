//! The `Proxy-Status` header of an answer that we made (RFC 9209).
//!
//! It is for visitors too: error type, name of the cause and registered numbers, no name or byte
//! that a peer chose. Pure.

use std::fmt::Write;

use http::HeaderValue;

use super::escape::sf_string;
use crate::diagnose::{Cause, Entry, IcmpError, IcmpMessage, alert_name, lookup, rcode_name};

/// The value for a cause answered with a status.
pub fn proxy_status(cause: &Cause, entry: &Entry, status: u16) -> String {
    let mut value = String::with_capacity(128);
    value.push_str("causeway; error=");
    value.push_str(error_type(cause, entry));
    extra(&mut value, cause, entry, status);
    value.push_str("; details=");
    sf_string(&mut value, cause.code().name());
    value
}

/// The error type: the entry's, but where a firewall says that the port is closed.
fn error_type(cause: &Cause, entry: &Entry) -> &'static str {
    let port_closed = |icmp: &IcmpError| icmp.message == IcmpMessage::PortUnreachable;
    match cause {
        Cause::TcpRejectedByFirewall { icmp, .. } if port_closed(icmp) => "connection_refused",
        _ => entry.proxy_error,
    }
}

/// What was said, as a header's value.
pub fn value(said: String) -> HeaderValue {
    // Only printable ASCII was written, so that the default never shows.
    HeaderValue::try_from(said).unwrap_or(HeaderValue::from_static("causeway"))
}

/// The parameters that RFC 9209 section 2.3 defines for one error type.
fn extra(value: &mut String, cause: &Cause, entry: &Entry, status: u16) {
    match entry.proxy_error {
        "dns_error" => {
            if let Some(rcode) = rcode(cause) {
                value.push_str("; rcode=");
                sf_string(value, &rcode_name(rcode));
            }
            if let Some(code) = info_code(cause) {
                // Writing into a String cannot fail.
                let _ = write!(value, "; info-code={code}");
            }
        }
        "tls_alert_received" => {
            if let Cause::TlsAlertReceived { alert, .. } | Cause::ClientCertRequired { alert, .. } =
                cause
            {
                // Writing into a String cannot fail.
                let _ = write!(value, "; alert-id={alert}");
                if let Some(message) = alert_name(*alert) {
                    value.push_str("; alert-message=");
                    sf_string(value, message);
                }
            }
        }
        "http_response_transfer_coding" => value.push_str("; coding=chunked"),
        "http_request_error" => {
            let _ = write!(value, "; status-code={status}");
        }
        _ => {}
    }
}

/// The response code that a cause of `dns_error` stands for, if there was a response.
fn rcode(cause: &Cause) -> Option<u16> {
    if let Cause::DnsServerFailure { rcode, .. } = cause {
        Some(*rcode)
    } else if matches!(cause, Cause::DnsNoRecords { .. }) {
        Some(0)
    } else if matches!(cause, Cause::DnsNxdomain { .. }) {
        Some(3)
    } else if matches!(cause, Cause::DnsRefused { .. }) {
        Some(5)
    } else {
        None
    }
}

/// The first extended error of the answer; the parameter ends at 32767 (RFC 9209 section 2.3.2).
fn info_code(cause: &Cause) -> Option<u16> {
    const CODE_MAX: u16 = 32_767;
    let first = lookup(cause)?.extended.first()?;
    Some(first.code).filter(|code| *code <= CODE_MAX)
}
