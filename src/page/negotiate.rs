//! Which format an answer takes, from `Accept` (RFC 9110 section 12.5.1).
//!
//! HTML goes only to who names it: a bare `*/*` is curl's, or an image tag's, and gets plain text.
//! The items are read by `items`, within bounds and without failing. Pure.

use http::header::{ACCEPT, HeaderMap};

use super::items::{self, WEIGHT_MAX};

/// The format of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `text/html`
    Html,
    /// `application/problem+json` (RFC 9457)
    ProblemJson,
    /// `text/plain; charset=utf-8`
    Text,
}

/// Chooses the format for a request.
pub fn negotiate(headers: &HeaderMap) -> Format {
    let mut wishes = Wishes::default();
    items::each(headers, ACCEPT, |item| wishes.add(item));
    wishes.choose()
}

/// The weights that the items seen so far give to our formats, each with how exactly they name it.
#[derive(Default)]
struct Wishes {
    html: Wish,
    json: Wish,
    text: Wish,
    /// `*/*`: it decides for text, and for the others only when text is excluded.
    anything: Wish,
}

/// A weight in thousandths and the rank of the item that gave it; rank 0 is no item.
#[derive(Debug, Default, Clone, Copy)]
struct Wish {
    rank: u8,
    weight: u16,
}

/// Ranks: how exactly an item names a format. A parameter that we do not send makes a range name
/// something else than our answer, though something near it.
const ALL: u8 = 1;
const TYPE: u8 = 2;
const NEAR: u8 = 3;
const EXACT: u8 = 5;

impl Wishes {
    fn add(&mut self, item: &[u8]) {
        let Some((range, weight, foreign)) = read_item(item) else { return };
        let rank = if foreign { NEAR } else { EXACT };
        let is = |name: &str| range.eq_ignore_ascii_case(name.as_bytes());
        // Old Java sends `*` for `*/*`.
        if is("*/*") || is("*") {
            self.anything.raise(ALL, weight);
            self.text.raise(ALL, weight);
        } else if is("text/*") {
            self.html.raise(TYPE, weight);
            self.text.raise(TYPE, weight);
        } else if is("application/*") {
            self.json.raise(TYPE, weight);
        } else if is("text/html") {
            self.html.raise(rank, weight);
        } else if is("application/problem+json") {
            self.json.raise(rank, weight);
        } else if is("application/json") {
            // One below the name of what we send, which wins where both are there.
            self.json.raise(rank - 1, weight);
        } else if is("text/plain") {
            self.text.raise(rank, weight);
        }
    }

    /// The heaviest wins; on a tie HTML, then JSON, then text.
    fn choose(&self) -> Format {
        let best = self.html.weight.max(self.json.weight).max(self.text.weight);
        if best == 0 {
            self.last_resort()
        } else if self.html.weight == best {
            Format::Html
        } else if self.json.weight == best {
            Format::ProblemJson
        } else {
            Format::Text
        }
    }

    /// Nothing of ours is wanted by name: text, unless it alone is refused.
    fn last_resort(&self) -> Format {
        let open = self.anything.weight > 0 && self.text.rank > ALL;
        if open && self.html.rank == 0 {
            Format::Html
        } else if open && self.json.rank == 0 {
            Format::ProblemJson
        } else {
            Format::Text
        }
    }
}

impl Wish {
    /// Takes a weight over: the more exact item decides, of equal ones the heavier.
    fn raise(&mut self, rank: u8, weight: u16) {
        if rank > self.rank || (rank == self.rank && weight > self.weight) {
            *self = Wish { rank, weight };
        }
    }
}

/// A media range, its weight, and whether it has parameters that our answers lack.
fn read_item(item: &[u8]) -> Option<(&[u8], u16, bool)> {
    let (range, parameters) = items::named(item);
    let mut foreign = false;
    for (name, value) in parameters {
        if items::is_weight(name) {
            // The weight is the last parameter of the range; what follows is no business of ours.
            return Some((range, items::weight(value)?, foreign));
        }
        let charset = name.eq_ignore_ascii_case(b"charset") && is_utf8(value);
        foreign |= !name.is_empty() && !charset;
    }
    Some((range, WEIGHT_MAX, foreign))
}

