//! The demonstration's own pages: the index, what the index asked for itself, a healthy page. Pure.
//!
//! Self-contained HTML. Everything that did not come from this file is escaped.

use std::fmt::Write as _;
use std::io;

use crate::diagnose::{Phase, entry};

use super::ask::Heard;
use super::rows::{FASTCGI, FILES, PHP, STAGED, UPSTREAM};
use super::scenario::{Ask, Scenario, Sees};
use super::{Addresses, View};

/// The phases in their order, and what a reader calls them.
const PHASES: [(Phase, &str, &str); 8] = [
    (Phase::Request, "The request", "The client's side fails; no backend is asked."),
    (Phase::Route, "The proxy", "It ends with us: no route, no place, a loop, our own fault."),
    (Phase::Resolve, "The name", "The backend's name does not become an address."),
    (Phase::Connect, "The connection", "Nobody takes the connection."),
    (Phase::Tls, "TLS", "The connection cannot be secured."),
    (Phase::Send, "Sending", "The backend does not take the whole request."),
    (Phase::Head, "The answer's head", "The request is sent; no sound head comes back."),
    (Phase::Body, "The answer's body", "The head is sound; the body breaks off or is malformed."),
];

/// What has no stage of its own: PHP sites, and answers that are whole.
const GROUPS: [(&[Scenario], &str, &str); 4] = [
    (FILES, "A site's files", "A file is not given out, or what is sent to the site not taken."),
    (FASTCGI, "PHP over FastCGI", "PHP-FPM does not answer, or not in good order."),
    (
        PHP,
        "PHP's own errors",
        "PHP answers that it failed. Its page goes on as it is; Proxy-Status and the log say why.",
    ),
    (
        UPSTREAM,
        "The upstream said so",
        "The backend, or a gateway behind it, answers that something failed. Its page goes on as \
         it is, or ours in its place where the block says so; Proxy-Status and the log say why.",
    ),
];

/// A whole configuration for a site of PHP, as the README has it too.
const PHP_SITE: &str = "\
listen = [\"127.0.0.1:8080\"]

