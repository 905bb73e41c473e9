//! Heads of HTTP/1.1 answers, ours beside those that hyper's server writes for the same answer to
//! the same request, some hundred of them; and whether the connection is used again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::gate;
use crate::server::http1::answer::{self, Asked};
use crate::server::http1::request;

use super::beside_hyper::wait;

/// The classes of answers on which the two differ, and why ours is right for a gateway.
const KNOWN: &[(&str, &str)] = &[
    (
        "a length with 204",
        "Must not be told (RFC 9110 section 8.6); hyper writes one that the answer has.",
    ),
    (
        "a length with 304, or to HEAD",
        "The length that a GET would have had may be told (RFC 9110 section 8.6); hyper drops it, \
         or tells of the body that is not sent.",
    ),
    (
        "an end of the connection, to HTTP/1.0",
        "An answer that ends its connection says so, or in this version nothing (RFC 9112 section \
         9.3); hyper may say keep-alive beside it.",
    ),
];

/// An answer: status, the body's length where it is known, and fields.
#[derive(Debug, Clone, Copy)]
struct Given {
    status: u16,
    length: Option<u64>,
    fields: &'static [(&'static str, &'static str)],
}

/// A body of that many bytes.
struct Some5(Option<u64>, bool);

impl Body for Some5 {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = (!std::mem::replace(&mut self.1, true)).then(|| Bytes::from_static(b"hello"));
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.1
    }

    fn size_hint(&self) -> SizeHint {
        self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Given {
    fn response<B>(&self, body: B) -> Response<B> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.fields {
            response = response.header(*name, *value);
        }
        response.body(body).expect("an answer")
    }

    /// Where the two may differ.
    fn class(&self, request: &str) -> &'static str {
        let old = request.contains("HTTP/1.0");
        let has = |name| self.fields.iter().any(|(given, _)| *given == name);
        let silent = request.starts_with("HEAD") || self.status == 304;
        match self.length {
            _ if self.status == 204 && has("content-length") => "a length with 204",
            _ if old && (has("connection") || self.length.is_none()) => {
                "an end of the connection, to HTTP/1.0"
            }
            Some(_) if silent => "a length with 304, or to HEAD",
            Some(_) | None => "",
        }
    }
}

#[test]
fn heads_of_answers_are_written_as_hyper_writes_them() {
    let mut differences: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for given in answers() {
        for request in requests() {
            count += 1;
            let (ours, theirs) = (ours(&given, &request), wait(theirs(given, &request)));
            if ours != theirs {
                let shown = format!("{given:?} {request:?}\nours {ours:?}\nhyper's {theirs:?}");
                differences.entry(given.class(&request)).or_default().push(shown);
            }
        }
    }
    assert!(count > 300, "{count} answers");
    let unknown =
        differences.iter().find(|(class, _)| KNOWN.iter().all(|(known, _)| known != *class));
    if let Some((_, examples)) = unknown {
        panic!("{} differences without a reason: {}", examples.len(), examples[0]);
    }
    let gone: Vec<_> = KNOWN.iter().filter(|(class, _)| !differences.contains_key(class)).collect();
    assert!(gone.is_empty(), "reasons without a difference: {gone:?}");
}

fn answers() -> Vec<Given> {
    let mut answers = Vec::new();
    for status in [200, 204, 206, 301, 304, 404, 502] {
        let bodies: &[Option<u64>] = match status {
            204 => &[Some(0)],
            _ => &[Some(0), Some(5), None],
        };
        for &length in bodies {
            answers.push(Given { status, length, fields: &[] });
            answers.push(Given {
                status,
                length,
                fields: &[("connection", "close"), ("x-a", "1")],
            });
            if length == Some(5) || status == 204 {
                answers.push(Given { status, length, fields: &[("content-length", "5")] });
            }
            if length.is_none() {
                answers.push(Given { status, length, fields: &[("trailer", "x-sum")] });
            }
        }
    }
    answers
}

fn requests() -> Vec<String> {
    let mut requests = Vec::new();
    for method in ["GET", "HEAD", "POST"] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            for option in ["", "Connection: close\r\n", "Connection: keep-alive\r\n"] {
                requests.push(format!("{method} / {version}\r\nHost: a\r\n{option}\r\n"));
            }
        }
    }
    requests
}

/// The head's lines but for the date, sorted, and whether the connection is used again.
type Told = (Vec<String>, bool);

fn ours(given: &Given, request: &str) -> Told {
    let bytes = Bytes::copy_from_slice(request.as_bytes());
    let end = gate::end(&bytes, 0).expect("a sound head");
    assert_eq!(end, Some(bytes.len()));
    let head = request::read(&bytes).expect("a sound head");
    let old = head.parts.version == http::Version::HTTP_10;
    let asked = Asked::new(&head.parts.method, old, head.keeps_alive, head.takes_trailers);
    let (parts, ()) = given.response(()).into_parts();
    let mut written = Vec::new();
    let told = answer::write(&mut written, &parts, b"", given.length, asked, b"now");
    (lines(&String::from_utf8(written).expect("text")), told.keeps_alive)
}

async fn theirs(given: Given, request: &str) -> Told {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    // The second shows whether the connection is used again.
    far.write_all(format!("{request}{request}").as_bytes()).await.expect("there is room");
    let service = hyper::service::service_fn(move |_: Request<Incoming>| async move {
        Ok::<_, Infallible>(given.response(Some5(given.length, given.length == Some(0))))
    });
    let server = hyper::server::conn::http1::Builder::new();
    let mut heard = Vec::new();
    let connection = server.serve_connection(TokioIo::new(near), service);
    let mut buffer = [0; 4096];
    let mut connection = std::pin::pin!(connection);
    let mut over = false;
    // Everything is in memory: when nothing moves any more, all was said.
    for _ in 0..64 {
        std::future::poll_fn(|cx| {
            over = over || connection.as_mut().poll(cx).is_ready();
            Poll::Ready(())
        })
        .await;
        let read = tokio::select! {
            biased;
            read = far.read(&mut buffer) => read.unwrap_or(0),
            () = std::future::ready(()) => 0,
        };
        heard.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8(heard).expect("text");
    let (head, _) = text.split_once("\r\n\r\n").expect("an answer");
    (lines(head), text.matches("HTTP/1.").count() > 1)
}

fn lines(head: &str) -> Vec<String> {
    let lines = head.trim_end().split("\r\n");
    let mut lines: Vec<_> =
        lines.filter(|line| !line.starts_with("date: ")).map(str::to_owned).collect();
    lines.sort();
    lines
}
