//! In which language an answer is written, from `Accept-Language` (RFC 9110 section 12.5.4).
//!
//! Lookup of RFC 4647 section 3.4: the visitor's ranges by weight, each shortened from its end
//! until the site has it. Chinese is two scripts under one name: who reads the traditional one is
//! not handed the simplified one while anything else on his list is there. The items are read by
//! `items`, within bounds and without failing. Pure.

use std::cmp::Reverse;

use http::header::{ACCEPT_LANGUAGE, HeaderMap};

use super::items::{self, WEIGHT_MAX};

/// A language range that the visitor names, and its weight in thousandths.
#[derive(Debug, Clone, Copy)]
struct Wish<'h> {
    range: &'h str,
    weight: u16,
}

/// Chooses among the languages of the site, given by their tags, the default in front; the position
/// of the one that was chosen.
pub fn choose(headers: &HeaderMap, offered: &[Box<str>]) -> usize {
    if offered.len() < 2 {
        return 0;
    }
    let mut wishes = Vec::new();
    items::each(headers, ACCEPT_LANGUAGE, |item| wishes.extend(read(item)));
    // Stable: of two with the same weight the one that was named first.
    wishes.sort_by_key(|wish| Reverse(wish.weight));
    let refused = |tag: &str| wishes.iter().any(|wish| wish.weight == 0 && wish.covers(tag));
    let open = |at: &usize| !refused(&offered[*at]);
    let (mut traditional, mut any_chinese) = (false, false);
    for wish in wishes.iter().filter(|wish| wish.weight > 0) {
        let is_chinese = wish.range.eq_ignore_ascii_case("zh");
        if wish.range == "*" || is_chinese && traditional {
            any_chinese = true;
            continue;
        }
        if let Some(at) = lookup(wish.range, offered).filter(open) {
            return at;
        }
        traditional |= script(wish.range) == Some(Script::Traditional);
    }
    let chinese = (traditional && any_chinese).then(|| lookup("zh", offered).filter(open));
    // `*` stands for whatever is there, and what is there first is the site's own choice.
    chinese.flatten().or_else(|| (0..offered.len()).find(open)).unwrap_or(0)
}

/// One item; `None` if it names no basic language range (RFC 4647 section 2.1).
fn read(item: &[u8]) -> Option<Wish<'_>> {
    let (range, mut parameters) = items::named(item);
    let range = std::str::from_utf8(range).ok()?;
    let subtag = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if range != "*" && !range.split('-').all(subtag) {
        return None;
    }
    let weight = match parameters.find(|(name, _)| items::is_weight(name)) {
        Some((_, value)) => items::weight(value)?,
        None => WEIGHT_MAX,
    };
    Some(Wish { range, weight })
}

impl Wish<'_> {
    /// Whether the range is the tag or begins it (RFC 4647 section 3.3.1).
    fn covers(&self, tag: &str) -> bool {
        let begins = tag.get(..self.range.len());
        let rest = tag.as_bytes().get(self.range.len());
        begins.is_some_and(|begin| begin.eq_ignore_ascii_case(self.range))
            && rest.is_none_or(|&byte| byte == b'-')
    }
}

/// The position of the tag that a range leads to.
fn lookup(range: &str, offered: &[Box<str>]) -> Option<usize> {
    let wanted = script(range);
    let readable = |tag: &str| wanted.is_none() || script(tag) == wanted;
    let mut left = Some(range);
    while let Some(range) = left {
        let same = |tag: &str| tag.eq_ignore_ascii_case(range) && readable(tag);
        if let Some(at) = offered.iter().position(|tag| same(tag)) {
            return Some(at);
        }
        left = shorter(range);
    }
    // The same script under the name of another place.
    wanted?;
    offered.iter().position(|tag| readable(tag))
}

/// A range without its last subtag, and without the single letter that may then be its last.
fn shorter(range: &str) -> Option<&str> {
    let (rest, _) = range.rsplit_once('-')?;
    match rest.rsplit_once('-') {
        Some((before, last)) if last.len() == 1 => Some(before),
        Some(_) | None => Some(rest),
    }
}

/// The two scripts in which Chinese is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Simplified,
    Traditional,
}

