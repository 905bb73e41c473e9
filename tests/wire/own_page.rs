//! A page and a style of the operator's own, as readers and operators meet them.

use std::fs;

use super::client::{Answer, Client};
use super::proxy::Program;

/// No socket is there.
const NOBODY: &str = "http+unix:/nonexistent/app.sock";

const TEMPLATE: &str = r#"<!doctype html>
<html lang="{{ language }}">
<style>{{ style }}</style>
<h1>{{ title }}</h1>
<p>{{ explanation }} {{ fate }}</p>
{% for fix in fixes %}<h2>{{ fix.title }}</h2>{% for step in fix.steps %}<p>{{ step }}</p>{% endfor %}{% endfor %}
<p id="id">{{ incident }} {{ time }}</p>
{% for key, value in evidence|items %}<p>{{ key }}={{ value }}</p>{% endfor %}
"#;

/// A proxy before nobody with these lines in `[page]`, and the template in its file.
fn program(template: &str, page: &str) -> (Program, String) {
    let program = Program::before(NOBODY, "");
    fs::write(program.path("page.html"), template).unwrap();
    fs::write(program.path("page.css"), "h1{color:teal}").unwrap();
    let lines = format!(
        "[upstream.app]\nservers = [\"{NOBODY}\"]\n[page]\ntemplate = \"{}\"\nstyle = \"{}\"\n{page}",
        program.path("page.html").display(),
        program.path("page.css").display()
    );
    program.configure(&lines);
    program.signal("HUP");
    (program, lines)
}

fn ask(program: &Program, path: &str, accept: &str) -> Answer {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example\r\nAccept: {accept}\r\n\
         Connection: close\r\n\r\n"
    );
    Client::sent(program.address, request).answer("GET")
}

fn incident(answer: &Answer) -> String {
    let (_, rest) = answer.body.split_once("<p id=\"id\">").unwrap();
    rest.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_visitor_gets_the_template_without_evidence_and_an_operator_with_it() {
    let (visitors, _) = program(TEMPLATE, "operators = []\n");
    visitors.said("reloaded", 1);
    let pages = [0, 1].map(|_| ask(&visitors, "/", "text/html"));
    assert_ne!(incident(&pages[0]), incident(&pages[1]), "the second is a copy with other numbers");
    for page in &pages {
        assert_eq!(page.status, 502);
        assert!(page.body.contains("<style>h1{color:teal}</style>"), "{page:?}");
        assert!(page.body.contains("<h1>The "), "{page:?}");
        assert!(!page.body.contains("nonexistent"), "{page:?}");
        let policy = page.field("content-security-policy").unwrap();
        assert!(
            policy.contains("style-src 'sha256-") && !policy.contains("script-src"),
            "{policy}"
        );
        assert_eq!(page.field("cache-control"), Some("no-store"));
        assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    }
    assert!(ask(&visitors, "/", "text/plain").body.starts_with("502 "));
    assert_eq!(ask(&visitors, "/", "application/json").cause(), "unix_socket_missing");

    let (operators, _) = program(TEMPLATE, "");
    operators.said("reloaded", 1);
    let page = ask(&operators, "/<script>", "text/html");
    assert_eq!(page.status, 400, "{page:?}");
    let page = ask(&operators, "/a'b&c", "text/html");
    assert!(page.body.contains("<p>path=/nonexistent/app.sock</p>"), "{page:?}");
    assert!(page.body.contains("/a&#39;b&amp;c</p>"), "{page:?}");
}

#[test]
fn a_mistake_in_a_template_is_told_with_its_place_and_changes_nothing() {
    let (program, lines) = program(TEMPLATE, "operators = []\n");
    program.said("reloaded", 1);
    fs::write(program.path("page.html"), TEMPLATE.replace("explanation", "explanatoin")).unwrap();
    fs::write(program.path("page.css"), "a{}\n</style>").unwrap();
    program.configure(&lines);
    program.signal("HUP");
    let said = program.said("stays in force", 1);
    let (page, style) = (program.path("page.html"), program.path("page.css"));
    let told = format!("{}:5:7: `explanatoin` is not there", page.display());
    assert!(said.contains(&told) && said.contains("explanation"), "{said}");
    assert!(said.contains(&format!("{}:2:1: `</style` ends", style.display())), "{said}");
    assert!(ask(&program, "/", "text/html").body.contains("<h1>"));
}

#[test]
fn what_fails_at_run_time_is_replaced_by_our_page_and_said_once() {
    // No trial knows the path that is asked for.
    let template = "{% if 'boom' in evidence.request %}{{ nothing }}{% endif %}own page";
    let guarded = format!("{{% if audience == 'operator' %}}{template}{{% endif %}}");
    let (program, _) = program(&guarded, "");
    program.said("reloaded", 1);
    assert_eq!(ask(&program, "/", "text/html").body, "own page");
    for _ in 0..3 {
        let page = ask(&program, "/boom", "text/html");
        assert!(
            page.body.contains("unix_socket_missing") && page.body.contains("</html>"),
            "{page:?}"
        );
        let policy = page.field("content-security-policy").unwrap();
        assert!(policy.contains("style-src 'sha256-"), "{policy}");
    }
    assert_eq!(ask(&program, "/", "text/html").body, "own page");
    assert_eq!(program.said("the page's template failed", 1).matches("template failed").count(), 1);
}

#[test]
fn a_style_alone_follows_ours() {
    let program = Program::before(NOBODY, "");
    fs::write(program.path("page.css"), "h1{color:teal}").unwrap();
    program.configure(&format!(
        "[upstream.app]\nservers = [\"{NOBODY}\"]\n[page]\nstyle = \"{}\"\n",
        program.path("page.css").display()
    ));
    program.signal("HUP");
    program.said("reloaded", 1);
    let page = ask(&program, "/", "text/html");
    assert!(page.body.contains("</style>\n<style>h1{color:teal}</style>"), "{page:?}");
    let policy = page.field("content-security-policy").unwrap();
    // Our style sheet, the site's, and our script.
    assert_eq!(policy.matches("'sha256-").count(), 3, "{policy}");
}
