//! The response to a request for an open file: status, fields, and which of its bytes.
//!
//! Decides on the method, a compressed copy, conditions and ranges. Nothing waits here: the body
//! is read as it is sent, and what the kernel holds of its beginning is read at once.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, LAST_MODIFIED, RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};

use super::body::{FileBody, Part};
use super::conditions::{Validators, Verdict};
use super::encoding::{self, Coding};
use super::ranges::{self, Asked};
use super::root::{Opened, Root};
use super::{media, rules};

/// A response that is ready to be sent.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// Complete but for Date and what belongs to the connection.
    pub headers: HeaderMap,
    pub body: FileBody,
}

/// A file can only be fetched (405).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file takes no such method")]
pub struct MethodRefused;

/// The value of Allow, which belongs to that response (RFC 9110 §15.5.6).
pub const ALLOWED: &str = "GET, HEAD";

/// Answers a request for `opened`; `root` is where it lies, `now` the time of the response.
///
/// # Errors
/// The method is neither GET nor HEAD.
pub fn answer(
    root: &Root,
    method: &Method,
    headers: &HeaderMap,
    opened: Opened,
    now: SystemTime,
) -> Result<Answer, MethodRefused> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(MethodRefused);
    }
    let name = rules::last_name(&opened.path);
    let media = media::known(name).unwrap_or(media::UNKNOWN);
    let varies = media::is_compressible(media);
    let (opened, coding) = if varies { smaller(root, headers, opened) } else { (opened, None) };

    let suffix = coding.map_or("", Coding::tag_suffix);
    let validators = Validators::new(opened.size, opened.modified, opened.inode, suffix, now);
    let mut fields = HeaderMap::with_capacity(10);
    fields.insert(ETAG, value(&validators.etag));
    if varies {
        fields.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let ranges = match validators.weigh(headers) {
        Verdict::Send { ranges } => ranges,
        // RFC 9110 §15.4.5: the tag and Vary, and no more of what the client has already.
        Verdict::NotModified => return Ok(Answer::bare(StatusCode::NOT_MODIFIED, fields)),
        Verdict::Failed => return Ok(Answer::bare(StatusCode::PRECONDITION_FAILED, fields)),
    };
    fields.insert(LAST_MODIFIED, value(&httpdate::fmt_http_date(validators.modified)));
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // What a visitor has uploaded is what its extension says, and no page in the site's name.
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(coding) = coding {
        fields.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    // RFC 9110 §14.2: Range is defined for GET alone.
    let asked = match ranges && *method == Method::GET {
        true => asked(headers, opened.size),
        false => Asked::Whole,
    };
    let mut answer = send(opened, media, fields, asked, now);
    if *method == Method::HEAD {
        answer.body = FileBody::empty();
    }
    answer.body.begin();
    Ok(answer)
}

impl Answer {
    fn bare(status: StatusCode, headers: HeaderMap) -> Answer {
        Answer { status, headers, body: FileBody::empty() }
    }
}

/// The file's compressed copy, if the client takes one and one lies there that is as new.
fn smaller(root: &Root, headers: &HeaderMap, opened: Opened) -> (Opened, Option<Coding>) {
    for coding in encoding::wanted(headers) {
        let path = [opened.path.as_slice(), coding.extension().as_bytes()].concat();
        let copy = root.open_beside(&path);
        if let Some(copy) = copy.filter(|copy| copy.modified >= opened.modified) {
            return (copy, Some(coding));
        }
    }
    (opened, None)
}

fn asked(headers: &HeaderMap, size: u64) -> Asked {
    let mut values = headers.get_all(RANGE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => ranges::asked(value.as_bytes(), size),
        // Range is no list field: two of them have no meaning (RFC 9110 §5.3).
        (None, _) | (Some(_), Some(_)) => Asked::Whole,
    }
}

/// The response with the bytes that are asked for; `fields` are those that all have in common.
fn send(
    opened: Opened,
    media: &'static str,
    mut fields: HeaderMap,
    asked: Asked,
    now: SystemTime,
) -> Answer {
    let size = opened.size;
    let mut content_type = HeaderValue::from_static(media);
    let (status, parts) = match asked {
        Asked::Whole => (StatusCode::OK, vec![Part::Range(0..size)]),
        Asked::Parts(parts) => {
            let parts = match <[Range<u64>; 1]>::try_from(parts) {
                Ok([part]) => {
                    fields.insert(CONTENT_RANGE, value(&content_range(&part, size)));
                    vec![Part::Range(part)]
                }
                Err(parts) => {
                    let boundary = boundary(now);
                    content_type = value(&format!("multipart/byteranges; boundary={boundary}"));
                    multipart(&parts, size, media, &boundary)
                }
            };
            (StatusCode::PARTIAL_CONTENT, parts)
        }
        Asked::Unsatisfiable => {
            fields.insert(CONTENT_RANGE, value(&format!("bytes */{size}")));
            fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            fields.remove(CONTENT_ENCODING);
            return Answer::bare(StatusCode::RANGE_NOT_SATISFIABLE, fields);
        }
    };
    let body = FileBody::new(opened.file, parts);
    fields.insert(CONTENT_TYPE, content_type);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.left()));
    Answer { status, headers: fields, body }
}

