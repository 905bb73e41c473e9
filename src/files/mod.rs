//! The files of a PHP site: what a request's path means, and how a file is sent.
//!
//! `path` decodes, `rules` says what is never given, `root` opens without leaving the site's
//! folder, `recent` remembers what it found for a tick, `resolve` puts them together. `answer`
//! makes a response of an open file, `body` reads it. Knows nothing of FastCGI, causes and pages.
//! Imports `config` and `clock` only.

mod answer;
mod beneath;
mod body;
mod conditions;
mod encoding;
mod media;
pub mod path;
pub mod ranges;
mod recent;
mod resolve;
mod root;
pub mod rules;

pub use answer::{ALLOWED, Answer, MethodRefused, answer};
pub use body::FileBody;
pub use encoding::{Coding, wanted};
pub use path::{PathFault, SitePath};
pub use resolve::{Refusal, Script, Target, resolve};
pub use root::{Closed, Found, Kind, Opened, Root};
pub use rules::Denial;
