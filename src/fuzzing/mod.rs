//! What must hold of the parsers for any bytes at all: they end, they do not panic, and two readers
//! of the same bytes do not disagree. Called by the targets in `fuzz/` and by the tests; no part of
//! the program.
//!
//! Here stand the codecs, but for what is ours of HTTP/2, in `http2`, and `streams` has whole
//! connections of them; `clients` says who asks. `answers` holds the readers of what others say,
//! `host`, `logs` and `incidents` those of what stands on this host, `diagnosis` the way from any
//! failure to its page, with `failures` made of bytes by `source`; `nginx` the import of another
//! program's configuration. Each is fed with `fuzz/seeds` by `corpus`, a test.

mod answers;
mod clients;
mod diagnosis;
mod failures;
mod host;
mod http2;
mod incidents;
mod logs;
mod nginx;
mod source;
mod streams;

pub use answers::{extended_errors, received, said, sock_diag};
pub use clients::forwarded;
pub use diagnosis::{certificates, diagnosis, first_bytes};
pub use host::{host, pool_status, rtnetlink, settings};
pub use http2::{http2_fields, http2_frames};
pub use incidents::incidents;
pub use logs::{journal, log_line, masking};
pub use nginx::nginx;
pub use streams::{requests, responses};

use std::path::Path;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::config::{self, Limits};
use crate::files::path::SitePath;
use crate::files::{ranges, rules};
use crate::page::{language, negotiate};
use crate::server::chunks::ChunkScan;
use crate::server::gate;
use crate::server::proxy_header::{self, Extent};
use crate::upstream::fastcgi::cgi_head::{self, CgiHeadFault, CgiHeadReader};
use crate::upstream::fastcgi::params::{self, ParamFault, Params};
use crate::upstream::fastcgi::record;
use crate::upstream::http1::body::{Chunked, Piece};
use crate::upstream::http1::head;
use crate::upstream::{HeadFailure, HeaderLineFault};

/// The gate: what it lets pass has one reading. No bare CR or LF, no NUL, and httparse, which many
/// stand on, finds the same end.
pub fn request_head(bytes: &[u8]) {
    let _ = gate::inspect(bytes, |_, _| {});
    let Ok(Some(end)) = gate::end(bytes, 0) else { return };
    assert!(end <= bytes.len());
    let head = &bytes[..end];
    if gate::inspect(head, |_, _| {}).is_err() {
        return;
    }
    for (at, byte) in head.iter().enumerate() {
        match byte {
            b'\n' => assert_eq!(head[at - 1], b'\r', "a bare LF at {at}"),
            b'\r' => assert_eq!(head[at + 1], b'\n', "a bare CR at {at}"),
            b'\0' => panic!("a NUL at {at}"),
            1.. => {}
        }
    }
    let mut lines = [httparse::EMPTY_HEADER; gate::HEADER_COUNT_MAX];
    let parsed = httparse::Request::new(&mut lines).parse(head);
    assert_eq!(parsed, Ok(httparse::Status::Complete(end)));
}

/// The response head: ours and httparse's verdicts agree but for what we refuse on top, and what
/// goes on is what httparse read, without the fields of the hop.
pub fn response_head(bytes: &[u8]) {
    let _ = head::may_be_http(bytes);
    let _ = head::largest_lines(bytes);
    let _ = head::locate(bytes);
    let Some(end) = head::end(bytes, 0) else { return };
    assert!(end <= bytes.len());
    let bytes = Bytes::copy_from_slice(&bytes[..end]);
    let mut lines = [httparse::EMPTY_HEADER; head::HEADER_COUNT_MAX];
    let mut other = httparse::Response::new(&mut lines);
    let accepted = matches!(other.parse(&bytes), Ok(httparse::Status::Complete(_)));
    let ours = match head::parse(&bytes, head::HEADER_COUNT_MAX) {
        Ok(ours) => ours,
        Err(HeadFailure::StatusLine { offset } | HeadFailure::Header { offset, .. }) => {
            assert!(offset <= bytes.len());
            let nameable = other.code.is_some_and(|code| StatusCode::from_u16(code).is_ok());
            assert!(!accepted || !nameable || !all_fit(other.headers), "refused alone");
            return;
        }
        // The limit and the framing are ours to judge.
        Err(_) => return,
    };
    assert!(accepted, "taken alone");
    assert_eq!(other.code, Some(ours.status.as_u16()));
    for (name, value) in &ours.headers {
        let same = |line: &&httparse::Header<'_>| {
            line.name.eq_ignore_ascii_case(name.as_str()) && line.value == value.as_bytes()
        };
        assert!(other.headers.iter().any(|line| same(&line)), "{name} came from nowhere");
    }
    let _ = (ours.keeps_alive(), head::framing(&ours, &Method::GET));
}

