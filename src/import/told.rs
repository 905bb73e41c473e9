//! What the directives of one block say that is not read where the block is read: most of all that
//! they are not carried over.
//!
//! Pure. The tables are in `known`; here stand those whose words decide.

use super::known;
use super::notes::{Home, Notes};
use super::tree::Directive;

/// What the directives of a block say that is not read where the block is.
pub fn tell(notes: &mut Notes, home: Home, block: &[Directive]) {
    notes.survey(home, block);
    for directive in block {
        let first = directive.argument(0);
        match directive.name.as_str() {
            "alias" | "stub_status" | "empty_gif" | "uwsgi_pass" | "scgi_pass" | "grpc_pass"
            | "memcached_pass" => notes.known(home, directive),
            "expires" if first != "off" => notes.known(home, directive),
            "rewrite" => notes.known(home, directive),
            "return" if !is_told_elsewhere(directive) => notes.known(home, directive),
            "add_header" if !first.eq_ignore_ascii_case("strict-transport-security") => {
                let instead = "let the application send it, or Apache by mod_headers";
                notes.lost(home, directive, "answers go on as the upstream wrote them", instead);
            }
            "set" if first != "$path_info" => remark_known(notes, home, directive),
            "map" if first != "$http_upgrade" => remark_known(notes, home, directive),
            "if" => condition(notes, home, directive),
            "include" => {
                let instead = "import it where the file is";
                notes.lost(home, directive, "there is no such file here", instead);
            }
            _ => {}
        }
    }
}

fn is_told_elsewhere(directive: &Directive) -> bool {
    let address = directive.arguments.last().map_or("", String::as_str);
    matches!(directive.argument(0), "403" | "404" | "410" | "444")
        || address.starts_with("https://") && address.ends_with("uri")
}

fn remark_known(notes: &mut Notes, home: Home, directive: &Directive) {
    if let Some(lost) = known::lost(&directive.name) {
        notes.remark(home, directive, lost.why, lost.instead);
    }
}

/// Conditions are not carried over, but for two that are read elsewhere.
fn condition(notes: &mut Notes, home: Home, directive: &Directive) {
    let inside = directive.inside();
    let redirects = inside.iter().any(|inner| inner.name == "return" && is_told_elsewhere(inner));
    let text: String = directive.arguments.concat();
    let about_scheme = text.starts_with("($host=") || text.starts_with("($scheme");
    let fronts = matches!(text.as_str(), "(!-e$request_filename)" | "(!-f$request_filename)")
        && inside.iter().all(|inner| matches!(inner.name.as_str(), "rewrite" | "break" | "last"));
    if !(redirects && about_scheme || fronts) {
        notes.lost(home, directive, "there are no conditions", "do it in the application");
    }
}
