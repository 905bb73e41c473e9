//! The date of answers that have none (RFC 9110 section 6.6.1), printed once a tick.

use std::cell::RefCell;
use std::time::{Instant, SystemTime};

use http::HeaderValue;

use crate::clock;

thread_local! {
    static PRINTED: RefCell<Option<(Instant, HeaderValue)>> = const { RefCell::new(None) };
}

/// The time of the last tick, as a field's value.
pub fn value() -> HeaderValue {
    PRINTED.with_borrow_mut(|printed| {
        let now = clock::now();
        if let Some((at, date)) = printed
            && *at == now
        {
            return date.clone();
        }
        let date = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
            .expect("a date is printable ASCII");
        printed.insert((now, date)).1.clone()
    })
}