[upstream.blog]
servers = [\"fastcgi+unix:/run/php/php8.2-fpm.sock\"]
root = \"/var/www/blog\"
";

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#5b6068;--line:#dfe2e6;--paper:#fff;\
--wash:#f5f6f8;--act:#1d4ed8}\
@media (prefers-color-scheme:dark){:root{--ink:#e9eaec;--soft:#a2a8b1;--line:#33383f;\
--paper:#16181b;--wash:#1e2125;--act:#8fb4ff}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--paper);color:var(--ink);\
font:1rem/1.55 system-ui,'Noto Sans',sans-serif}\
main{max-width:60rem;margin:0 auto;padding:clamp(1.25rem,4vw,3rem) 1.25rem 4rem}\
h1{font-size:clamp(1.6rem,5vw,2.1rem);line-height:1.2;letter-spacing:-.015em;margin:0 0 .5rem}\
h2{font-size:1.25rem;margin:2.75rem 0 0}\
.lead,.soft{color:var(--soft)}.lead{font-size:1.0625rem;max-width:44rem}\
.soft{margin:.1rem 0 .75rem;font-size:.9375rem}\
nav,.go{display:flex;flex-wrap:wrap;gap:.15rem 1.1rem}\
nav{margin:1.25rem 0 0}\
article{border-top:1px solid var(--line);padding:.8rem 0;\
display:grid;grid-template-columns:1fr auto;gap:.1rem 1.5rem;align-items:start}\
article>*{grid-column:1}article .go{grid-column:2;grid-row:1/3;align-items:center}\
article h3{font:600 .9375rem/1.4 ui-monospace,'DejaVu Sans Mono',monospace;margin:0;\
overflow-wrap:anywhere}\
article p{margin:0}\
a{color:var(--act)}nav a,.go a{padding:.4rem 0;min-height:2.25rem}\
details{font-size:.875rem;color:var(--soft)}summary{cursor:pointer;padding:.2rem 0}\
pre{background:var(--wash);color:var(--ink);border-radius:.5rem;padding:.6rem .85rem;\
margin:.3rem 0;overflow-x:auto;font:.8125rem/1.5 ui-monospace,'DejaVu Sans Mono',monospace}\
iframe{width:100%;height:75vh;border:1px solid var(--line);border-radius:.5rem;background:#fff}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}\
@media (max-width:40rem){article{grid-template-columns:1fr}\
article .go{grid-column:1;grid-row:auto}}";

/// The index: every row, grouped by the stage in which it fails.
pub(super) fn index(addresses: &Addresses) -> String {
    let mut page = opening("Causeway: every way to fail");
    page.push_str(
        "<h1>Every way to fail</h1>\
         <p class=\"lead\">Behind this proxy stand backends that each break in their own way. \
         Follow a link to see what Causeway says about it: as an operator, with evidence and \
         commands, or as a visitor, who sees neither addresses nor paths.</p>\
         <nav aria-label=\"Pages that work\"><a href=\"/healthy\">A healthy page</a>\
         <a href=\"/healthy/slow\">a slow one</a><a href=\"/healthy/big?mb=10\">10 MB</a>\
         <a href=\"/healthy/tls\">over TLS</a><a href=\"/healthy/unix\">over a Unix socket</a>\
         <a href=\"/healthy/http2\">over HTTP/2</a>\
         <a href=\"/healthy/name\">by name</a><a href=\"/healthy/fastcgi\">over FastCGI</a></nav>",
    );
    for (phase, title, what) in PHASES {
        let rows = STAGED.iter().copied().flatten();
        let rows = rows.filter(|row| entry(row.code).phase == phase);
        section(&mut page, title, what, rows, addresses);
    }
    for (rows, title, what) in GROUPS {
        section(&mut page, title, what, rows.iter(), addresses);
    }
    let _ = write!(
        page,
        "<section><h2>Your own PHP site</h2><p class=\"soft\">Nothing above runs PHP. For a site \
         that does, this is a whole configuration, here blog.toml: put in the socket of your \
         PHP-FPM and the folder of your site.</p><pre>{}</pre>\
         <pre>causeway check --config blog.toml &amp;&amp; causeway run --config blog.toml</pre>\
         <p class=\"soft\">The user that runs it needs the group of the socket, www-data on \
         Debian.</p></section>",
        escape(PHP_SITE.trim_end())
    );
    page.push_str(CLOSING);
    page
}

fn section(
    page: &mut String,
    title: &str,
    what: &str,
    rows: impl Iterator<Item = &'static Scenario>,
    addresses: &Addresses,
) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = write!(page, "<section><h2>{title}</h2><p class=\"soft\">{what}</p>");
    for row in rows {
        article(page, row, addresses);
    }
    page.push_str("</section>");
}

fn article(page: &mut String, row: &Scenario, addresses: &Addresses) {
    let (name, what) = (escape(row.name), escape(row.what));
    let _ = write!(page, "<article id=\"{name}\"><h3>{name}</h3><p>{what}");
    page.push_str(match row.sees {
        Sees::Page | Sees::Own { .. } | Sees::Replaced { .. } => "</p>",
        Sees::Cut => " The answer had begun, so the client sees it cut off.</p>",
        Sees::Nothing => " The log tells of it.</p>",
    });
    let _ = write!(
        page,
        "<p class=\"go\"><a href=\"{}\">as an operator</a><a href=\"{}\">as a visitor</a></p>\
         <details><summary>From a terminal</summary><pre>{}</pre></details></article>",
        escape(&link(row, addresses, View::Operator)),
        escape(&link(row, addresses, View::Visitor)),
        escape(&command(row, addresses)),
    );
}

/// A link that asks for the row, or one to the index, which asks for it.
fn link(row: &Scenario, addresses: &Addresses, view: View) -> String {
    let view_name = match view {
        View::Operator => "operator",
        View::Visitor => "visitor",
    };
    if row.is_told_by_a_link() { url(row, addresses, view) } else { show(view_name, row.name) }
}

fn show(view_name: &str, name: &str) -> String {
    format!("/show/{view_name}/{name}")
}

fn url(row: &Scenario, addresses: &Addresses, view: View) -> String {
    let address = addresses.of_row(row, view);
    match row.ask {
        Ask::Host(host) => format!("http://{host}:{}{}", address.port(), row.target()),
        _ => format!("http://{address}{}", row.target()),
    }
}

/// What to type to see the same.
fn command(row: &Scenario, addresses: &Addresses) -> String {
    let address = addresses.of_row(row, View::Operator);
    let url = format!("http://{address}{}", row.target());
    match row.ask {
        Ask::Get | Ask::Below(_) => format!("curl -i {url}"),
        Ask::Times(times) => {
            let before = format!("curl -s {url} && ").repeat(usize::from(times) - 1);
            format!("{before}curl -i {url}")
        }
        Ask::UntilNamed => {
            let code = row.code.name();
            let again = format!("until curl -sio answer {url}; grep -q {code} answer");
            format!("{again}; do sleep 0.1; done; cat answer")
        }
        Ask::Host(host) => format!("curl -i -H 'Host: {host}' {url}"),
        Ask::Post { body_bytes } => {
            format!("head -c {body_bytes} /dev/zero | curl -i -H 'Expect:' --data-binary @- {url}")
        }
        Ask::GetThenPost => format!("curl -s {url} && curl -i -d hello {url}"),
        Ask::Together => format!("curl -s {url} & curl -i {url}"),
        Ask::Upgrade(protocol) => {
            format!("curl -i -H 'Connection: upgrade' -H 'Upgrade: {protocol}' {url}")
        }
        Ask::LargeHeader { bytes } => {
            format!("curl -i -H \"X-Large: $(head -c {bytes} /dev/zero | tr '\\0' x)\" {url}")
        }
        Ask::Raw(text) => {
            let text = text.replace("{path}", &row.path()).replace("\r\n", "\\r\\n");
            let (ip, port) = (address.ip(), address.port());
            format!("(printf '{text}'; sleep 3) | nc {ip} {port}")
        }
        Ask::Crowd => {
            let (ip, port) = (address.ip(), address.port());
            format!("(sleep 3 | nc {ip} {port}) & curl -i {url}")
        }
        Ask::Leave => format!("curl -m 0.3 {url}"),
    }
}

/// What the index was answered when it asked for a row that no link can ask for.
pub(super) fn shown(
    row: &Scenario,
    view: View,
    addresses: &Addresses,
    heard: &io::Result<Heard>,
) -> String {
    let mut page = opening(row.name);
    let (name, what) = (escape(row.name), escape(row.what));
    let (here, there) = match view {
        View::Operator => ("an operator", ("visitor", "a visitor")),
        View::Visitor => ("a visitor", ("operator", "an operator")),
    };
    let why = match row.is_linkable() {
        true => "A browser does not show what stands beside a page",
        false => "A link cannot ask for this",
    };
    let _ = write!(
        page,
        "<nav><a href=\"/#{name}\">All rows</a><a href=\"{}\">The same as {}</a></nav>\
         <h1>{name}</h1><p class=\"lead\">{what}</p><p class=\"soft\">{why}, \
         so the demonstration asked, as {here}:</p><pre>{}</pre>",
        escape(&show(there.0, row.name)),
        there.1,
        escape(&command(row, addresses)),
    );
    match heard {
        Err(error) => {
            let _ = write!(page, "<p>No answer: {}.</p>", escape(&error.to_string()));
        }
        Ok(heard) => answer(&mut page, heard),
    }
    page.push_str(CLOSING);
    page
}

fn answer(page: &mut String, heard: &Heard) {
    let Some(head) = heard.head() else {
        page.push_str("<p>No answer came.</p>");
        return;
    };
    let _ = write!(page, "<h2>The answer</h2><pre>{}</pre>", escape(head.trim_end()));
    let body = String::from_utf8_lossy(heard.body());
    if body.is_empty() {
        page.push_str("<p>Its body is empty.</p>");
    } else if heard.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        // No script of the framed page runs, and it is no part of this origin.
        let _ = write!(
            page,
            "<iframe sandbox title=\"The page\" srcdoc=\"{}\"></iframe>",
            escape(&body)
        );
    } else {
        let _ = write!(page, "<pre>{}</pre>", escape(&body));
    }
}

/// A page of a backend that works.
pub(super) fn healthy() -> String {
    let mut page = opening("All is well");
    page.push_str(
        "<h1>All is well</h1><p class=\"lead\">This page came from a backend that works, through \
         the same proxy. <a href=\"/\">Back to the ones that do not.</a></p>",
    );
    page.push_str(CLOSING);
    page
}

const CLOSING: &str = "</main></body></html>\n";

fn opening(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><title>{}</title><style>{STYLE}</style></head>\
         <body><main>",
        escape(title)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::{Ports, scenarios};
    use super::*;

    #[test]
    fn the_index_links_every_row_twice() {
        let (addresses, _) = Addresses::choose(Ports::From(8502)).unwrap();
        let page = index(&addresses);
        for row in scenarios() {
            for view in [View::Operator, View::Visitor] {
                let link = format!("href=\"{}\"", link(row, &addresses, view));
                assert!(page.contains(&link), "no {link}");
            }
            assert!(page.contains(&format!("id=\"{}\"", row.name)), "no {}", row.name);
        }
    }

    #[test]
    fn every_row_has_one_section() {
        let in_groups = GROUPS.iter().flat_map(|(rows, ..)| rows.iter());
        let names = |rows: Vec<&Scenario>| rows.iter().map(|row| row.name).collect::<Vec<_>>();
        let shown = STAGED.iter().copied().flatten().chain(in_groups).collect();
        assert_eq!(names(shown), names(scenarios().collect()));
    }

    #[test]
    fn the_configuration_for_a_php_site_is_accepted_and_the_readmes() {
        let config = crate::config::parse(PHP_SITE, "blog.toml".as_ref()).unwrap();
        let files = config.upstreams[0].files.as_ref().unwrap();
        assert_eq!(files.root, std::path::Path::new("/var/www/blog"));
        assert!(include_str!("../../README.md").contains(PHP_SITE), "the README has another");
    }

    #[test]
    fn an_answer_cannot_leave_its_frame() {
        let bytes = b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\n\r\n\"><script>".to_vec();
        let heard = Ok(Heard { bytes, error: None });
        let (addresses, _) = Addresses::choose(Ports::From(8502)).unwrap();
        let row = scenarios().next().unwrap();
        assert!(!shown(row, View::Operator, &addresses, &heard).contains("\"><script>"));
    }
}
