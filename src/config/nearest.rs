//! Which of the right names the operator probably meant.
//!
//! Pure: an edit distance and a threshold. It knows no key and no value of the configuration.

/// Returns the candidate nearest to `word`, unless all of them are too far away to be meant.
///
/// Capitals do not count, and `-` counts as `_`. A third of the letters may differ, and one of the
/// two may end early.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word);
    // Nobody means a name of ours with a word this long, and the distance is quadratic.
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (fold(candidate), candidate))
        .filter_map(|(folded, candidate)| {
            let distance = distance(&word, &folded);
            let near = distance <= allowed && distance < folded.len();
            (near || begins_alike(&word, &folded)).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `warning` and `warn`; fewer than three letters say nothing.
fn begins_alike(a: &[char], b: &[char]) -> bool {
    a.len().min(b.len()) >= 3 && (a.starts_with(b) || b.starts_with(a))
}

fn fold(word: &str) -> Vec<char> {
    word.chars()
        .map(|letter| if letter == '-' { '_' } else { letter.to_ascii_lowercase() })
        .collect()
}

/// Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitution = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("servers", "servers", 0),
            ("server", "servers", 1),
            ("sevrers", "servers", 1),
            ("first_bite", "first_byte", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(&fold(a), &fold(b)), expected, "{a} {b}");
            assert_eq!(distance(&fold(b), &fold(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn nearest_names() {
        let names = ["servers", "hosts", "paths", "listen", "first_byte", "ca"];
        for (word, expected) in [
            ("server", Some("servers")),
            ("Hosts", Some("hosts")),
            ("first-byte", Some("first_byte")),
            ("firstbyte", Some("first_byte")),
            ("lsiten", Some("listen")),
            ("cs", Some("ca")),
            ("first", Some("first_byte")),
            ("pathspecs", Some("paths")),
            ("x", None),
            ("bananas", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
    }
}
