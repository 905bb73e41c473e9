//! Parameters: a request's meta-variables (RFC 3875 section 4.1) laid out as name-value pairs
//! (FastCGI 1.0 section 3.4) in PARAMS records. Pure.
//!
//! Written once, into the buffer that is sent; which variables there are is the caller's business,
//! but for the rule that makes header fields into `HTTP_` ones. Section 3.4 lets a pair run over
//! the end of a record, PHP-FPM does not: `fcgi_read_request` in its `main/fastcgi.c` takes each
//! record apart by itself, and resets the connection without a word over a pair that does not end
//! in it (8.2 measured). So no pair here does, and a pair that no record can hold is refused. How
//! many records come is nobody's limit: a hundred of 60 kB are read like one.

use http::header::{self, GetAll, HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use super::record::{CONTENT_MAX, HEADER_LENGTH, Stream};

/// The longest length that is written in one byte.
const SHORT_MAX: usize = 0x7f;
/// Room for the variables of an ordinary request.
const USUAL_BYTES: usize = 2048;

/// What cannot go out as parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParamFault {
    /// One pair is larger than a record, or than PHP-FPM reads, which is the same.
    #[error("parameter {name} takes {size_bytes} bytes, more than {limit_bytes}")]
    TooLarge { name: String, size_bytes: usize, limit_bytes: usize },
    /// PHP reads parameters as C strings: it would see another value than we checked.
    #[error("parameter {name} contains NUL")]
    Nul { name: String },
    /// Two fields of the request become one variable.
    #[error("the fields {name} and {twin} become one variable")]
    Twin { name: HeaderName, twin: HeaderName },
}

/// The writer of one request's parameters. After a fault the buffer is not to be sent.
#[derive(Debug)]
#[must_use = "the last record has no length and the stream no end until `finish`"]
pub struct Params<'a> {
    out: &'a mut Vec<u8>,
    /// Where the header of the record that is being filled stands.
    record: usize,
}

impl<'a> Params<'a> {
    /// Begins the stream behind what the buffer holds.
    pub fn new(out: &'a mut Vec<u8>) -> Params<'a> {
        out.reserve(USUAL_BYTES);
        let mut params = Params { record: out.len(), out };
        params.begin_record();
        params
    }

    /// Writes a variable.
    ///
    /// # Errors
    /// `TooLarge`, `Nul`.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), ParamFault> {
        self.push_joined(name, &[value])
    }

