//! A number in words: which form of a word a number takes is the language's own rule.
//!
//! The categories are those of CLDR; the rules come from a library that carries them all, so that
//! an operator's own language has them too. Pure.

use intl_pluralrules::{PluralCategory, PluralRuleType, PluralRules};
use serde::Deserialize;
use unic_langid::LanguageIdentifier;

/// A phrase with a number in it, in every form that the language knows; `{n}` is the number.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    zero: Option<String>,
    one: Option<String>,
    two: Option<String>,
    few: Option<String>,
    many: Option<String>,
    other: String,
}

impl Counted {
    /// The phrase for a number.
    pub fn of(&self, language: &str, number: u64) -> String {
        let form = self.form(&category(language, number)).unwrap_or(&self.other);
        form.replace("{n}", &number.to_string())
    }

    fn form(&self, category: &PluralCategory) -> Option<&String> {
        match category {
            PluralCategory::ZERO => self.zero.as_ref(),
            PluralCategory::ONE => self.one.as_ref(),
            PluralCategory::TWO => self.two.as_ref(),
            PluralCategory::FEW => self.few.as_ref(),
            PluralCategory::MANY => self.many.as_ref(),
            PluralCategory::OTHER => Some(&self.other),
        }
    }

    /// Panics unless there are exactly the forms that whole numbers of the language take.
    #[cfg(test)]
    pub fn proven(&self, language: &str) {
        use PluralCategory::{FEW, MANY, ONE, OTHER, TWO, ZERO};
        let numbers = (0..=200).chain([1_000, 1_000_000, 1_000_001]);
        let taken: Vec<_> = numbers.map(|number| category(language, number)).collect();
        for form in &[ZERO, ONE, TWO, FEW, MANY, OTHER] {
            let (needed, text) = (taken.contains(form), self.form(form));
            // A table always has `other`: it is what a language without forms has.
            assert!(needed == text.is_some() || *form == OTHER, "{language}: {form:?} in {self:?}");
            assert!(
                text.is_none_or(|text| text.contains("{n}")),
                "{language}: no number in {self:?}"
            );
        }
    }
}

/// The category of a number; `OTHER` in a language that nobody has rules for.
fn category(language: &str, number: u64) -> PluralCategory {
    let language = language.parse::<LanguageIdentifier>().ok();
    let rules = language.and_then(|tag| PluralRules::create(tag, PluralRuleType::CARDINAL).ok());
    // Beyond 32 bits a library's operand may not reach, and no phrase of a page does.
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let chosen = rules.and_then(|rules| rules.select(number).ok());
    chosen.unwrap_or(PluralCategory::OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_the_form_of_its_language() {
        let minutes: Counted = toml::from_str(
            "one = \"{n} минуту\"\nfew = \"{n} минуты\"\nmany = \"{n} минут\"\nother = \"{n} мин\"",
        )
        .unwrap();
        for (number, told) in [
            (1, "1 минуту"),
            (2, "2 минуты"),
            (5, "5 минут"),
            (11, "11 минут"),
            (21, "21 минуту"),
            (22, "22 минуты"),
            (112, "112 минут"),
        ] {
            assert_eq!(minutes.of("ru", number), told);
        }
        assert_eq!(minutes.of("zh", 1), "1 мин");
        assert_eq!(minutes.of("x!", 1), "1 мин");
    }
}
