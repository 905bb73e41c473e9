//! The evidence of a cause as rows to print, for operators only.
//!
//! Every value leaves here printable and bounded: control characters are spelt out, bytes are
//! escaped ASCII, long ones are cut. Keys are the field names of [`Cause`]. Whether a viewer may
//! see them is decided by `page`. Pure.

use std::path::Path;
use std::time::Duration;

use super::cause::{Cause, Code};
use super::dns::{self, Lookup};
use super::facts::{Port, Queue};
use super::faults::{CertFault, UpgradeFault};
use super::fingerprint::alert_meaning;
use super::hop::Hop;
use super::http2::{self, H2Fault};
use super::print::{
    abridged, errno_name, escaped, extended_error, rcode_name, rfc3339, seconds, visible,
};
use super::unreached::IcmpError;

/// Names of a list that are shown.
const LIST_ITEMS: usize = 8;

impl Cause {
    /// What shows this cause, as pairs of a field's name and its printable value.
    pub fn evidence(&self) -> Vec<(&'static str, String)> {
        use Cause as C;
        let rows = Rows(Vec::new());
        let rows = match self {
            C::DnsNxdomain { name, lookup } | C::DnsRefused { name, lookup } => {
                rows.text("name", name).lookup(lookup)
            }
            C::DnsNoRecords { name, authority, lookup } => {
                rows.text("name", name).text("authority", authority.into()).lookup(lookup)
            }
            C::DnsServerFailure { name, rcode, lookup } => {
                rows.text("name", name).put("rcode", rcode_name(*rcode)).lookup(lookup)
            }
            C::DnsAnswerUnusable { name, fault, lookup } => {
                rows.text("name", name).text("fault", fault.into()).lookup(lookup)
            }
            C::DnsTimeout { name, waited, lookup } => {
                rows.text("name", name).time("waited", *waited).lookup(lookup)
            }
            C::DnsResolverUnreachable { name, errno, lookup } => {
                rows.text("name", name).errno(*errno).lookup(lookup)
            }
            C::DnsConfigInvalid { name, fault, errno } => {
                rows.text("name", name).text("fault", fault.into()).errno(*errno)
            }

            C::ConnectionRefused { address, remembered, other_family } => {
                let rows = rows.put("address", address).put("remembered", remembered);
                match other_family {
                    Some(other) => rows.put("other_family", format!("listening at {other}")),
                    None => rows,
                }
            }
            C::TcpRejectedByFirewall { address, icmp } => {
                rows.put("address", address).icmp(Some(icmp))
            }
            C::ConnectTimeout { address, waited, queue, port } => {
                rows.put("address", address).time("waited", *waited).queue(*queue).port(*port)
            }
            C::HostUnreachable { address, reason, icmp }
            | C::NetworkUnreachable { address, reason, icmp } => {
                rows.put("address", address).text("reason", reason.into()).icmp(icmp.as_ref())
            }
            C::LocalPortsExhausted { address } => rows.put("address", address),
            C::ConnectForbiddenLocally { address, errno } => {
                rows.put("address", address).errno(Some(*errno))
            }
            C::UnixSocketMissing { path, errno } => rows.path(path).errno(Some(*errno)),
            C::UnixSocketPermissionDenied { path }
            | C::UnixSocketRefused { path }
            | C::UnixSocketBacklogFull { path } => rows.path(path),
            C::ConnectFailed { target, errno, reason, icmp } => rows
                .text("target", target)
                .errno(*errno)
                .text("reason", reason.into())
                .icmp(icmp.as_ref()),
            C::LocalFdExhausted { errno }
            | C::LocalOutOfMemory { errno }
            | C::ResetBeforeResponse { errno } => rows.errno(Some(*errno)),

            C::TlsPeerSpeaksPlaintext { protocol } | C::PeerIsOtherProtocol { protocol } => {
                rows.text("protocol", protocol.into())
            }
            C::TlsCertExpired { not_after, clock, names, also } => {
                let rows = rows.date("not_after", *not_after).date("clock", *clock);
                rows.list("names", names).also(also)
            }
            C::TlsCertNotYetValid { not_before, clock, names, also } => {
                let rows = rows.date("not_before", *not_before).date("clock", *clock);
                rows.list("names", names).also(also)
            }
            C::TlsCertWrongHost { expected, presented, also } => {
                rows.text("expected", expected).list("presented", presented).also(also)
            }
            C::TlsCertSelfSigned { subject, also } => rows.text("subject", subject).also(also),
            C::TlsCertUnknownIssuer { issuer, also } => rows.text("issuer", issuer).also(also),
            C::TlsCertUnusable { reason, detail, also } => {
                rows.text("reason", reason.into()).text("detail", detail).also(also)
            }
            C::TlsIncompatible { what, detail } => {
                rows.text("what", what.into()).text("detail", detail)
            }
            C::TlsBrokenAfterHandshake { detail } => rows.text("detail", detail),
            C::TlsAlertReceived { alert, name } | C::ClientCertRequired { alert, name } => {
                rows.put("alert", alert).text("name", name).meaning(*alert)
            }
            C::TlsClosedInHandshake { bytes_received, reset }
            | C::ClosedMidHeaders { bytes_received, reset } => {
                rows.put("bytes_received", bytes_received).put("reset", reset)
            }
            C::TlsHandshakeTimeout { waited, bytes_received }
            | C::HeaderStallTimeout { waited, bytes_received } => {
                rows.time("waited", *waited).put("bytes_received", bytes_received)
            }

            C::LocalStorageFailed { errno } => rows.errno(*errno),
            C::RequestWriteFailed { errno, bytes_sent } => {
                rows.errno(*errno).put("bytes_sent", bytes_sent)
            }
            C::RequestWriteTimeout { waited, bytes_sent } => {
                rows.time("waited", *waited).put("bytes_sent", bytes_sent)
            }
            C::StaleKeepalive { idle, served } => rows.time("idle", *idle).put("served", served),
            C::FirstByteTimeout { waited, port } => rows.time("waited", *waited).port(*port),
            C::RequestHeaderTimeout { waited } | C::RequestBodyTimeout { waited } => {
                rows.time("waited", *waited)
            }

            C::Http09Response { first_bytes } => rows.bytes("first_bytes", first_bytes),
            C::InvalidStatusLine { line, offset } => rows.bytes("line", line).put("offset", offset),
            C::InvalidHeader { fault, line, offset } => {
                rows.text("fault", fault.into()).bytes("line", line).put("offset", offset)
            }
            C::HeaderSectionTooLarge { limit_bytes, largest } => {
                rows.put("limit_bytes", limit_bytes).sizes("largest", largest)
            }
            C::TooManyHeaders { limit, largest } => {
                rows.put("limit", limit).sizes("largest", largest)
            }
            C::AmbiguousFraming { fault } => rows.text("fault", fault.into()),
            C::TooManyInterimResponses { limit } | C::TooManyClientConnections { limit } => {
                rows.put("limit", limit)
            }
            C::UpgradeFailed { fault } => rows.upgrade(fault),

            C::BodyClosedShort { received_bytes, declared_bytes } => {
                rows.put("received_bytes", received_bytes).known("declared_bytes", *declared_bytes)
            }
            C::ChunkedTruncated { received_bytes } => rows.put("received_bytes", received_bytes),
            C::TrailerSectionTooLarge { received_bytes, limit_bytes } => {
                rows.put("received_bytes", received_bytes).put("limit_bytes", limit_bytes)
            }
            C::InvalidTrailer { received_bytes, line } | C::BadChunk { received_bytes, line } => {
                rows.put("received_bytes", received_bytes).bytes("line", line)
            }
            C::BodyReset { received_bytes, errno } => {
                rows.put("received_bytes", received_bytes).errno(Some(*errno))
            }
            C::BodyStallTimeout { received_bytes, waited } => {
                rows.put("received_bytes", received_bytes).time("waited", *waited)
            }

            C::H2Goaway { code, debug, last_stream, stream } => {
                let rows = rows.h2_code(*code).bytes("debug", debug);
                rows.put("last_stream", last_stream).known("stream", stream.map(u64::from))
            }
            C::H2StreamReset { code, received_bytes } => {
                rows.h2_code(*code).put("received_bytes", received_bytes)
            }
            C::H2ProtocolError { fault, received_bytes } => {
                let rows = rows.text("fault", fault.into());
                let rows = match fault {
                    H2Fault::Frames { code } => rows.h2_code(*code),
                    H2Fault::PingTimeout { waited } => rows.time("waited", *waited),
                };
                rows.put("received_bytes", received_bytes)
            }

            C::FcgiPeerNotFastcgi { protocol, first_bytes } => {
                rows.text("protocol", protocol.into()).bytes("first_bytes", first_bytes)
            }
            C::FcgiMalformedRecord { fault } => rows.text("fault", fault.into()),
            C::FcgiRejected { reason, app_status } => {
                rows.text("reason", reason.into()).put("app_status", app_status)
            }
            C::FcgiBadCgiHeaders { fault, line, stderr } => {
                rows.text("fault", fault.into()).bytes("line", line).said("stderr", stderr)
            }
            C::FcgiNoOutput { app_status, stderr } => {
                rows.put("app_status", app_status).said("stderr", stderr)
            }
            C::FcgiScriptNotFound { filename, root, stderr } => rows
                .text("filename", filename)
                .text("root", &root.to_string_lossy())
                .said("stderr", stderr),
            C::FcgiScriptForbidden { filename, reason, stderr } => {
                rows.text("filename", filename).text("reason", reason.into()).said("stderr", stderr)
            }
            C::FcgiConnectionDropped { reset, after } | C::HttpToFastcgiPort { reset, after } => {
                rows.put("reset", reset).time("after", *after)
            }
            C::FcgiWorkerDied { reset, after, stderr } => {
                rows.put("reset", reset).time("after", *after).said("stderr", stderr)
            }
            C::FcgiWorkerDiedMidResponse { reset, after, received_bytes, stderr } => rows
                .put("reset", reset)
                .time("after", *after)
                .put("received_bytes", received_bytes)
                .said("stderr", stderr),
            C::FcgiTimeLimitKill { after, before } => {
                rows.time("after", *after).time("before", *before)
            }
            C::FcgiPoolSaturated { waited, pending, backlog, in_flight } => rows
                .time("waited", *waited)
                .put("pending", pending)
                .put("backlog", backlog)
                .put("in_flight", in_flight),
            C::PhpFatalError { message }
            | C::PhpExecutionTimeout { message }
            | C::PhpOutOfMemory { message }
            | C::HelperServicesDown { message } => rows.said("message", message),

            C::UpstreamErrorStatus { hop, received_status, said }
            | C::UpstreamLoop { hop, received_status, said } => {
                rows.hop(*hop, *received_status).said("said", said)
            }
            C::UpstreamGatewayError { hop, failed, received_status, said } => {
                rows.hop(*hop, *received_status).text("failed", failed.into()).said("said", said)
            }
            C::UpstreamUnavailable { hop, received_status, retry_after, said } => rows
                .hop(*hop, *received_status)
                .said("retry_after", retry_after.as_deref().unwrap_or_default())
                .said("said", said),
            C::RedirectLoop { received_status, location } => {
                rows.put("received_status", received_status).text("location", location)
            }
            C::RequestHeaderRefused { hop, received_status, cookie_bytes } => {
                rows.hop(*hop, *received_status).put("cookie_bytes", cookie_bytes)
            }

            C::FileLinkRefused { errno } | C::FileUnreadable { errno } => rows.errno(Some(*errno)),
            C::MethodNotAllowed { allowed } => rows.text("allowed", allowed),

            C::DestinationProhibited { address, reason } => {
                rows.put("address", address).text("reason", reason.into())
            }
            C::LoopDetected { via } => rows.text("via", via),
            C::QueueFull { limit, waited } => rows.put("limit", limit).time("waited", *waited),
            C::NoHealthyUpstream { servers } => rows.servers(servers),
            C::Maintenance { until, file } => {
                let rows = rows.date("until", *until);
                match file {
                    Some(file) => rows.text("file", &file.to_string_lossy()),
                    None => rows,
                }
            }
            C::NoUpstreamConfigured { host } => rows.text("host", host),
            C::RequestInvalid { fault } => rows.text("fault", fault.into()),
            C::RequestHeaderTooLarge { limit_bytes } => rows.put("limit_bytes", limit_bytes),
            C::RequestBodyTooLarge { limit_bytes } => rows.put("limit_bytes", limit_bytes),
            C::ClosedBeforeResponse
            | C::PlainHttpToTlsPort
            | C::ProxyProtocolExpected
            | C::H2RefusedStream
            | C::FileNotFound
            | C::FileDenied
            | C::NothingConfigured
            | C::ProxyInternalError
            | C::ClientGone => rows,
        };
        rows.0
    }
}