/// Whether `http` has room for every name and value that httparse took.
fn all_fit(lines: &[httparse::Header<'_>]) -> bool {
    lines.iter().all(|line| {
        HeaderName::from_bytes(line.name.as_bytes()).is_ok()
            && HeaderValue::from_bytes(line.value).is_ok()
    })
}

/// A header line that nothing is wrong with is one that httparse takes.
pub fn header_line(line: &[u8]) {
    let fault = head::header_line_fault(line);
    if let Some((kind, at)) = &fault {
        assert!(*at <= line.len());
        assert!(*kind != HeaderLineFault::Nul || line[*at] == 0);
    }
    if line.is_empty() || line.contains(&b'\n') {
        return;
    }
    let section = [line, b"\r\n\r\n"].concat();
    let mut lines = [httparse::EMPTY_HEADER; 2];
    let accepted = httparse::parse_headers(&section, &mut lines).is_ok();
    assert_eq!(fault.is_none(), accepted, "{:?}: {fault:?}", line.escape_ascii().to_string());
}

/// Chunked, both ways: the same verdict in one piece and byte by byte, no more data than bytes, and
/// the reader of requests and the reader of responses see the same end.
pub fn chunked(bytes: &[u8]) {
    let request = ChunkScan::new().scanned(bytes);
    let mut slow = ChunkScan::new();
    let slow_end = bytes.chunks(1).try_fold(0, |end, byte| Ok(end + slow.scan(byte)?));
    let slow_end = slow_end.map(|end| (end, slow.is_done()));
    assert_eq!(request, slow_end, "in one piece, and byte by byte");

    let response = decoded([bytes].into_iter());
    assert_eq!(response, decoded(bytes.chunks(1)), "in one piece, and byte by byte");
    if let (Ok((request_end, true)), Some((data, response_end))) = (request, response) {
        assert_eq!(request_end, response_end, "two readers, two ends");
        assert!(data < request_end);
    }
}

/// The bytes of data, and where the body ended; nothing while it has not, or when it is malformed.
fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(usize, usize)> {
    let (mut state, mut buffer) = (Chunked::Size, BytesMut::new());
    let (mut fed, mut data, mut end) = (0, 0, None);
    for piece in pieces {
        fed += piece.len();
        buffer.extend_from_slice(piece);
        while end.is_none() {
            match state.decode(&mut buffer).ok()? {
                Piece::Data(bytes) => data += bytes.len(),
                Piece::Trailers(_) | Piece::End => end = Some((data, fed - buffer.len())),
                Piece::More => break,
            }
        }
    }
    end
}

impl ChunkScan {
    fn scanned(mut self, bytes: &[u8]) -> Result<(usize, bool), crate::diagnose::RequestFault> {
        let end = self.scan(bytes)?;
        Ok((end, self.is_done()))
    }
}

/// FastCGI records: in one piece, byte by byte and in sevens they are the same answer or the same
/// fault, and no more is handed out than came.
pub fn fastcgi_records(bytes: &[u8]) {
    let whole = record::read_all([bytes]);
    assert_eq!(whole, record::read_all(bytes.chunks(1)), "in one piece, and byte by byte");
    assert_eq!(whole, record::read_all(bytes.chunks(7)), "in one piece, and in sevens");
    assert!(whole.stdout.len() + whole.stderr.len() + whole.left.len() <= bytes.len());
    assert!(whole.end.is_none() || whole.fault.is_none());
}

/// FastCGI parameters: what is written comes back, each pair whole in one record, and of fields
/// only names that cannot be taken for others.
pub fn fastcgi_params(mut bytes: &[u8]) {
    let (mut out, mut fields_out) = (Vec::new(), Vec::new());
    let mut params = Params::new(&mut out);
    let (mut pairs, mut headers) = (Vec::new(), HeaderMap::new());
    while let [name, value, times, rest @ ..] = bytes {
        let (name, rest) = rest.split_at(rest.len().min(usize::from(*name)));
        let (value, rest) = rest.split_at(rest.len().min(usize::from(*value)));
        bytes = rest;
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
        // Values beyond what a record holds have to come from short inputs too.
        let value = value.repeat(usize::from(*times) * 2);
        match params.push_joined(name, &[&value, b"", name]) {
            Ok(()) => pairs.push((name.to_vec(), [&value, name].concat())),
            Err(ParamFault::Nul { .. }) => assert!(name.contains(&0) || value.contains(&0)),
            Err(ParamFault::TooLarge { .. }) => assert!(2 * name.len() + value.len() > 65_000),
            Err(ParamFault::Twin { .. }) => panic!("no fields were written"),
        }
    }
    params.finish();
    assert_eq!(params::decoded(&out), pairs);

    let mut fields = Params::new(&mut fields_out);
    if let Err(fault) = fields.push_fields(&headers, |name| name != "cookie") {
        assert!(matches!(fault, ParamFault::Twin { .. }) && headers.len() > 1);
        return;
    }
    fields.finish();
    let mut names: Vec<_> =
        params::decoded(&fields_out).into_iter().map(|(name, _)| name).collect();
    let (count, known) = (names.len(), ["HTTP_PROXY", "HTTP_COOKIE", "HTTP_CONTENT_LENGTH"]);
    assert!(names.iter().all(|name| name.starts_with(b"HTTP_")));
    assert!(!names.iter().any(|name| known.iter().any(|known| name == known.as_bytes())));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two fields became one variable");
}

/// The head of a CGI response: the same however it is split, its body untouched; what we take,
/// httparse takes.
pub fn cgi_head(bytes: &[u8]) {
    for (header_section_bytes, header_count) in [(64, 4), (4096, 128)] {
        let limits = Limits { header_section_bytes, header_count, ..Limits::default() };
        let read = |size| {
            let pieces = bytes.chunks(size);
            let read = cgi_head::read_all(CgiHeadReader::new(&limits), pieces)?;
            Ok::<_, CgiHeadFault>(read.map(|(head, body)| (head.status, head.headers, body)))
        };
        let whole = read(bytes.len().max(1));
        assert_eq!(whole, read(1), "in one piece, and byte by byte");
        assert_eq!(whole, read(7), "in one piece, and in sevens");
        let Ok(Some((status, fields, body))) = whole else { continue };
        assert!(bytes.ends_with(&body) && !status.is_informational());
        let head = &bytes[..bytes.len() - body.len()];
        assert!(head.len() <= header_section_bytes && fields.len() <= header_count);
        let mut lines = [httparse::EMPTY_HEADER; 128];
        let line = if head.starts_with(b"HTTP/") { memchr::memchr(b'\n', head) } else { None };
        let fields_at = line.map_or(0, |newline| newline + 1);
        let other = httparse::parse_headers(&head[fields_at..], &mut lines);
        let Ok(httparse::Status::Complete((end, lines))) = other else { panic!("taken alone") };
        assert_eq!(fields_at + end, head.len());
        for (name, value) in &fields {
            let same = |line: &&httparse::Header<'_>| {
                line.name.eq_ignore_ascii_case(name.as_str()) && line.value == value.as_bytes()
            };
            assert!(lines.iter().any(|line| same(&line)), "{name} came from nowhere");
            let hop = ["status", "connection", "transfer-encoding", "keep-alive", "upgrade"];
            assert!(!hop.contains(&name.as_str()));
        }
    }
}

