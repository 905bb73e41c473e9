//! The way to the head of the final response: foreign bytes known, interim responses passed over,
//! limits held. Reads from a buffer; waits for nothing.

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use crate::config::Limits;
use crate::upstream::attempt::Attempt;
use crate::upstream::download::Payload;
use crate::upstream::failure::{Failure, HeadFailure};
use crate::upstream::wire::{BANNER_ENOUGH, Heard, Step};

use super::body::Chunked;
use super::head::{self, Framing};

/// The most interim responses (1xx) before the final one.
const INTERIM_MAX: usize = 16;

/// How far reading the head has come.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// Bytes already searched for the head's end.
    looked: usize,
    interim: usize,
}

impl HeadReader {
    /// What the bytes that have come amount to.
    ///
    /// # Errors
    /// The first fault of the head; its bytes stand in the attempt.
    pub(crate) fn step(
        &mut self,
        input: &mut BytesMut,
        method: &Method,
        limits: &Limits,
        attempt: &mut Attempt,
    ) -> Result<Step, Failure> {
        if input.is_empty() {
            return Ok(Step::More);
        }
        if !head::may_be_http(input) {
            return match input.len() >= BANNER_ENOUGH {
                true => Err(Failure::Head(HeadFailure::Foreign)),
                false => Ok(Step::Foreign),
            };
        }
        let limit_bytes = limits.header_section_bytes;
        let end = head::end(input, self.looked);
        self.looked = input.len();
        let Some(end) = end.filter(|end| *end <= limit_bytes) else {
            let too_large = input.len() > limit_bytes || end.is_some();
            return match too_large {
                true => Err(Failure::Head(HeadFailure::TooLarge { limit_bytes })),
                false => Ok(Step::More),
            };
        };
        let whole = input.split_to(end).freeze();
        self.looked = 0;
        let heard = match finish(&whole, method, limits) {
            Ok(heard) => heard,
            Err(failure) => {
                remember(attempt, &whole, &failure);
                return Err(Failure::Head(failure));
            }
        };
        let status = heard.head.status;
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Step::Final(heard));
        }
        // RFC 9110 section 15.2: any number of interim responses may come; ours is bounded.
        self.interim += 1;
        match self.interim > INTERIM_MAX {
            true => Err(Failure::Head(HeadFailure::TooManyInterim { limit: INTERIM_MAX })),
            false => Ok(Step::Interim(status)),
        }
    }
}

fn finish(whole: &Bytes, method: &Method, limits: &Limits) -> Result<Heard, HeadFailure> {
    let head = head::parse(whole, limits.header_count)?;
    let framing = head::framing(&head, method).map_err(HeadFailure::Framing)?;
    let keep = framing != Framing::Close && head.keeps_alive();
    let payload = match framing {
        Framing::None | Framing::Length(0) => Payload::Done,
        Framing::Length(declared) => Payload::Length { left: declared, declared },
        Framing::Chunked => Payload::Chunked(Chunked::Size),
        Framing::Close => Payload::Close,
    };
    Ok(Heard { head, payload, keep })
}

fn remember(attempt: &mut Attempt, whole: &[u8], failure: &HeadFailure) {
    attempt.keep_first_bytes(whole);
    let remains = attempt.remains();
    remains.largest = head::largest_lines(whole);
    let offset = match failure {
        HeadFailure::StatusLine { .. } => Some(0),
        HeadFailure::Header { offset, .. } => Some(*offset),
        _ => None,
    };
    if let Some(offset) = offset {
        let offset = offset.min(whole.len());
        let start = memchr::memrchr(b'\n', &whole[..offset]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &whole[offset..]).map_or(whole.len(), |n| offset + n);
        remains.line = whole[start..end.min(start + head::LINE_SHOWN_MAX)].to_vec();
    }
}
