//! A number in words: which form of a word a number takes is the language's own rule.
//!
//! The categories are those of CLDR; the rules come from a library that carries them all, so that
//! an operator's own language has them too. Pure.

use intl_pluralrules::{PluralCategory, PluralRuleType, PluralRules};
use serde::{Deserialize, Serialize};
use unic_langid::LanguageIdentifier;

/// A phrase with a number in it, in every form that the language knows; `{n}` is the number.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    zero: Option<String>,
    one: Option<String>,
    two: Option<String>,
    few: Option<String>,
    many: Option<String>,
    other: String,
}

/// The categories of CLDR, by their names there.
const FORMS: [(&str, PluralCategory); 6] = [
    ("zero", PluralCategory::ZERO),
    ("one", PluralCategory::ONE),
    ("two", PluralCategory::TWO),
    ("few", PluralCategory::FEW),
    ("many", PluralCategory::MANY),
    ("other", PluralCategory::OTHER),
];

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

    /// The forms that whole numbers of a language take and that are not here, and those that are
    /// here and that no number takes; `other` is no fault, since every table has it.
    pub fn faults(&self, language: &str) -> (Vec<&'static str>, Vec<&'static str>) {
        let numbers = (0..=200).chain([1_000, 1_000_000, 1_000_001]);
        let taken: Vec<_> = numbers.map(|number| category(language, number)).collect();
        let (mut missing, mut idle) = (Vec::new(), Vec::new());
        for (name, form) in FORMS {
            match (taken.contains(&form), self.form(&form)) {
                (true, None) => missing.push(name),
                (false, Some(_)) if form != PluralCategory::OTHER => idle.push(name),
                (_, _) => {}
            }
        }
        (missing, idle)
    }

    /// Every form that is here, by its name.
    pub fn forms(&self) -> impl Iterator<Item = (&'static str, &str)> {
        FORMS.into_iter().filter_map(|(name, form)| Some((name, self.form(&form)?.as_str())))
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
