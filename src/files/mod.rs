//! The files of a PHP site: what a request's path means, and how a file is sent.
//!
//! `path` decodes, `rules` says what is never given, `root` opens without leaving the site's
//! folder, `resolve` puts the three together. `answer` makes a response of an open file, `body`
//! reads it. Knows nothing of FastCGI, causes and pages. Imports `config` and `clock` only.

mod answer;
mod body;
mod conditions;
mod encoding;
mod media;
pub mod path;
pub mod ranges;
mod resolve;
mod root;
pub mod rules;

pub use answer::{Answer, MethodRefused, answer};
pub use body::FileBody;
pub use path::{PathFault, SitePath};
pub use resolve::{Refusal, Script, Target, resolve};
pub use root::{Closed, Found, Kind, Opened, Root};
pub use rules::Denial;
