//! THE TABLE: one row a way to fail, one file a group of stages. Data only.

mod answer;
mod body;
mod own;
mod reach;

use super::scenario::Scenario;

/// Every row, in the order of the stages.
pub(super) const ALL: &[&[Scenario]] = &[own::ROWS, reach::ROWS, answer::ROWS, body::ROWS];
