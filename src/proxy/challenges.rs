//! What an authority of certificates asks for to see that a host is ours (HTTP-01, RFC 8555 section
//! 8.3): one small text for each token that we were given, while we wait for the answer.
//!
//! Whoever asks for another token gets what any request gets. While nothing is pending a request
//! costs one relaxed load here. A program that was built without ACME has none to give.

use std::collections::HashMap;
#[cfg(feature = "acme")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::Body;
use super::record::Record;

const FOLDER: &str = "/.well-known/acme-challenge/";

/// The tokens that are pending, for all workers.
#[derive(Debug, Default)]
pub struct Challenges {
    count: AtomicUsize,
    /// What each is answered with.
    tokens: RwLock<HashMap<String, String>>,
}

/// A token that is answered for as long as this lives.
#[cfg(feature = "acme")]
#[derive(Debug)]
pub struct Pending {
    challenges: Arc<Challenges>,
    token: String,
}

impl Challenges {
    /// The answer to a request for one of the tokens.
    pub fn find(&self, parts: &Parts) -> Option<String> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let token = parts.uri.path().strip_prefix(FOLDER)?;
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return None;
        }
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}

#[cfg(feature = "acme")]
impl Challenges {
    /// Answers a token from now on.
    pub fn answer(self: &Arc<Challenges>, token: String, text: String) -> Pending {
        self.change(|tokens| {
            tokens.insert(token.clone(), text);
        });
        Pending { challenges: self.clone(), token }
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, String>)) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut tokens);
        self.count.store(tokens.len(), Ordering::Relaxed);
    }
}

#[cfg(feature = "acme")]
impl Drop for Pending {
    fn drop(&mut self) {
        self.challenges.change(|tokens| {
            tokens.remove(&self.token);
        });
    }
}

/// The answer as it goes out.
pub fn respond(text: String, mut record: Box<Record>, method: &Method) -> Response<Body> {
    let (status, length) = (StatusCode::OK, HeaderValue::from(text.len()));
    record.status = Some(status.as_u16());
    let bytes = if *method == Method::HEAD { String::new() } else { text };
    let mut response = Response::new(Body::full(bytes.into(), record));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(all(test, feature = "acme"))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_answered_while_it_is_pending() {
        let challenges = Arc::new(Challenges::default());
        let ask = |method: &str, path: &str| {
            let request = http::Request::builder().method(method).uri(path).body(()).unwrap();
            challenges.find(&request.into_parts().0)
        };
        let path = "/.well-known/acme-challenge/abc";
        assert_eq!(ask("GET", path), None);
        let pending = challenges.answer("abc".into(), "abc.key".into());
        let other = challenges.answer("def".into(), "def.key".into());
        assert_eq!(ask("GET", path).as_deref(), Some("abc.key"));
        assert_eq!(ask("GET", &format!("http://a{path}?x")).as_deref(), Some("abc.key"));
        for (method, path) in [
            ("POST", path),
            ("GET", "/.well-known/acme-challenge/"),
            ("GET", "/.well-known/acme-challenge/abcd"),
            ("GET", "/.well-known/acme-challenge/../abc"),
            ("GET", "/abc"),
        ] {
            assert_eq!(ask(method, path), None, "{method} {path}");
        }
        drop(pending);
        assert_eq!(ask("GET", path), None);
        drop(other);
        assert_eq!(challenges.count.load(Ordering::Relaxed), 0);
    }
}