/// The script of a Chinese tag: the one that it names, else that of the place, else the one that
/// most readers of Chinese have; `None` for other languages.
fn script(tag: &str) -> Option<Script> {
    let mut subtags = tag.split('-');
    if !subtags.next()?.eq_ignore_ascii_case("zh") {
        return None;
    }
    let is =
        |subtag: &str, names: &[&str]| names.iter().any(|name| subtag.eq_ignore_ascii_case(name));
    // The script stands before the place (RFC 5646 section 2.1), so the first of the two decides.
    let traditional = subtags.find_map(|subtag| match subtag {
        hant if is(hant, &["hant", "tw", "hk", "mo"]) => Some(Script::Traditional),
        hans if is(hans, &["hans", "cn", "sg", "my"]) => Some(Script::Simplified),
        _ => None,
    });
    Some(traditional.unwrap_or(Script::Simplified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::items::{BYTES_MAX, ITEMS_MAX};
    use http::HeaderValue;
    use proptest::prelude::*;

    const OURS: [&str; 4] = ["en", "ru", "zh", "vi"];

    fn chosen(offered: &[&str], lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_LANGUAGE, HeaderValue::from_str(line).unwrap());
        }
        let offered: Vec<Box<str>> = offered.iter().map(|tag| (*tag).into()).collect();
        offered[choose(&headers, &offered)].to_string()
    }

    #[test]
    fn real_browsers_get_their_language() {
        for (line, expected) in [
            // Chrome and Edge.
            ("en-US,en;q=0.9", "en"),
            ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
            ("ru,en;q=0.9,uk;q=0.8", "ru"),
            ("uk-UA,uk;q=0.9,ru;q=0.8,en-US;q=0.7,en;q=0.6", "ru"),
            ("zh-CN,zh;q=0.9", "zh"),
            ("zh-CN,zh;q=0.9,en;q=0.8,en-GB;q=0.7,en-US;q=0.6", "zh"),
            ("zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7", "en"),
            ("zh-HK,zh;q=0.9,en;q=0.8", "en"),
            ("zh-TW,zh;q=0.9", "zh"),
            ("zh-TW,zh-CN;q=0.9,zh;q=0.8,en;q=0.7", "zh"),
            ("vi-VN,vi;q=0.9,fr-FR;q=0.8,fr;q=0.7,en-US;q=0.6,en;q=0.5", "vi"),
            ("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "en"),
            ("de-DE,de;q=0.9", "en"),
            // Firefox.
            ("en-US,en;q=0.5", "en"),
            ("ru-RU,ru;q=0.8,en-US;q=0.5,en;q=0.3", "ru"),
            ("zh-CN,zh;q=0.8,zh-TW;q=0.7,zh-HK;q=0.5,en-US;q=0.3,en;q=0.2", "zh"),
            ("zh-TW,zh;q=0.8,en-US;q=0.5,en;q=0.3", "en"),
            ("vi-VN,vi;q=0.8,en-US;q=0.5,en;q=0.3", "vi"),
            // Safari, on a Mac and on a telephone.
            ("ru", "ru"),
            ("en-GB,en;q=0.9", "en"),
            ("zh-CN,zh-Hans;q=0.9", "zh"),
            ("zh-TW,zh-Hant;q=0.9", "en"),
            ("zh-Hant-HK", "en"),
            ("vi-VN,vi;q=0.9", "vi"),
            // Java, and a browser that sends what the system calls it.
            ("ru-RU, *;q=0.5", "ru"),
            ("zh-Hans-CN", "zh"),
            // Crawlers and programs.
            ("en-us,en-gb,en;q=0.7,*;q=0.3", "en"),
            ("*", "en"),
            ("", "en"),
        ] {
            assert_eq!(chosen(&OURS, &[line]), expected, "{line}");
        }
        assert_eq!(chosen(&OURS, &[]), "en");
    }

    #[test]
    fn traditional_chinese_is_not_silently_simplified() {
        for (line, expected) in [
            ("zh-TW", "en"),
            ("zh-HK", "en"),
            ("zh-MO", "en"),
            ("zh-Hant", "en"),
            ("zh-Hant-TW", "en"),
            ("ZH-HANT-cn", "en"),
            ("zh-TW, *;q=0.1", "zh"),
            ("zh-TW, zh;q=0.1", "zh"),
            ("zh-TW, zh;q=0.9, vi;q=0.1", "vi"),
            ("zh-TW, vi;q=0.5, ru;q=0.6, *;q=0.9", "ru"),
            ("zh-TW, *, zh;q=0", "en"),
            ("zh;q=0.9, zh-TW;q=0.8, en;q=0.7", "zh"),
            ("zh-SG", "zh"),
            ("zh-Hans-TW", "zh"),
            ("zh-Hans-SG-x-a", "zh"),
        ] {
            assert_eq!(chosen(&OURS, &[line]), expected, "{line}");
        }
        let both = ["en", "zh-Hans", "zh-TW"];
        for (line, expected) in
            [("zh-HK", "zh-TW"), ("zh-Hant", "zh-TW"), ("zh", "zh-Hans"), ("zh-CN", "zh-Hans")]
        {
            assert_eq!(chosen(&both, &[line]), expected, "{line}");
        }
        assert_eq!(chosen(&["en", "zh-TW"], &["zh-CN,zh;q=0.9"]), "en");
    }

    #[test]
    fn the_heaviest_wins_and_ranges_are_shortened() {
        for (line, expected) in [
            ("en;q=0.1, ru;q=0.2", "ru"),
            ("ru;q=0.5, vi;q=0.5", "ru"),
            ("VI-vn", "vi"),
            ("vi-x-private-use", "vi"),
            ("ru-Cyrl-RU-u-ca-gregory", "ru"),
            ("fr, de, *;q=0.5", "en"),
            ("*, vi;q=0.1", "vi"),
        ] {
            assert_eq!(chosen(&OURS, &[line]), expected, "{line}");
        }
        assert_eq!(chosen(&OURS, &["fr", "vi"]), "vi", "two lines are one list");
        // A range names no longer tag.
        assert_eq!(chosen(&["en", "pt-BR"], &["pt"]), "en");
        assert_eq!(chosen(&["en", "pt-BR"], &["pt-br-x-a"]), "pt-BR");
        assert_eq!(chosen(&["de"], &["en"]), "de");
    }

    #[test]
    fn zero_excludes() {
        for (line, expected) in [
            ("en;q=0", "ru"),
            ("en;q=0, ru;q=0.000", "zh"),
            ("en;q=0, en-US", "ru"),
            ("ru-RU;q=0, ru", "ru"),
            ("*;q=0, vi", "vi"),
            ("*;q=0", "en"),
            ("en;q=0, ru;q=0, zh;q=0, vi;q=0", "en"),
        ] {
            assert_eq!(chosen(&OURS, &[line]), expected, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        for (line, expected) in [
            ("ru;q=2, vi;q=0.1", "vi"),
            ("ru;q=x, vi;q=0.1", "vi"),
            ("ru_RU, vi;q=0.1", "vi"),
            (";;;,,=,ru", "ru"),
            ("-, ru-, -ru, vi", "vi"),
            ("abcdefghi, vi", "vi"),
            ("*-CH, vi", "vi"),
            ("\"ru, vi", "en"),
        ] {
            assert_eq!(chosen(&OURS, &[line]), expected, "{line}");
        }
        let many = "fr,".repeat(ITEMS_MAX);
        assert_eq!(chosen(&OURS, &[&format!("{many}ru")]), "en");
        assert_eq!(chosen(&OURS, &[&format!("{}ru", &many[3..])]), "ru");
        let long = format!("fr;x={}", "y".repeat(BYTES_MAX - 6));
        assert_eq!(chosen(&OURS, &[&format!("{long},ru")]), "en");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_language(
            lines in prop::collection::vec(prop::collection::vec(0x20u8..=0xff, 0..200), 0..40),
            count in 1usize..=4,
        ) {
            let mut headers = HeaderMap::new();
            for line in &lines {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    headers.append(ACCEPT_LANGUAGE, value);
                }
            }
            let offered: Vec<Box<str>> = OURS[..count].iter().map(|tag| (*tag).into()).collect();
            prop_assert!(choose(&headers, &offered) < count);
        }

        #[test]
        fn any_list_of_ranges_gives_a_language_that_is_not_refused(
            line in "(\\*|(en|ru|zh|vi|fr)(-(Hant|Hans|TW|CN|x|a1))?(;q=(0|1|0\\.[0-9]{1,3})))\
                (,(en|ru|zh|vi|fr)(-(Hant|Hans|TW|CN|x|a1)){0,2}(;q=(0|1|0\\.[0-9]{1,3}))?){0,9}"
        ) {
            let language = chosen(&OURS, &[&line]);
            let zero = |weight: &str| weight.bytes().all(|byte| b"0.".contains(&byte));
            let refused = |tag: &str| line.split(',').any(|item| {
                item.strip_prefix(tag).and_then(|rest| rest.strip_prefix(";q=")).is_some_and(zero)
            });
            prop_assert!(!refused(&language) || OURS.iter().all(|tag| refused(tag)), "{}", line);
        }
    }
}
