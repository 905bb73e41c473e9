//! What the pages of one configuration are made of, for all workers: its languages.
//!
//! Made and proven when the configuration is loaded, before any worker hears of it.

use crate::config::{self, Objection};
use crate::diagnose::Languages;

/// What every page of a site has in common.
#[derive(Debug, Default)]
pub struct Pages {
    pub languages: Languages,
}

impl Pages {
    /// The pages that a configuration asks for.
    ///
    /// # Errors
    /// Everything that is wrong in the files that it names.
    pub fn of(page: &config::Page) -> Result<Pages, Vec<Objection>> {
        Ok(Pages { languages: Languages::of(page)? })
    }
}
