//! In which format, language and coding a client is answered, as its fields ask.
//!
//! What was decided is kept for the last few kinds of clients: in an outage the same browsers ask
//! again and again, with the same fields, and to read those took a quarter of the page's time.

use http::HeaderMap;

use crate::files;
use crate::page::{self, Coding, Format};

/// More kinds than browsers have; the oldest makes room.
const KEPT_MAX: usize = 16;
/// Longer fields are read each time, lest somebody fill the memory with them.
const FIELDS_MAX_BYTES: usize = 1024;

/// How a page is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    pub format: Format,
    /// Position of the language among the site's.
    pub language: usize,
    pub coding: Option<Coding>,
}

/// What was decided for fields that came before.
#[derive(Debug, Default)]
pub struct Manners {
    kept: Vec<(Fields<Box<[u8]>>, Manner)>,
    /// Which of them makes room next.
    oldest: usize,
}

/// Accept, Accept-Language and Accept-Encoding.
type Fields<T> = [Option<T>; 3];

impl Manners {
    /// How a request with these fields is answered on a site with languages of these tags, which
    /// are the same each time.
    pub fn of(&mut self, headers: &HeaderMap, tags: &[Box<str>]) -> Manner {
        let Some(fields) = fields(headers) else { return decide(headers, tags) };
        let same = |kept: &Fields<Box<[u8]>>| {
            kept.iter().zip(&fields).all(|(kept, asked)| kept.as_deref() == *asked)
        };
        if let Some((_, manner)) = self.kept.iter().find(|(kept, _)| same(kept)) {
            return *manner;
        }
        let manner = decide(headers, tags);
        let kept = (fields.map(|field| field.map(Box::from)), manner);
        if self.kept.len() < KEPT_MAX {
            self.kept.push(kept);
        } else {
            self.kept[self.oldest] = kept;
            self.oldest = (self.oldest + 1) % KEPT_MAX;
        }
        manner
    }
}

fn decide(headers: &HeaderMap, tags: &[Box<str>]) -> Manner {
    Manner {
        format: page::negotiate(headers),
        language: page::language::choose(headers, tags),
        coding: files::wanted(headers).next().map(|coding| match coding {
            files::Coding::Brotli => Coding::Brotli,
            files::Coding::Gzip => Coding::Gzip,
        }),
    }
}

/// `None` where a field comes twice or all are too long to be kept.
fn fields(headers: &HeaderMap) -> Option<Fields<&[u8]>> {
    let mut fields = [None; 3];
    let mut size = 0;
    for (name, value) in headers {
        let at = match name.as_str() {
            "accept" => 0,
            "accept-language" => 1,
            "accept-encoding" => 2,
            _ => continue,
        };
        size += value.len();
        if fields[at].replace(value.as_bytes()).is_some() {
            return None;
        }
    }
    (size <= FIELDS_MAX_BYTES).then_some(fields)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_kept_is_what_would_be_decided() {
        let tags: Vec<Box<str>> = ["en", "ru", "zh", "vi"].map(Box::from).to_vec();
        let accepts = ["", "*/*", "text/html", "application/problem+json;q=0.5, text/html;q=0.4"];
        let languages = ["", "ru", "vi, en;q=0.5", "zh-TW, zh;q=0.2, *;q=0.1"];
        let codings = ["", "br", "gzip", "gzip;q=0, br;q=0.5", "identity"];
        let mut manners = Manners::default();
        // More than there is room for, and each again and again.
        for _ in 0..3 {
            for accept in accepts {
                for language in languages {
                    for coding in codings {
                        let mut headers = HeaderMap::new();
                        let fields = [
                            ("accept", accept),
                            ("accept-language", language),
                            ("accept-encoding", coding),
                        ];
                        for (name, value) in fields {
                            if !value.is_empty() {
                                headers.append(name, HeaderValue::from_static(value));
                            }
                        }
                        let decided = decide(&headers, &tags);
                        assert_eq!(manners.of(&headers, &tags), decided, "{headers:?}");
                        assert_eq!(manners.of(&headers, &tags), decided, "{headers:?}");
                    }
                }
            }
        }
        assert_eq!(manners.kept.len(), KEPT_MAX);
    }

    #[test]
    fn fields_that_come_twice_or_are_long_are_read_each_time() {
        let mut manners = Manners::default();
        let tags: Vec<Box<str>> = ["en", "ru"].map(Box::from).to_vec();
        let mut headers = HeaderMap::new();
        headers.append("accept-language", HeaderValue::from_static("xx"));
        headers.append("accept-language", HeaderValue::from_static("ru"));
        assert_eq!(manners.of(&headers, &tags).language, 1);
        let mut headers = HeaderMap::new();
        let long = format!("{}ru", "xx, ".repeat(FIELDS_MAX_BYTES / 4));
        headers.append("accept-language", HeaderValue::try_from(long).unwrap());
        manners.of(&headers, &tags);
        assert!(manners.kept.is_empty());
    }
}
