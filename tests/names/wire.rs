//! DNS messages, byte by byte (RFC 1035 section 4): as a client asks, and a server of the tests' own
//! that answers by the name, rightly or wrongly.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// An OPT record without options: root, type 41, 1232 bytes (RFC 6891 section 6.1.2).
const OPT: [u8; 9] = *b"\0\0\x29\x04\xd0\0\0\0\0";

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const NOTIMP: u8 = 4;

/// The SOA of the question's zone: ns. root. and five numbers (RFC 1035 section 3.3.13).
const SOA: &[u8] = b"\xc0\x0c\0\x06\0\x01\0\0\0\x01\0\x1e\x02ns\0\x04root\0\
    \0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01";
/// A name server in place of an answer.
const NS: &[u8] = b"\xc0\x0c\0\x02\0\x01\0\0\0\x01\0\x04\x02ns\0";
/// The question's name is an alias of `away.test`.
const CNAME: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x01\0\x0b\x04away\x04test\0";
const ADDRESS: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x7f\0\0\x01";

/// A question for an IPv4 address, with EDNS.
pub fn query(name: &str) -> Vec<u8> {
    let mut bytes = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01".to_vec();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.extend(b"\0\0\x01\0\x01");
    bytes.extend(OPT);
    bytes.extend(b"\0\0");
    bytes
}

/// The end of an answer: an address and an OPT record without options.
pub fn with_opt(address: &[u8]) -> Vec<u8> {
    [address, &OPT, b"\0\0"].concat()
}

/// Answers on a port of 127.0.0.1 for as long as the test runs.
pub fn server() -> u16 {
    let socket = UdpSocket::bind(("127.0.0.1", super::free_port())).expect("a free port");
    let port = socket.local_addr().expect("an address").port();
    let late = socket.try_clone().expect("a second handle");
    let (slow, answers) = mpsc::channel::<(Vec<u8>, SocketAddr)>();
    thread::spawn(move || {
        // One after another, each as late as a resolver that has to ask others.
        while let Ok((answer, from)) = answers.recv() {
            thread::sleep(Duration::from_millis(150));
            let _ = late.send_to(&answer, from);
        }
    });
    thread::spawn(move || {
        let mut query = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let (name, answers) = answer(&query[..length]);
            for answer in answers {
                match name.starts_with("slow") {
                    true => slow.send((answer, from)).expect("the other thread lives"),
                    false => drop(socket.send_to(&answer, from)),
                }
            }
        }
    });
    port
}

/// The name asked for, and the datagrams that answer it.
fn answer(query: &[u8]) -> (String, Vec<Vec<u8>>) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let label = &query[at + 1..][..usize::from(query[at])];
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += 1 + label.len();
    }
    let question = &query[12..at + 5];
    let ipv4 = query[at + 1..at + 3] == [0, 1];
    let id = &query[..2];
    let plain = |flags: [u8; 2], answers: &[u8], authority: &[u8], options: &[u8]| {
        let counts =
            [0, 1, 0, u8::from(!answers.is_empty()), 0, u8::from(!authority.is_empty()), 0, 1];
        let length = u16::try_from(options.len()).expect("short options").to_be_bytes();
        [id, &flags, &counts, question, answers, authority, &OPT, &length, options].concat()
    };
    let rcode = |rcode: u8, options: &[u8]| plain([0x81, 0x80 | rcode], b"", b"", options);
    let empty = |rcode: u8, authority: &[u8]| plain([0x81, 0x80 | rcode], b"", authority, b"");
    let answers = match labels[0].as_str() {
        "ede6" => vec![rcode(SERVFAIL, b"\0\x0f\0\x02\0\x06")],
        "ede7" => vec![rcode(SERVFAIL, b"\0\x0f\0\x0a\0\x07two days")],
        "ede9" => vec![rcode(SERVFAIL, b"\0\x0f\0\x02\0\x09\0\x0f\0\x02\0\x16")],
        "ede22" => vec![rcode(SERVFAIL, b"\0\x0f\0\x06\0\x16lame")],
        "ede23" => vec![rcode(SERVFAIL, b"\0\x0f\0\x02\0\x17")],
        "ede17" => vec![rcode(NXDOMAIN, b"\0\x0f\0\x02\0\x11")],
        "servfail" => vec![rcode(SERVFAIL, b"")],
        "notimp" => vec![rcode(NOTIMP, b"")],
        "empty" => vec![empty(0, SOA)],
        "referral" => vec![empty(0, NS)],
        "alias" => vec![plain([0x81, 0x80], CNAME, b"", b"")],
        "away" => vec![empty(NXDOMAIN, SOA)],
        // Its header alone.
        "garbled" => vec![[id, b"\x81\x80\0\x01\0\x01\0\0\0\0"].concat()],
        "cut" => vec![plain([0x83, 0x80], b"", b"", b"")],
        "wrongid" => vec![[&[!query[0]], &rcode(0, b"")[1..]].concat()],
        "noise" => vec![b"!".to_vec(), vec![0xff; 300]],
        "silent" => vec![],
        _ if ipv4 => vec![plain([0x81, 0x80], ADDRESS, b"", b"")],
        _ => vec![empty(0, b"")],
    };
    (labels.join("."), answers)
}
