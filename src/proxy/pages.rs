//! What the pages of one configuration are made of, for all workers: its languages, and the page
//! and style of its own.
//!
//! Made and proven when the configuration is loaded, before any worker hears of it.

use crate::config::{self, Fault, Objection, Place, TextFile};
use crate::diagnose::Languages;
use crate::page::{Own, OwnFault, Part};

/// What every page of a site has in common.
#[derive(Debug, Default)]
pub struct Pages {
    pub languages: Languages,
    pub own: Option<Own>,
}

impl Pages {
    /// The pages that a configuration asks for.
    ///
    /// # Errors
    /// Everything that is wrong in the files that it names.
    pub fn of(page: &config::Page) -> Result<Pages, Vec<Objection>> {
        let languages = Languages::of(page);
        let text = |file: &Option<TextFile>| file.as_ref().map(|file| file.text.clone());
        let (template, style) = (text(&page.template), text(&page.style));
        // A template is tried with the words there are, so that its own mistakes are told too.
        let tried = languages.as_ref().cloned().unwrap_or_default();
        let own = Own::new(template.as_deref(), style.as_deref(), &tried);
        let own = own.map_err(|faults| faults.into_iter().map(objection).collect::<Vec<_>>());
        match (languages, own) {
            (Ok(languages), Ok(own)) => Ok(Pages { languages, own }),
            (languages, own) => {
                let objections = [languages.err(), own.err()];
                Err(objections.into_iter().flatten().flatten().collect())
            }
        }
    }
}

fn objection(fault: OwnFault) -> Objection {
    let place = match fault.part {
        Part::Template => Place::Template,
        Part::Style => Place::Style,
    };
    let told = Fault { message: fault.message, expected: fault.expected, nearest: None };
    Objection { place, problem: told.at(fault.span) }
}
