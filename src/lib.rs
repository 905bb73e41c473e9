//! Causeway: a reverse proxy that says why.
//!
//! It takes HTTP/1.1 and HTTP/2, forwards to HTTP/1.1, HTTP/2 and PHP-FPM, and when one of them
//! fails it names the cause, says how sure it is, and gives the reader what to do: to visitors
//! without a word about the inside, to operators with the evidence.
//!
//! # Rooms
//!
//! From below upwards; each imports only what stands above it in this list, and
//! `tests/layers.rs` holds that.
//!
//! | room | what it is for |
//! |---|---|
//! | `clock` | a coarse clock for each thread, and the deadlines that hang on it |
//! | [`config`] | what the operator wrote, proven: the file, or every mistake in it at once |
//! | [`files`] | what a path of a PHP site means, and its files as they are sent |
//! | `upstream` | one exchange with one upstream: resolve, connect, TLS, send, head, body |
//! | [`diagnose`] | from a failure to its cause, the catalogue of causes, fixes and words |
//! | `probe` | the look at this host and the questions to a server, once a request has failed |
//! | [`page`] | from a report to bytes: HTML, problem+json, text, and `Proxy-Status` |
//! | `telemetry` | one line in the access log for each request, what is counted, our own messages |
//! | `proxy` | the path of one request; the only room that sees both sides |
//! | [`server`] | downstream: listeners, TLS, workers, connections, limits, reload, drain, health |
//! | `service` | what systemd gives a service and hears from it: sockets, states, the watchdog |
//! | [`import`] | other programs' configurations as ours: nginx's |
//! | [`demo`] | backends that fail in every way, and the table of scenarios |
//! | [`cli`] | run, reload, check, doctor, explain, import, demo |
//!
//! # The path of a request
//!
//! ```text
//! server::worker      one runtime a core, listeners of its own, nothing shared on the way
//! server::tls         the handshake, in the connection's own task, where TLS is spoken
//! server::http1       the gate: ambiguous requests are refused on the raw bytes, as they are read
//! server::http2       the same on the heads of HTTP/2, each stream a task, limits for all of them
//! proxy::handle       route, permit, clean fields
//!   upstream          exchange(&mut attempt): each stage has its deadline and marks the record
//!     Ok(answer)      clean fields, stream the body; a later failure cuts the client and is logged
//!                     (an answer that says that something failed has its cause noted)
//!     Err(failure)    another server or a fresh connection where that is safe, else
//!       diagnose      Failure + Attempt + Facts -> Cause -> Entry, fixes -> Report
//!       page          audience, language and format -> bytes
//! telemetry           one line and its counts, with the cause, also when the client has left; a
//!                     message for the operator, one a kind of failure and minute
//! ```
//!
//! `Failure` is the error: what was observed on the wire. [`diagnose::Cause`] is the diagnosis: one
//! failure may be several causes, by what else the `Attempt` (the flight record) saw.
//! [`diagnose::Code`] is a cause's name, derived from it; the same word stands in page, log,
//! `Proxy-Status`, scenario and golden file.
//!
//! # Invariants
//!
//! - `upstream` names no cause and no page; `diagnose` and `page` open nothing and read no clock;
//!   `probe` alone looks at this host, after a failure, within bounds.
//! - `page` cannot fail, and `proxy` gives a response, never an error.
//! - No error becomes a string before `diagnose::classify` has seen it, and no message of a library
//!   is ever matched on.
//! - The first failure in the order of the stages is the cause; later ones are its echoes.
//! - `certain` needs a positive observation; timing alone is at most `likely`.
//! - A request of which bytes may have reached an upstream goes out a second time only when it is
//!   idempotent, met a kept-alive connection that had gone stale, and can be sent whole again; or
//!   when the upstream vouches that it did nothing with it.
//! - A response that was cut never looks whole to the client.
//! - No byte from a client or an upstream stands in a command that is shown to the operator.
//! - Every wait, buffer and queue has a limit, and a cause that names it when it is hit.
//!
//! # How to add a cause
//!
//! 1. Add the variant, with its evidence, to `Cause` in `diagnose/cause.rs`.
//! 2. The compiler stops in `diagnose/catalog.rs` (stage, status, whose fault, RFC 9209 type),
//!    `diagnose/evidence.rs` (its values in print), `diagnose/fixes.rs` (which fixes, in order) and
//!    `diagnose/reasons.rs` (what usually lies behind it). Where evidence ranks the fixes, a rule
//!    in `diagnose/rules` says so.
//! 3. A test stops for its words in `diagnose/text/LANGUAGE/causes.toml`, each language of them,
//!    and for its sources beside; another for its row in `demo/rows/`: a backend that fails so.
//!    `tests/scenarios.rs` runs the row, `tests/browser` looks at the page. A third keeps the id
//!    of its message: `CAUSEWAY_BLESS=1 cargo test --test catalogue` adds it.
//! 4. Decide it in `diagnose/classify.rs`; if the wire shows something new, a variant in
//!    `upstream/failure.rs` comes first.

pub mod cli;
mod clock;
pub mod config;
pub mod demo;
pub mod diagnose;
pub mod files;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod import;
pub mod page;
mod probe;
mod proxy;
pub mod server;
mod service;
mod telemetry;
mod upstream;