/// The rows of one cause while they are collected.
struct Rows(Vec<(&'static str, String)>);

impl Rows {
    /// Adds a value whose `Display` is printable and short by its type: numbers, flags, addresses.
    fn put(mut self, key: &'static str, value: impl ToString) -> Rows {
        self.0.push((key, value.to_string()));
        self
    }

    fn text(self, key: &'static str, value: &str) -> Rows {
        self.put(key, visible(value))
    }

    /// Who says it, and with which status.
    fn hop(self, hop: Hop, received_status: u16) -> Rows {
        self.text("hop", hop.into()).put("received_status", received_status)
    }

    /// What an application said in lines of its own; left out when it said nothing.
    fn said(self, key: &'static str, lines: &str) -> Rows {
        match lines.trim() {
            "" => self,
            lines => self.put(key, abridged(lines)),
        }
    }

    fn path(self, path: &Path) -> Rows {
        self.text("path", &path.to_string_lossy())
    }

    fn bytes(self, key: &'static str, value: &[u8]) -> Rows {
        self.put(key, escaped(value))
    }

    fn time(self, key: &'static str, value: Duration) -> Rows {
        self.put(key, seconds(value))
    }

    fn date(self, key: &'static str, unix: Option<u64>) -> Rows {
        match unix {
            Some(unix) => self.put(key, rfc3339(unix)),
            None => self,
        }
    }

    fn errno(self, errno: Option<i32>) -> Rows {
        match errno {
            Some(errno) => self.put("errno", errno_name(errno)),
            None => self,
        }
    }

    /// Who was asked for a name, and what he said beside the rcode.
    fn h2_code(self, code: u32) -> Rows {
        match http2::code_name(code) {
            Some(name) => self.put("code", format!("{code} ({name})")),
            None => self.put("code", code),
        }
    }

    fn lookup(mut self, lookup: &Lookup) -> Rows {
        if let Some(resolver) = lookup.resolver {
            self = self.put("resolver", resolver);
        }
        if let Some(latency) = lookup.latency {
            self = self.time("answered_after", latency);
        }
        if let Some(alias) = &lookup.alias {
            self = self.text("alias_of", alias);
        }
        if lookup.strays > 0 {
            self = self.put("strays", lookup.strays);
        }
        if lookup.extended.is_empty() {
            return self;
        }
        let errors: Vec<_> = lookup.extended.iter().map(extended_error).collect();
        self = self.text("info_code", &errors.join("; "));
        match dns::points_to(lookup) {
            Some(points_to) => self.text("points_to", points_to.into()),
            None => self,
        }
    }

    /// What a device on the way said, and which.
    fn icmp(self, icmp: Option<&IcmpError>) -> Rows {
        let Some(icmp) = icmp else { return self };
        let (kind, code) = (icmp.kind, icmp.code);
        let message: &str = icmp.message.into();
        let rows = self.put("icmp", format!("{message} (type {kind}, code {code})"));
        let rows = rows.text("icmp_sender", icmp.sender.into());
        match icmp.from {
            Some(from) => rows.put("icmp_from", from),
            None => rows,
        }
    }

    /// An accept queue that is full.
    fn queue(self, queue: Option<Queue>) -> Rows {
        match queue {
            Some(Queue { pending, backlog }) => self
                .text("reason", "accept_queue_full")
                .put("pending", pending)
                .put("backlog", backlog),
            None => self.text("reason", "silence"),
        }
    }

    /// Whether a port takes connections, where it was asked.
    fn port(self, port: Option<Port>) -> Rows {
        match port {
            Some(port) => self.text("port_accepts", port.into()),
            None => self,
        }
    }

    /// Servers with their last failures.
    fn servers(self, servers: &[(String, Code, Duration)]) -> Rows {
        let shown = |(server, code, ago): &(String, Code, Duration)| {
            format!("{server}: {} {} ago", code.name(), seconds(*ago))
        };
        let shown: Vec<_> = servers.iter().map(shown).collect();
        self.list("servers", &shown)
    }

    fn known(self, key: &'static str, value: Option<u64>) -> Rows {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    fn list(self, key: &'static str, values: &[String]) -> Rows {
        self.text(
            key,
            &values.iter().take(LIST_ITEMS).map(String::as_str).collect::<Vec<_>>().join(", "),
        )
    }

    /// The other faults of a certificate; left out where there are none.
    fn also(self, faults: &[CertFault]) -> Rows {
        match faults {
            [] => self,
            faults => {
                let names: Vec<&str> = faults.iter().map(Into::into).collect();
                self.text("also", &names.join(", "))
            }
        }
    }

    /// What an alert says of us, where it says something definite.
    fn meaning(self, alert: u8) -> Rows {
        match alert_meaning(alert) {
            Some(meaning) => self.put("meaning", meaning),
            None => self,
        }
    }

    fn sizes(self, key: &'static str, values: &[(String, usize)]) -> Rows {
        let shown = values.iter().take(LIST_ITEMS);
        let items: Vec<_> = shown.map(|(name, size)| format!("{name} ({size} bytes)")).collect();
        self.text(key, &items.join(", "))
    }

    fn upgrade(self, fault: &UpgradeFault) -> Rows {
        match fault {
            UpgradeFault::Unasked => self.text("fault", "unasked"),
            UpgradeFault::WrongProtocol { asked, got } => {
                self.text("fault", "wrong_protocol").text("asked", asked).text("got", got)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_an_operator_writes_them() {
        let expired = Cause::TlsCertExpired {
            not_after: Some(0),
            clock: Some(86_400),
            names: vec!["a.example".into()],
            also: vec![CertFault::WrongHost, CertFault::WeakKey],
        };
        let rows = vec![
            ("not_after", "1970-01-01T00:00:00Z".to_owned()),
            ("clock", "1970-01-02T00:00:00Z".to_owned()),
            ("names", "a.example".to_owned()),
            ("also", "wrong_host, weak_key".to_owned()),
        ];
        assert_eq!(expired.evidence(), rows);
        // A line without a word is no row.
        assert_eq!(Cause::FcgiNoOutput { app_status: 0, stderr: "\n".into() }.evidence().len(), 1);
    }
}
