//! The README's own examples, so that what it tells an operator to write is what was tried.

/// The blocks of code in a language, in order.
pub fn blocks(language: &str) -> Vec<String> {
    let text = include_str!("../../README.md");
    let mut blocks = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(found)) => {
                // One of another language is passed over, with its end.
                open = Some(if found == language { Vec::new() } else { vec!["\0"] });
            }
            (Some(lines), Some(_)) => {
                if lines.first() != Some(&"\0") {
                    blocks.push(lines.join("\n") + "\n");
                }
                open = None;
            }
            (Some(lines), None) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

/// The only block of a language that holds a text.
pub fn block(language: &str, holds: &str) -> String {
    let mut found: Vec<String> = blocks(language);
    found.retain(|block| block.contains(holds));
    assert_eq!(found.len(), 1, "not one block in the README with `{holds}`: {found:#?}");
    found.remove(0)
}
