//! THE TABLE: one row a way to fail, one file a group of stages. Data only.

mod answer;
mod body;
mod fastcgi;
mod files;
mod http2;
mod own;
mod php;
mod reach;
mod upstream;

use super::scenario::{Scenario, Step};

/// How long the first piece of an answer stands alone, so that it has gone on before the cut comes:
/// on a busy host too, and within the demonstration's time-outs.
const APART: Step = Step::Wait(400);

/// Every row, in the order of the stages; those of PHP sites, and of answers that are whole,
/// behind them.
pub(super) const ALL: &[&[Scenario]] = &[
    own::ROWS,
    reach::ROWS,
    answer::ROWS,
    body::ROWS,
    http2::ROWS,
    files::ROWS,
    fastcgi::ROWS,
    php::ROWS,
    upstream::ROWS,
];

/// The rows of upstreams of every kind; a reader finds them by their stage.
pub(super) const STAGED: &[&[Scenario]] =
    &[own::ROWS, reach::ROWS, answer::ROWS, body::ROWS, http2::ROWS];

/// The rows that only a PHP site has, in groups of their own.
pub(super) const FILES: &[Scenario] = files::ROWS;
pub(super) const FASTCGI: &[Scenario] = fastcgi::ROWS;
pub(super) const PHP: &[Scenario] = php::ROWS;

/// The rows in which a backend of HTTP answers that something failed.
pub(super) const UPSTREAM: &[Scenario] = upstream::ROWS;