/// The header of the PROXY protocol: each beginning of the bytes says what all of them say, and a
/// header that is whole is read, or refused, as a whole.
pub fn proxy_header(bytes: &[u8]) {
    let whole = proxy_header::extent(bytes);
    let decided = (0..bytes.len()).map(|end| proxy_header::extent(&bytes[..end]));
    let first = decided.clone().find(|extent| *extent != Ok(Extent::Beyond));
    assert!(first.is_none_or(|first| first == whole), "{first:?}, and then {whole:?}");
    let Ok(Extent::To(end)) = whole else { return };
    assert!(end > 0 && end <= bytes.len().min(proxy_header::V2_MAX));
    assert_eq!(decided.take(end).find(|extent| *extent != Ok(Extent::Beyond)), None);
    let _ = proxy_header::read(&bytes[..end]);
}

/// Accept: any value gets a format, and the same one each time.
pub fn accept(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(ACCEPT, value);
        }
    }
    assert_eq!(negotiate(&headers), negotiate(&headers));
}

/// Accept-Language: any value gets one of the languages that are offered.
pub fn accept_language(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(ACCEPT_LANGUAGE, value);
        }
    }
    let offered = ["en", "ru", "zh", "zh-TW", "pt-BR"].map(Box::<str>::from);
    for count in 1..=offered.len() {
        assert!(language::choose(&headers, &offered[..count]) < count);
    }
}

