//! What the admin listener says: metrics, whether the program lives, whether it is ready.
//!
//! `/healthz` fails when a restart would help; `/readyz` when no request should be sent here.
//! Neither fails with an upstream: another copy of this program would not reach it either.

use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::telemetry;

use super::overview::{Overview, Phase, Serving, Standing};
use super::worker_name;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// Elements of `Accept` that are read; more are not believed.
const ACCEPT_MAX: usize = 32;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Asker {
    Allowed,
    /// Not in `allow`.
    Stranger(IpAddr),
}

/// The answer to one request, whose body nobody reads.
pub fn respond<B>(
    overview: &Overview,
    asker: Asker,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    let (status, kind, body) = match asker {
        Asker::Stranger(peer) => {
            let body = format!("{peer} is in no network of `allow` in [admin]\n");
            (StatusCode::FORBIDDEN, TEXT, body)
        }
        Asker::Allowed => answer(overview, request),
    };
    let body = match *request.method() == Method::HEAD {
        true => Full::default(),
        false => Full::new(Bytes::from(body)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, kind);
    set(header::CACHE_CONTROL, "no-store");
    if kind == OPEN_METRICS || kind == PLAIN_METRICS {
        set(header::VARY, "Accept");
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        set(header::ALLOW, "GET, HEAD");
    }
    response
}

fn answer<B>(overview: &Overview, request: &Request<B>) -> (StatusCode, &'static str, String) {
    let make: fn(&Overview, &HeaderMap) -> (StatusCode, &'static str, String) =
        match request.uri().path() {
            "/metrics" => metrics,
            "/healthz" => |overview, _| health(overview),
            "/readyz" => |overview, _| readiness(overview),
            _ => {
                let body = "here are /metrics, /healthz and /readyz\n".to_owned();
                return (StatusCode::NOT_FOUND, TEXT, body);
            }
        };
    match *request.method() {
        Method::GET | Method::HEAD => make(overview, request.headers()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".to_owned()),
    }
}

fn metrics(overview: &Overview, headers: &HeaderMap) -> (StatusCode, &'static str, String) {
    let open = overview.metrics.open_metrics(overview.gauges());
    match wants_plain(headers) {
        true => (StatusCode::OK, PLAIN_METRICS, telemetry::plain(&open)),
        false => (StatusCode::OK, OPEN_METRICS, open),
    }
}

/// Whether the workers come round to their clocks.
fn health(overview: &Overview) -> (StatusCode, &'static str, String) {
    let stuck: Vec<String> = overview.metrics.stuck().into_iter().map(worker_name).collect();
    let (status, said) = match stuck.is_empty() {
        true => (StatusCode::OK, json!({ "status": "alive" })),
        false => (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "stuck", "workers": stuck })),
    };
    (status, JSON, format!("{said}\n"))
}

/// Whether requests are taken, and how the upstreams stand.
fn readiness(overview: &Overview) -> (StatusCode, &'static str, String) {
    let (status, word) = match overview.phase() {
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Phase::Ready => (StatusCode::OK, "ready"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    let upstreams: Vec<_> = overview.standings().iter().map(upstream).collect();
    (status, JSON, format!("{}\n", json!({ "status": word, "upstreams": upstreams })))
}

fn upstream(standing: &Standing) -> serde_json::Value {
    let name = &standing.name;
    match standing.state {
        Serving::Serves => json!({ "name": name, "state": "serving" }),
        Serving::Fails { since } => {
            json!({ "name": name, "state": "failing", "since": rfc3339(since) })
        }
        Serving::Closed => json!({ "name": name, "state": "maintenance" }),
    }
}

/// To the second, in UTC.
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let stamp = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
    stamp.unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Whether `Accept` prefers the older format to OpenMetrics (RFC 9110 section 12.5.1); who says
/// nothing gets the latter.
fn wants_plain(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = fields.flat_map(|field| field.split(',')).take(ACCEPT_MAX);
    let (mut open, mut plain) = (Weight::default(), Weight::default());
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")).unwrap_or("1");
        let quality = quality.parse::<f32>().unwrap_or(0.0);
        match name.as_str() {
            "application/openmetrics-text" => open.set(2, quality),
            "text/plain" => plain.set(2, quality),
            "application/*" => open.set(1, quality),
            "text/*" => plain.set(1, quality),
            "*/*" => {
                open.set(0, quality);
                plain.set(0, quality);
            }
            _ => {}
        }
    }
    plain.quality > open.quality
}

/// How much a format is wanted: what names it more exactly counts.
#[derive(Debug, Default)]
struct Weight {
    exactness: u8,
    quality: f32,
}

impl Weight {
    fn set(&mut self, exactness: u8, quality: f32) {
        if exactness >= self.exactness {
            // The same type with another version: the one that is wanted more.
            let same = exactness == self.exactness;
            self.quality = if same { self.quality.max(quality) } else { quality };
            self.exactness = exactness;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_is_for_those_who_prefer_it() {
        for (accept, is_plain) in [
            ("", false),
            ("*/*", false),
            ("text/plain", true),
            ("text/plain;version=0.0.4", true),
            ("application/openmetrics-text", false),
            // Prometheus 2.42 and 3.0.
            (
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                false,
            ),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("text/*, application/openmetrics-text; q=0.5", true),
            ("application/openmetrics-text;q=0,*/*", true),
            ("text/plain;q=x, */*;q=0.1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wants_plain(&headers), is_plain, "{accept}");
        }
        assert!(!wants_plain(&HeaderMap::new()));
    }
}