    /// Writes a variable whose value is in pieces, such as a root and a path below it.
    ///
    /// # Errors
    /// `TooLarge`, `Nul`.
    pub fn push_joined(&mut self, name: &[u8], pieces: &[&[u8]]) -> Result<(), ParamFault> {
        // Without a branch a byte: most are too short for a search to be worth its beginning.
        let holds_nul = |bytes: &[u8]| bytes.iter().fold(false, |nul, byte| nul | (*byte == 0));
        if holds_nul(name) || pieces.iter().any(|piece| holds_nul(piece)) {
            return Err(ParamFault::Nul { name: shown(name) });
        }
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.begin_pair(name.len(), length, || shown(name))?;
        self.out.extend_from_slice(name);
        for piece in pieces {
            self.out.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Writes the header fields that `passes` lets through, each as `HTTP_` and its name in upper
    /// case with `_` for `-` (RFC 3875 section 4.1.18).
    ///
    /// Never written are Content-Type and Content-Length, which have variables of their own, and
    /// Proxy: programs take HTTP_PROXY for the environment's. Nor are names with anything but
    /// letters, digits and `-`, whether `passes` would have them or not: `X_Forwarded_For` would
    /// come out as the X-Forwarded-For that we vouch for, and so would `X.Forwarded.For`, of whose
    /// dots PHP 8.2 makes `_` (measured). nginx and Apache drop them too.
    ///
    /// # Errors
    /// `TooLarge`; `Twin` where a name with `_` comes beside the same name with `-`, since that is
    /// no accident.
    pub fn push_fields(
        &mut self,
        headers: &HeaderMap,
        passes: impl Fn(&HeaderName) -> bool,
    ) -> Result<(), ParamFault> {
        for name in headers.keys() {
            match spelling(name) {
                Spelling::Plain if is_fields_alone(name) && passes(name) => {
                    self.push_field(name, &headers.get_all(name))?;
                }
                Spelling::Underscore => {
                    if let Some(twin) = twin(name, headers) {
                        return Err(ParamFault::Twin { name: name.clone(), twin });
                    }
                }
                Spelling::Plain | Spelling::Odd => {}
            }
        }
        Ok(())
    }

    /// Writes one field with all its lines. They may be joined with a comma (RFC 9110 section 5.3);
    /// those of Cookie with a semicolon (RFC 6265 section 5.4, RFC 9113 section 8.2.3).
    fn push_field(
        &mut self,
        name: &HeaderName,
        values: &GetAll<'_, HeaderValue>,
    ) -> Result<(), ParamFault> {
        const PREFIX: &[u8] = b"HTTP_";
        let separator: &[u8] = if name == header::COOKIE { b"; " } else { b", " };
        let joined = values.iter().map(|value| separator.len() + value.len()).sum::<usize>();
        let length = joined.saturating_sub(separator.len());
        self.begin_pair(PREFIX.len() + name.as_str().len(), length, || name.to_string())?;
        self.out.extend_from_slice(PREFIX);
        let upper = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
        self.out.extend(name.as_str().bytes().map(upper));
        for (number, value) in values.iter().enumerate() {
            if number > 0 {
                self.out.extend_from_slice(separator);
            }
            self.out.extend_from_slice(value.as_bytes());
        }
        Ok(())
    }

    /// Writes the lengths of a pair, in a new record if this one has no room for it.
    fn begin_pair(
        &mut self,
        name_length: usize,
        value_length: usize,
        name: impl FnOnce() -> String,
    ) -> Result<(), ParamFault> {
        let lengths = [name_length, value_length];
        let size = |length: usize| length + if length <= SHORT_MAX { 1 } else { 4 };
        let size_bytes = lengths.map(size).iter().sum();
        if size_bytes > CONTENT_MAX {
            let limit_bytes = CONTENT_MAX;
            return Err(ParamFault::TooLarge { name: name(), size_bytes, limit_bytes });
        }
        if self.content() + size_bytes > CONTENT_MAX {
            self.end_record();
            self.begin_record();
        }
        for length in lengths {
            // Both are below 2^16 here, and the first of four bytes has its highest bit set.
            match length <= SHORT_MAX {
                true => self.out.push(length as u8),
                false => self.out.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes()),
            }
        }
        Ok(())
    }

    /// Ends the stream: with the last record's length and an empty record.
    pub fn finish(mut self) {
        // An empty record ends the stream: with nothing in it, the last one is that end.
        if self.content() > 0 {
            self.end_record();
            self.begin_record();
        }
    }

    fn content(&self) -> usize {
        self.out.len() - self.record - HEADER_LENGTH
    }

    fn begin_record(&mut self) {
        self.record = self.out.len();
        self.out.extend_from_slice(&Stream::Params.header(0));
    }

    fn end_record(&mut self) {
        let length = u16::try_from(self.content()).expect("`begin_pair` stays within a record");
        let header = self.record..self.record + HEADER_LENGTH;
        self.out[header].copy_from_slice(&Stream::Params.header(length));
    }
}

/// How a field's name is spelt, as far as it decides what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Letters, digits and `-`.
    Plain,
    /// With `_`, and perhaps more.
    Underscore,
    /// With another sign of RFC 9110 section 5.6.2.
    Odd,
}

fn spelling(name: &HeaderName) -> Spelling {
    let name = name.as_str().as_bytes();
    match name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
        true => Spelling::Plain,
        false if name.contains(&b'_') => Spelling::Underscore,
        false => Spelling::Odd,
    }
}

/// The field that becomes the same variable as this one, whose name holds `_`.
fn twin(name: &HeaderName, headers: &HeaderMap) -> Option<HeaderName> {
    let twin = HeaderName::from_bytes(name.as_str().replace('_', "-").as_bytes()).ok()?;
    headers.contains_key(&twin).then_some(twin)
}