/// The configuration: any text gives a configuration, or problems that can all be shown.
pub fn configuration(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    match config::parse(source, Path::new("fuzz.toml")) {
        Ok(config) => assert!(!config.listeners.is_empty()),
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(!problems.to_string().is_empty());
            assert_eq!(problems.rows().len(), problems.list().count());
        }
    }
}

/// A path of a site: whatever it was, it lies below the root, name by name, and the parts that a
/// script would get make up the whole.
pub fn site_path(bytes: &[u8]) {
    let Ok(path) = SitePath::read(bytes) else { return };
    let names = path.names();
    assert!(names.len() < bytes.len());
    let bad = |name: &[u8]| matches!(name, b"" | b"." | b"..");
    assert!(names.is_empty() || !names.split(|&byte| byte == b'/').any(bad), "{names:?}");
    assert!(!names.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\'));
    assert!(path.is_folder() || !names.is_empty());
    let again = SitePath::read(path.folder_address().as_bytes());
    assert_eq!(
        again.map(|again| (again.names().to_owned(), again.is_folder())),
        Ok((names.to_owned(), true))
    );
    let whole = path.rest(0);
    let mut last = 0;
    for end in path.script_ends() {
        assert!(end > last && names[..end].ends_with(b".php"));
        assert_eq!([&names[..end], &path.rest(end)].concat(), whole);
        assert!(path.rest(end).is_empty() || path.rest(end)[0] == b'/');
        last = end;
    }
    let files = config::Files::new("/srv".into());
    assert_eq!(rules::denial(&files, names), rules::denial(&files, names));
}

/// Range: parts are not empty, inside the file and apart, and so never more than the file.
pub fn byte_ranges(bytes: &[u8]) {
    let Some((size, value)) = bytes.split_first_chunk() else { return };
    let size = u64::from(u16::from_le_bytes(*size));
    for size in [size, size.saturating_mul(u64::MAX / 0xffff)] {
        let ranges::Asked::Parts(parts) = ranges::asked(value, size) else { continue };
        assert!(!parts.is_empty() && parts.len() <= 16);
        for (at, part) in parts.iter().enumerate() {
            assert!(part.start < part.end && part.end <= size);
            assert!(parts[..at].iter().all(|o| o.end <= part.start || part.end <= o.start));
        }
    }
}

#[cfg(test)]
mod answers_beside_hyper;
#[cfg(test)]
mod beside_hyper;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
