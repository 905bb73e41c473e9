//! The protocol behind the first bytes of an answer, by what each server says first. Pure.
//!
//! One table, a sample a row. A row is a fact about bytes, so a match is certain; what matches
//! nothing is `None`. Beside it what TLS alerts are called
//! and mean.

use super::faults::Protocol;

/// Whether these bytes begin a TLS record (RFC 8446 section 5.1): content type 20 to 24, version
/// 3.x.
pub fn is_tls_record(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x18, 3, ..] | [0x14..=0x18])
}

/// Whether these bytes are a TLS alert: what a TLS server answers to a plain request.
pub fn is_tls_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15, 3, 0..=4, 0, 2, 1 | 2, ..])
}

/// Names the protocol, where the bytes name one.
pub fn protocol(bytes: &[u8]) -> Option<Protocol> {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    let has = |part: &[u8]| memchr::memmem::find(bytes, part).is_some();
    Some(match bytes {
        _ if starts(b"HTTP/") => Protocol::Http,
        _ if is_tls_record(bytes) && bytes.len() > 1 => Protocol::Tls,
        // A SETTINGS (4) or GOAWAY (7) frame on stream 0 (RFC 9113 section 4.1).
        [0, 0, _, 4 | 7, _, 0, 0, 0, 0, ..] => Protocol::Http2,
        // END_REQUEST, STDOUT, STDERR or UNKNOWN_TYPE, version 1 (FastCGI section 3.3).
        [1, 3 | 6 | 7 | 11, ..] => Protocol::FastCgi,
        _ if starts(b"SSH-") => Protocol::Ssh,
        // A handshake packet of protocol 10, or the refusal of a host (MySQL client/server
        // protocol).
        [_, _, 0, 0, 10, ..] if has(b"mysql_") || has(b"caching_sha2") || has(b"MariaDB") => {
            Protocol::Mysql
        }
        [_, _, 0, 0, 10, b'0'..=b'9', ..] | [_, _, 0, 0, 0xff, ..] => Protocol::Mysql,
        _ if starts(b"-ERR") || starts(b"-DENIED") || starts(b"-NOAUTH") || starts(b"+PONG") => {
            Protocol::Redis
        }
        _ if starts(b"220") && (has(b"FTP") || has(b"FileZilla")) => Protocol::Ftp,
        _ if starts(b"220 ") || starts(b"220-") || starts(b"554 ") => Protocol::Smtp,
        _ if starts(b"+OK") => Protocol::Pop3,
        _ if starts(b"* OK") => Protocol::Imap,
        _ if starts(b"ERROR\r\n") => Protocol::Memcached,
        _ if has(b"MongoDB over HTTP") => Protocol::Mongodb,
        _ if starts(b"AMQP") => Protocol::Amqp,
        _ if starts(b"RFB 00") => Protocol::Vnc,
        [0xff, 0xfb..=0xfe, ..] => Protocol::Telnet,
        [b'E', 0, 0, 0, ..] => Protocol::Postgres,
        _ if starts(b"OK MPD") => Protocol::Mpd,
        _ if starts(b"This is not an HTTP port") => Protocol::Elasticsearch,
        _ if starts_ignore_case(bytes, b"status:")
            || starts_ignore_case(bytes, b"content-type:") =>
        {
            Protocol::Cgi
        }
        _ if is_html(bytes) => Protocol::Html,
        _ => return None,
    })
}

fn is_html(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    [b"<html".as_slice(), b"<!doctype", b"<?xml", b"<head", b"<body"]
        .iter()
        .any(|tag| starts_ignore_case(bytes, tag))
}

fn starts_ignore_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.len() >= prefix.len() && bytes[..prefix.len()].eq_ignore_ascii_case(prefix)
}

/// Bodies of a 400 by which TLS servers answer a plain HTTP request: nginx, Apache, Go, Tomcat.
const PLAIN_TO_TLS: [&[u8]; 4] = [
    b"The plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL-enabled server port",
    b"Client sent an HTTP request to an HTTPS server",
    b"This combination of host and port requires TLS",
];

/// Whether the body of a 400 says that its port speaks TLS.
pub fn says_port_is_tls(body: &[u8]) -> bool {
    PLAIN_TO_TLS.iter().any(|text| memchr::memmem::find(body, text).is_some())
}

/// The description of an alert in IANA's registry; our own, since the peer sends the number alone.
pub fn alert_name(alert: u8) -> Option<&'static str> {
    Some(match alert {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return None,
    })
}

/// What a server means by an alert (RFC 8446 section 6.2, RFC 5246 section 7.2.2).
pub(super) fn alert_meaning(alert: u8) -> Option<&'static str> {
    Some(match alert {
        40 => "the server finds nothing in common with us, or misses a certificate of ours",
        42..=46 | 48 | 49 => {
            "the server refuses the certificate that we sent, or that we sent none"
        }
        47 | 50 | 51 => "the server cannot make sense of what we sent",
        80 => "the server has trouble of its own",
        112 => "the server has no site under the name that we asked for",
        116 => "the server wants a certificate from us",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_is_known_by_its_first_bytes() {
        let samples: &[(&[u8], Option<Protocol>)] = &[
            (b"HTTP/1.1 400 Bad Request\r\n", Some(Protocol::Http)),
            (b"\x15\x03\x01\x00\x02\x02\x46", Some(Protocol::Tls)),
            (b"\x16\x03\x01\x02\x00\x01", Some(Protocol::Tls)),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", Some(Protocol::Http2)),
            (b"\x00\x00\x08\x07\x00\x00\x00\x00\x00", Some(Protocol::Http2)),
            (b"\x01\x03\x00\x01\x00\x08\x00\x00", Some(Protocol::FastCgi)),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", Some(Protocol::Ssh)),
            (b"\x4a\x00\x00\x00\x0a8.0.36\x00mysql_native_password", Some(Protocol::Mysql)),
            (b"\x45\x00\x00\x00\xff\x6a\x04Host 'x' is not allowed", Some(Protocol::Mysql)),
            (b"-ERR wrong number of arguments\r\n", Some(Protocol::Redis)),
            (b"220 mail.example ESMTP Postfix\r\n", Some(Protocol::Smtp)),
            (b"220 (vsFTPd 3.0.3)\r\n", Some(Protocol::Ftp)),
            (b"+OK POP3 ready\r\n", Some(Protocol::Pop3)),
            (b"* OK IMAP4rev1 ready\r\n", Some(Protocol::Imap)),
            (b"ERROR\r\nERROR\r\n", Some(Protocol::Memcached)),
            (b"AMQP\x00\x00\x09\x01", Some(Protocol::Amqp)),
            (b"RFB 003.008\n", Some(Protocol::Vnc)),
            (b"\xff\xfd\x18\xff\xfd\x20", Some(Protocol::Telnet)),
            (b"E\x00\x00\x00\x84SFATAL", Some(Protocol::Postgres)),
            (b"OK MPD 0.23.5\n", Some(Protocol::Mpd)),
            (b"This is not an HTTP port", Some(Protocol::Elasticsearch)),
            (b"Status: 200 OK\r\n", Some(Protocol::Cgi)),
            (b"Content-type: text/html\r\n", Some(Protocol::Cgi)),
            (b" <!DOCTYPE html>", Some(Protocol::Html)),
            (b"hello", None),
            (b"", None),
        ];
        for (bytes, expected) in samples {
            assert_eq!(protocol(bytes), *expected, "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn cut_anywhere_a_sample_never_panics() {
        let sample = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00";
        for cut in 0..sample.len() {
            let _ = protocol(&sample[..cut]);
        }
    }
}