/// RFC 9110 §14.4, with an inclusive end.
fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end - 1)
}

/// RFC 9110 §14.6: each part with its own type and place.
fn multipart(parts: &[Range<u64>], size: u64, media: &str, boundary: &str) -> Vec<Part> {
    let mut body = Vec::with_capacity(parts.len() * 2 + 1);
    let mut line_end = "";
    for part in parts {
        let range = content_range(part, size);
        let fields = format!("Content-Type: {media}\r\nContent-Range: {range}\r\n");
        let head = format!("{line_end}--{boundary}\r\n{fields}\r\n");
        body.push(Part::Bytes(Bytes::from(head)));
        body.push(Part::Range(part.clone()));
        line_end = "\r\n";
    }
    body.push(Part::Bytes(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    body
}

/// A line that no file holds by accident (RFC 2046 §5.1.1).
fn boundary(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("causeway-{:032x}", since.as_nanos())
}

/// Tags, dates and ranges, all of our own making and in visible ASCII.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::future::poll_fn;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::config::Files;
    use crate::files::{Target, resolve};

    const CHANGED: u64 = 1_700_000_000;
    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    /// Files of a known age, a minute apart: those to be preferred are not the older ones.
    fn site() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content, minute) in [
            ("style.css", "0123456789", 0),
            ("style.css.gz", "gzipped", 0),
            ("style.css.br", "br", 1),
            ("old.js", "script", 1),
            ("old.js.gz", "older", 0),
            ("photo.jpg", "picture", 0),
            ("photo.jpg.gz", "never", 0),
            ("empty.txt", "", 0),
            ("README", "what", 0),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(CHANGED + minute * 60);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        folder
    }

    struct Seen {
        status: u16,
        headers: HeaderMap,
        body: String,
    }

    /// Asks for a file; fields are separated by `|`.
    fn ask(folder: &tempfile::TempDir, method: &Method, path: &str, fields: &str) -> Seen {
        let files = Files::new(folder.path().to_owned());
        let root = Root::new(&files);
        let Ok(Target::File(opened)) = resolve(&root, &files, path) else { panic!("{path}") };
        let mut headers = HeaderMap::new();
        for field in fields.split('|').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(": ").unwrap();
            headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let now = UNIX_EPOCH + Duration::from_secs(CHANGED + 3600);
        let Answer { status, headers, mut body } =
            answer(&root, method, &headers, opened, now).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(async {
            let mut bytes = Vec::new();
            while let Some(piece) = poll_fn(|cx| body.poll_piece(cx)).await {
                bytes.extend_from_slice(&piece.unwrap());
            }
            String::from_utf8(bytes).unwrap()
        });
        Seen { status: status.as_u16(), headers, body }
    }

    impl Seen {
        fn field(&self, name: &str) -> &str {
            self.headers.get(name).map_or("", |value| value.to_str().unwrap())
        }
    }

    fn get(folder: &tempfile::TempDir, path: &str, fields: &str) -> Seen {
        ask(folder, &Method::GET, path, fields)
    }

    #[test]
    fn a_whole_file() {
        let folder = site();
        let seen = get(&folder, "/style.css", "");
        assert_eq!((seen.status, seen.body.as_str()), (200, "0123456789"));
        for (name, expected) in [
            ("content-type", "text/css; charset=utf-8"),
            ("content-length", "10"),
            ("last-modified", DATE),
            ("accept-ranges", "bytes"),
            ("vary", "Accept-Encoding"),
            ("x-content-type-options", "nosniff"),
            ("content-encoding", ""),
            ("content-range", ""),
        ] {
            assert_eq!(seen.field(name), expected, "{name}");
        }
        let etag = seen.field("etag");
        assert!(etag.starts_with('"') && etag.ends_with("-a\""), "{etag}");

        let head = ask(&folder, &Method::HEAD, "/style.css", "range: bytes=0-1");
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.headers, seen.headers);
    }

    #[test]
    fn types() {
        let folder = site();
        let empty = get(&folder, "/empty.txt", "range: bytes=0-");
        assert_eq!((empty.status, empty.field("content-length")), (200, "0"));
        let unknown = get(&folder, "/README", "accept-encoding: gzip");
        assert_eq!(unknown.field("content-type"), "application/octet-stream");
        assert_eq!(unknown.field("vary"), "");
    }

    #[test]
    fn other_methods_are_refused() {
        let folder = site();
        let files = Files::new(folder.path().to_owned());
        let root = Root::new(&files);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            let Ok(Target::File(opened)) = resolve(&root, &files, "/README") else { panic!() };
            let refused = answer(&root, &method, &HeaderMap::new(), opened, SystemTime::now());
            assert_eq!(refused.err(), Some(MethodRefused));
        }
    }

    #[test]
    fn compressed_copies() {
        let folder = site();
        for (path, wanted, body, coding, vary) in [
            ("/style.css", "gzip, br", "br", "br", "Accept-Encoding"),
            ("/style.css", "gzip", "gzipped", "gzip", "Accept-Encoding"),
            ("/style.css", "br;q=0.1, gzip", "gzipped", "gzip", "Accept-Encoding"),
            ("/style.css", "zstd", "0123456789", "", "Accept-Encoding"),
            ("/old.js", "gzip, br", "script", "", "Accept-Encoding"),
            ("/photo.jpg", "gzip", "picture", "", ""),
        ] {
            let seen = get(&folder, path, &format!("accept-encoding: {wanted}"));
            assert_eq!((seen.status, seen.body.as_str()), (200, body), "{path} {wanted}");
            assert_eq!(seen.field("content-encoding"), coding);
            assert_eq!(seen.field("vary"), vary);
            assert_eq!(seen.field("content-length"), body.len().to_string());
        }
        let css = get(&folder, "/style.css", "accept-encoding: br");
        assert_eq!(css.field("content-type"), "text/css; charset=utf-8");
        assert!(css.field("etag").ends_with("-br\""), "{}", css.field("etag"));
        // Ranges are of what is sent.
        let part = get(&folder, "/style.css", "accept-encoding: gzip|range: bytes=4-");
        assert_eq!((part.status, part.body.as_str()), (206, "ped"));
        assert_eq!(part.field("content-range"), "bytes 4-6/7");
        assert_eq!(part.field("content-encoding"), "gzip");
    }

    #[test]
    fn conditions() {
        let folder = site();
        let etag = get(&folder, "/style.css", "").field("etag").to_owned();
        let same = get(&folder, "/style.css", &format!("if-none-match: {etag}"));
        assert_eq!((same.status, same.body.as_str()), (304, ""));
        assert_eq!((same.field("etag"), same.field("vary")), (etag.as_str(), "Accept-Encoding"));
        assert_eq!(same.headers.len(), 2);
        let head = ask(&folder, &Method::HEAD, "/style.css", &format!("if-none-match: {etag}"));
        assert_eq!((head.status, head.headers), (304, same.headers));

        for (fields, status) in [
            (format!("accept-encoding: br|if-none-match: {etag}"), 200),
            (format!("if-modified-since: {DATE}"), 304),
            ("if-match: \"other\"".to_owned(), 412),
            (format!("if-range: {etag}|range: bytes=0-1"), 206),
            ("if-range: \"other\"|range: bytes=0-1".to_owned(), 200),
            (format!("if-none-match: {etag}|range: bytes=0-1"), 304),
            ("if-range: \"other\"|range: bytes=99-".to_owned(), 200),
        ] {
            assert_eq!(get(&folder, "/style.css", &fields).status, status, "{fields}");
        }
    }

    #[test]
    fn ranges() {
        let folder = site();
        for (range, status, body, content_range) in [
            ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
            ("bytes=7-", 206, "789", "bytes 7-9/10"),
            ("bytes=-1", 206, "9", "bytes 9-9/10"),
            ("bytes=0-", 206, "0123456789", "bytes 0-9/10"),
            ("bytes=99-, 2-2", 206, "2", "bytes 2-2/10"),
            ("bytes=10-", 416, "", "bytes */10"),
            ("bytes=0-5,3-7", 200, "0123456789", ""),
            ("lines=1-2", 200, "0123456789", ""),
            ("bytes=0-1|range: bytes=2-3", 200, "0123456789", ""),
        ] {
            let seen = get(&folder, "/style.css", &format!("range: {range}"));
            assert_eq!((seen.status, seen.body.as_str()), (status, body), "{range}");
            assert_eq!(seen.field("content-range"), content_range, "{range}");
            assert_eq!(seen.field("content-length"), body.len().to_string(), "{range}");
        }
    }

    #[test]
    fn several_ranges_are_parts() {
        let folder = site();
        let seen = get(&folder, "/style.css", "range: bytes=8-,0-1");
        assert_eq!(seen.status, 206);
        let boundary = seen.field("content-type").strip_prefix("multipart/byteranges; boundary=");
        let boundary = boundary.unwrap();
        let part = |range: &str, data: &str| {
            let media = "text/css; charset=utf-8";
            format!(
                "--{boundary}\r\nContent-Type: {media}\r\nContent-Range: {range}\r\n\r\n{data}\r\n"
            )
        };
        let parts = part("bytes 8-9/10", "89") + &part("bytes 0-1/10", "01");
        assert_eq!(seen.body, format!("{parts}--{boundary}--\r\n"));
        assert_eq!(seen.field("content-length"), seen.body.len().to_string());
        assert_eq!(seen.field("content-range"), "");
    }

    /// A page that grows or shrinks between its head and its end is cut, not made to fit.
    #[test]
    fn the_length_is_that_of_the_moment_it_was_opened() {
        let folder = site();
        let files = Files::new(folder.path().to_owned());
        let root = Root::new(&files);
        let Ok(Target::File(opened)) = resolve(&root, &files, "/style.css") else { panic!() };
        std::fs::write(folder.path().join("style.css"), "0123456789 and more").unwrap();
        let grown = answer(&root, &Method::GET, &HeaderMap::new(), opened, SystemTime::now());
        assert_eq!(grown.unwrap().body.left(), 10);
    }
}
