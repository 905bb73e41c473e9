//! axe-core, the checker of accessibility, in the page under test.
//!
//! It comes in through the debugger, which the page's policy does not bind; the policy holds for
//! all that the page itself does.

use std::fs;

use super::chromium::Tab;
use super::views::strings;

/// Where `tests/run` puts it; the version is pinned there, too.
const SOURCE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/axe-core-4.14.1/package/axe.min.js");

/// The world of axe in every page: a page's script does not meet it.
const WORLD: &str = "axe";

/// The rules of WCAG 2.0 to 2.2, levels A and AA, and those that axe calls good practice.
const ALL: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";
/// The rules that heed colours; the others find in one scheme what they find in another.
const COLOURS: &str = "{ type: 'rule', values: ['color-contrast', 'link-in-text-block'] }";

/// Has axe be in every page that the tab opens from now on.
pub fn install(tab: &mut Tab) {
    let source = fs::read_to_string(SOURCE).unwrap_or_else(|error| {
        panic!(
            "{SOURCE}: {error}\naxe-core is missing: `tests/run` fetches it; by hand, in {}: \
             mkdir axe-core-4.14.1 && npm pack axe-core@4.14.1 && \
             tar -xzf axe-core-4.14.1.tgz -C axe-core-4.14.1",
            env!("CARGO_TARGET_TMPDIR")
        )
    });
    tab.add_script(WORLD, &source);
}

/// What axe finds in the page, with all that folds opened.
pub fn violations(tab: &mut Tab) -> Vec<String> {
    run(tab, ALL)
}

/// What it finds wrong with the colours alone.
pub fn pale(tab: &mut Tab) -> Vec<String> {
    run(tab, COLOURS)
}

/// Tells of each rule that is broken, and where.
fn run(tab: &mut Tab, rules: &str) -> Vec<String> {
    let script = format!(
        "document.querySelectorAll('details').forEach(details => details.open = true);
        axe.run(document, {{ runOnly: {rules}, resultTypes: ['violations'], preload: false }})
        .then(found => found.violations.flatMap(rule => rule.nodes.map(node =>
            `${{rule.id}}: ${{node.html.slice(0, 200)}} ` +
            node.failureSummary.replace(/\\s+/g, ' '))))"
    );
    strings(&tab.evaluate_in(WORLD, &script))
}