fn is_utf8(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"utf-8") || value.eq_ignore_ascii_case(b"\"utf-8\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::items::{BYTES_MAX, ITEMS_MAX};
    use http::HeaderValue;
    use proptest::prelude::*;

    fn check(lines: &[&str], expected: Format) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        assert_eq!(negotiate(&headers), expected, "{lines:?}");
    }

    #[test]
    fn real_clients_get_what_they_read() {
        check(&[], Format::Text);
        check(&["*/*"], Format::Text); // curl, an image tag of Safari, fetch()
        check(
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            Format::Html, // Firefox
        );
        check(&["image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8"], Format::Text);
        check(&["application/json, text/plain, */*"], Format::ProblemJson); // axios
        check(&["application/problem+json"], Format::ProblemJson);
        check(&["application/json"], Format::ProblemJson);
        check(&["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"], Format::Html); // Java
        check(&["image/png"], Format::Text);
    }

    #[test]
    fn the_heaviest_wins_and_the_most_exact_decides() {
        check(&["text/html;q=0.5, application/json"], Format::ProblemJson);
        check(&["text/html;q=0.5", "application/json;q=0.4"], Format::Html);
        check(&["text/plain, application/problem+json, text/html"], Format::Html);
        check(&["text/plain, application/problem+json"], Format::ProblemJson);
        check(&["text/html;q=0.001, text/plain;q=0.002"], Format::Text);
        check(&["text/*, text/html;q=0.3"], Format::Text);
        check(&["text/*"], Format::Html);
        check(&["application/*"], Format::ProblemJson);
        check(
            &["application/json;q=0.9, application/problem+json;q=0.1, text/html;q=0.5"],
            Format::Html,
        );
        check(&["TEXT/HTML;Q=0.7;ext=\"a,b\", text/plain;q=0.6"], Format::Html);
        check(&["text/html;level=1;q=0.1, text/html;q=0.9, text/plain;q=0.5"], Format::Html);
        check(
            &["text/html;charset=UTF-8;q=0.2, text/html;level=1, text/plain;q=0.5"],
            Format::Text,
        );
    }

    #[test]
    fn zero_excludes() {
        check(&["text/html;q=0, */*"], Format::Text);
        check(&["text/html;q=0.0, application/json;q=0.000, text/plain;q=0.1"], Format::Text);
        check(&["text/plain;q=0, */*"], Format::Html);
        check(&["text/plain;q=0, text/html;q=0, */*"], Format::ProblemJson);
        check(&["text/*;q=0, */*"], Format::ProblemJson);
        check(&["*/*;q=0"], Format::Text);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        check(&["text/html;q=2, application/json;q=0.1"], Format::ProblemJson);
        check(&["text/html;q=x"], Format::Text);
        check(&[";;;,,=,text/html"], Format::Html);
        check(&["text/plain;x=\"unclosed, text/html"], Format::Text);
    }

    #[test]
    fn a_bounded_part_is_read() {
        let many = "a/b,".repeat(ITEMS_MAX);
        check(&[&(many.clone() + "text/html")], Format::Text);
        check(&[&(many[4..].to_owned() + "text/html")], Format::Html);
        let long = format!("a/{}, ", "b".repeat(BYTES_MAX - 18));
        check(&[&(long.clone() + "text/html;q=0.9, text/plain")], Format::Text);
        check(&[&long, "text/html, */*"], Format::Html);
        check(&[&long, "text/html;q=0.9, */*"], Format::Text);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_format(lines in prop::collection::vec(
            prop::collection::vec(0x20u8..=0xff, 0..200), 0..40,
        )) {
            let mut headers = HeaderMap::new();
            for line in &lines {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    headers.append(ACCEPT, value);
                }
            }
            negotiate(&headers);
        }

        #[test]
        fn any_list_of_tokens_gives_a_format(
            line in "((text|application|\\*)/(html|json|problem\\+json|plain|\\*)\
                (;q=[01]?\\.?[0-9]{0,5})?[,;\" ]){0,60}"
        ) {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(&line).unwrap());
            negotiate(&headers);
        }
    }
}
