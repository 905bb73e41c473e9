//! The catalogues that explain our messages in a journal: `journalctl -x`.
//!
//! One file a language, in the format of systemd's own (https://systemd.io/CATALOG): an entry for
//! each cause and each event, from the same words as the page. What stands between two `@` is
//! filled in from the fields of the message that is explained.

use crate::diagnose::{self, Audience, Code, MessageId, Words};

use super::generate::Part;

/// The catalogue of every language that is compiled in.
pub fn parts() -> impl Iterator<Item = Part> {
    diagnose::languages()
        .iter()
        .map(|words| Part { name: file_name(&words.language), bytes: catalog(words).into_bytes() })
}

/// A journal takes the language from the file's name: `NAME.LANGUAGE.catalog`. It looks for that of
/// the whole locale, then for that of its language alone; nobody's locale is a bare `zh`.
fn file_name(language: &str) -> String {
    match language {
        "en" => "causeway.catalog".to_owned(),
        "zh" => "causeway.zh_CN.catalog".to_owned(),
        other => format!("causeway.{other}.catalog"),
    }
}

fn catalog(words: &Words) -> String {
    let mut text = String::new();
    for code in Code::all() {
        let cause = words.cause(code);
        text.push_str(&head(code.into(), &cause.title));
        text.push_str(&format!("{}\n\n", cause.operator));
        for fix in diagnose::fix_ids(code).filter(|fix| fix.audience() == Audience::Operator) {
            text.push_str(&format!("- {}\n", words.fix(fix).title));
        }
        text.push_str(&format!("\ncauseway explain {}\n\n", code.name()));
    }
    text
}

fn head(id: MessageId, subject: &str) -> String {
    format!("-- {id}\nSubject: {subject}\nDefined-By: causeway\n\n")
}