/// Whether a field is one that becomes an `HTTP_` variable, if it passes.
fn is_fields_alone(name: &HeaderName) -> bool {
    !matches!(name.as_str(), "content-type" | "content-length" | "proxy")
}

/// The start of a name, for evidence.
fn shown(name: &[u8]) -> String {
    name[..name.len().min(64)].escape_ascii().to_string()
}

/// The pairs of a whole stream, each record taken apart by itself as PHP-FPM does it.
#[cfg(any(fuzzing, test))]
pub fn decoded(mut bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let take_length = |content: &mut &[u8]| {
        let (bytes, rest) = content.split_at(if content[0] >> 7 == 0 { 1 } else { 4 });
        *content = rest;
        let high = usize::from(bytes[0] & 0x7f);
        bytes[1..].iter().fold(high, |length, byte| length << 8 | usize::from(*byte))
    };
    let mut pairs = Vec::new();
    loop {
        let (header, rest) = bytes.split_at(HEADER_LENGTH);
        let length = u16::from_be_bytes([header[4], header[5]]);
        assert_eq!(header, Stream::Params.header(length));
        let (mut content, rest) = rest.split_at(usize::from(length));
        if content.is_empty() {
            assert!(rest.is_empty(), "something behind the stream's end");
            return pairs;
        }
        bytes = rest;
        while !content.is_empty() {
            let (name, value) = (take_length(&mut content), take_length(&mut content));
            let (pair, rest) = content.split_at(name + value);
            let (name, value) = pair.split_at(name);
            pairs.push((name.to_vec(), value.to_vec()));
            content = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pairs: &[(&[u8], &[u8])]) -> Result<Vec<u8>, ParamFault> {
        let mut out = Vec::new();
        let mut params = Params::new(&mut out);
        for (name, value) in pairs {
            params.push(name, value)?;
        }
        params.finish();
        Ok(out)
    }

    fn fields(lines: &[(&str, &str)]) -> Result<Vec<String>, ParamFault> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut out = Vec::new();
        let mut params = Params::new(&mut out);
        params.push_fields(&headers, |name| name != header::CONNECTION)?;
        params.finish();
        let shown = |(name, value): (Vec<u8>, Vec<u8>)| {
            format!("{}={}", String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap())
        };
        let mut shown: Vec<_> = decoded(&out).into_iter().map(shown).collect();
        shown.sort_unstable();
        Ok(shown)
    }

    #[test]
    fn pairs_are_laid_out_as_the_specification_says() {
        let expected = [
            [1, 4, 0, 1, 0, 5, 0, 0].as_slice(),
            &[1, 2, b'A', b'b', b'c'],
            &[1, 4, 0, 1, 0, 0, 0, 0],
        ];
        assert_eq!(written(&[(b"A", b"bc")]).unwrap(), expected.concat());
        assert_eq!(written(&[]).unwrap(), [1, 4, 0, 1, 0, 0, 0, 0], "one end, not two");
    }

    #[test]
    fn every_length_comes_back() {
        let most = CONTENT_MAX - 4 - 4;
        for name in [0, 1, 127, 128, 300] {
            for value in [0, 1, 127, 128, 255, 256, 16383, 65000, most - 300] {
                let (name, value) = (vec![b'N'; name], vec![b'v'; value]);
                let pairs = [(name.as_slice(), value.as_slice()), (b"A", b"b")];
                let expected = pairs.map(|(name, value)| (name.to_vec(), value.to_vec()));
                assert_eq!(decoded(&written(&pairs).unwrap()), expected);
            }
        }
    }

    /// Whatever the first record still has room for, the next pair is whole in one record.
    #[test]
    fn no_pair_runs_over_the_end_of_a_record() {
        for room in 0..300 {
            let first = vec![b'x'; CONTENT_MAX - 6 - room];
            let value = [b'v'; 140];
            let pairs: [(&[u8], &[u8]); 3] = [(b"A", &first), (b"B", &value), (b"C", b"")];
            let expected = pairs.map(|(name, value)| (name.to_vec(), value.to_vec()));
            assert_eq!(decoded(&written(&pairs).unwrap()), expected, "room for {room}");
        }
    }

    #[test]
    fn a_pair_that_no_record_can_hold_is_refused() {
        let most = CONTENT_MAX - 1 - 1 - 4;
        assert!(written(&[(b"A", &vec![b'x'; most])]).is_ok());
        let fault = written(&[(b"A", &vec![b'x'; most + 1])]).unwrap_err();
        let (size_bytes, limit_bytes) = (65536, 65535);
        assert_eq!(fault, ParamFault::TooLarge { name: "A".into(), size_bytes, limit_bytes });
        let cookie = "x".repeat(70_000);
        let fault = fields(&[("Cookie", &cookie)]).unwrap_err();
        assert!(matches!(fault, ParamFault::TooLarge { name, .. } if name == "cookie"));
    }

    #[test]
    fn a_nul_is_refused() {
        for (name, value, expected) in [("A\0B", "c", "A\\x00B"), ("A", "/x.php\0.jpg", "A")] {
            let fault = written(&[(name.as_bytes(), value.as_bytes())]).unwrap_err();
            assert_eq!(fault, ParamFault::Nul { name: expected.into() });
        }
        let mut out = Vec::new();
        let fault = Params::new(&mut out).push_joined(b"A", &[b"/root", b"/\0"]);
        assert_eq!(fault, Err(ParamFault::Nul { name: "A".into() }));
    }

    #[test]
    fn pieces_of_a_value_are_joined() {
        let mut out = vec![1, 2, 3];
        let mut params = Params::new(&mut out);
        params.push_joined(b"SCRIPT_FILENAME", &[b"/srv", b"/a.php"]).unwrap();
        params.push_joined(b"EMPTY", &[]).unwrap();
        params.finish();
        assert_eq!(out[..3], [1, 2, 3]);
        let expected = [
            (b"SCRIPT_FILENAME".to_vec(), b"/srv/a.php".to_vec()),
            (b"EMPTY".to_vec(), Vec::new()),
        ];
        assert_eq!(decoded(&out[3..]), expected);
    }

    #[test]
    fn fields_become_variables() {
        let found = fields(&[
            ("Host", "shop.example"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("Accept", "text/html"),
            ("Accept", "*/*"),
            ("Cookie", "a=b"),
            ("Cookie", "c=d"),
            ("X-Empty", ""),
            ("X-2", "\u{e9}"),
            ("Connection", "close"),
            ("Content-Type", "text/plain"),
            ("Content-Length", "5"),
            ("Proxy", "http://evil.example"),
        ]);
        let expected = [
            "HTTP_ACCEPT=text/html, */*",
            "HTTP_COOKIE=a=b; c=d",
            "HTTP_HOST=shop.example",
            "HTTP_X_2=\u{e9}",
            "HTTP_X_EMPTY=",
            "HTTP_X_FORWARDED_FOR=192.0.2.1",
        ];
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn a_field_cannot_pose_as_another() {
        for name in ["X_Forwarded_For", "X.Forwarded.For", "X-Forwarded_For", "X_Forwarded.For"] {
            assert_eq!(fields(&[(name, "192.0.2.9")]).unwrap(), [""; 0], "{name}");
        }
        for name in ["X_Forwarded_For", "X-Forwarded_For", "x_forwarded-for"] {
            let lines = [("X-Forwarded-For", "192.0.2.1"), (name, "192.0.2.9")];
            for lines in [lines, [lines[1], lines[0]]] {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                let twin = HeaderName::from_static("x-forwarded-for");
                assert_eq!(fields(&lines), Err(ParamFault::Twin { name, twin }));
            }
        }
        // What is not passed on has twins all the same.
        assert!(fields(&[("X-Y", "1"), ("Proxy", "x"), ("X_Z", "2")]).is_ok());
        assert!(fields(&[("Content-Length", "5"), ("Content_Length", "6")]).is_err());
    }
}
