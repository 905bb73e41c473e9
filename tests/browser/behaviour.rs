//! What the page does and offers, before the real proxy: it tries again until the site is back,
//! never repeats what might count, copies its report; and what is left of it without scripts and on
//! paper.

use causeway::diagnose::{Audience, Code, english};
use serde_json::{Value, json};

use super::axe;
use super::chromium::{Browser, Tab};
use super::server::{self, Server};
use super::support::client;
use super::support::proxy::Proxy;
use super::support::tools::{eventually, free_port};
use super::views::{self, WIDTHS, layout, strings};

/// What can be seen and does nothing without a script.
const BUTTONS: &str = "[...document.querySelectorAll('button, input, select, a:not([href])')]
    .filter(button => button.checkVisibility()).map(button => button.textContent)";
/// What looks as if it could be pressed, which paper cannot.
const PRESSED: &str = "[...document.querySelectorAll('button, input, select, .button')]
    .filter(button => button.checkVisibility()).map(button => button.textContent)";

/// What can be read, wherever its lines break.
const TEXT: &str = "document.body.innerText.replace(/\\s+/g, ' ')";

/// Opens all that folds.
const UNFOLD: &str = "document.querySelectorAll('details').forEach(details => details.open = true)";

/// Half an hour, after which a page may have given up, and some more.
const LONG_SECONDS: u32 = 45 * 60;

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

/// A proxy before a port on which nobody listens yet, and that port.
fn before_nobody() -> (Proxy, u16) {
    let port = free_port();
    (Proxy::before(&format!("http://127.0.0.1:{port}"), ""), port)
}

/// Holds the open page to be ours about a cause.
fn expect_cause(tab: &mut Tab, code: Code) {
    let title = &english().cause(code).title;
    let seen = tab.evaluate("document.querySelector('h1').textContent");
    assert_eq!(seen, title.as_str());
}

fn text(tab: &mut Tab) -> String {
    tab.evaluate(TEXT).as_str().expect("text").to_owned()
}

#[test]
fn the_site_comes_back_without_a_touch() {
    let (proxy, port) = before_nobody();
    let mut tab = Browser::shared().tab();
    tab.open(&url(proxy.port, "/chairs"));
    expect_cause(&mut tab, Code::ConnectionRefused);
    tab.pass(60);
    expect_cause(&mut tab, Code::ConnectionRefused);
    let site = Server::start(port, |_| server::page("<title>Chairs</title>"));
    // The page's minutes are moments to the proxy, which spares a server that has just failed.
    eventually("the proxy reaches the site", || {
        (client::request(proxy.port, "GET", "/", &[], b"").status == 200).then_some(())
    });
    tab.call(
        "Emulation.setVirtualTimePolicy",
        json!({
            "policy": "pauseIfNetworkFetchesPending", "budget": 300_000,
        }),
    );
    eventually("the site's own page", || {
        (tab.evaluate("document.title") == "Chairs").then_some(())
    });
    assert!(site.asked().iter().any(|request| request.path == "/chairs"));
}

#[test]
fn the_page_tries_less_and_less_often_and_then_no_more() {
    let (proxy, _) = before_nobody();
    let address = url(proxy.port, "/chairs");
    let mut tab = Browser::shared().tab();
    tab.open(&address);
    expect_cause(&mut tab, Code::ConnectionRefused);
    let mut tries = Vec::new();
    for seconds in (10..=LONG_SECONDS).step_by(10) {
        tab.pass(10);
        let asked = tab.events().into_iter().filter(|event| {
            event.method == "Network.requestWillBeSent"
                && event.params["request"]["url"] == address.as_str()
        });
        tries.extend(asked.map(|_| seconds));
    }
    let waits: Vec<u32> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((3..60).contains(&tries.len()), "{tries:?}");
    assert!(waits.last() > waits.first(), "{waits:?}");
    // It has given up before the end, and says so.
    assert!(tries.last().is_some_and(|last| last + 600 < LONG_SECONDS), "{tries:?}");
    let said = text(&mut tab);
    assert!(said.contains(&english().page.retry_stopped), "{said}");
    expect_cause(&mut tab, Code::ConnectionRefused);
}

#[test]
fn a_form_that_failed_is_not_sent_again() {
    const FORM: &str = "<form method=post action=/order><input name=chair value=1></form>";
    let site = Server::start(0, |request| match request.method.as_str() {
        "POST" => Vec::new(),
        _ => server::page(FORM),
    });
    let proxy = Proxy::before(&site.url(""), "");
    let mut tab = Browser::shared().tab();
    tab.open(&url(proxy.port, "/"));
    tab.evaluate("document.forms[0].submit()");
    eventually("the page about the order", || {
        let there = "document.readyState === 'complete' && location.pathname === '/order'";
        (tab.evaluate(there) == true).then_some(())
    });
    expect_cause(&mut tab, Code::ClosedBeforeResponse);
    let said = text(&mut tab);
    assert!(said.contains(&english().page.check_before_resending), "{said}");
    tab.pass(LONG_SECONDS);
    expect_cause(&mut tab, Code::ClosedBeforeResponse);
    let asked = site.asked().into_iter().filter(|request| request.path == "/order");
    let methods: Vec<String> = asked.map(|request| request.method).collect();
    assert_eq!(methods, ["POST"]);
}

#[test]
fn the_report_is_copied() {
    let (proxy, _) = before_nobody();
    let page = &english().page;
    let button = format!(
        "[...document.querySelectorAll('button')].find(button => button.textContent === {:?})",
        page.report_copy
    );
    let mut tab = Browser::shared().tab();
    // By a name without TLS a page has no clipboard of its own to write to.
    for host in ["127.0.0.1", "shop.example"] {
        let address = format!("http://{host}:{}/chairs", proxy.port);
        // What a query holds may be a secret, and the report goes to strangers.
        tab.open(&format!("{address}?token=7"));
        tab.evaluate(UNFOLD);
        let incident = tab.evaluate("document.querySelector('.id').textContent");
        tab.press(&button);
        eventually("the button's word", || {
            text(&mut tab).contains(&page.report_copied).then_some(())
        });
        tab.open(&url(proxy.port, "/"));
        let copied = tab.clipboard();
        let incident = incident.as_str().expect("an incident");
        for part in [incident, &address, Code::ConnectionRefused.name(), &page.report_steps] {
            assert!(copied.contains(part), "{part} in {copied}");
        }
        assert!(!copied.contains("token"), "{copied}");
    }
}

#[test]
fn without_scripts_all_is_there() {
    let cases = views::cases_of(Code::ConnectionRefused);
    let server = views::serve(&cases);
    let mut tab = Browser::shared().tab();
    tab.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    for case in &cases {
        tab.open(&server.url(&case.path()));
        tab.evaluate(UNFOLD);
        assert_eq!(tab.evaluate(BUTTONS), json!([]), "{}", case.path());
        let said = text(&mut tab);
        for part in case.words_of_page() {
            assert!(said.contains(&part), "{part} in {said}");
        }
    }
}

#[test]
fn on_paper_all_is_unfolded_and_nothing_to_press() {
    let cases = views::cases_of(Code::ConnectionRefused);
    let server = views::serve(&cases);
    let mut tab = Browser::shared().tab();
    tab.media("print", &[]);
    for case in &cases {
        tab.open(&server.url(&case.path()));
        assert_eq!(tab.evaluate(PRESSED), json!([]), "{}", case.path());
        let hidden = tab.evaluate(
            "[...document.querySelectorAll('details > *')].filter(part => \
             part.localName !== 'button' && !part.checkVisibility()).map(part => part.outerHTML)",
        );
        assert_eq!(hidden, json!([]), "{}", case.path());
        let said = text(&mut tab);
        for part in case.words_of_page() {
            assert!(said.contains(&part), "{part} in {said}");
        }
    }
}

#[test]
fn chosen_colours_and_still_pages_are_heeded() {
    let cases = views::cases_of(Code::ConnectionRefused);
    let server = views::serve(&cases);
    let mut tab = Browser::shared().tab();
    axe::install(&mut tab);
    for case in cases.iter().filter(|case| case.reader == Audience::Visitor) {
        tab.media("screen", &[("forced-colors", "active"), ("prefers-reduced-motion", "reduce")]);
        tab.open(&server.url(&case.path()));
        let moving = tab.evaluate("document.getAnimations().length");
        assert_eq!(moving, Value::from(0), "{}", case.path());
        for width in WIDTHS {
            tab.resize(width);
            assert_eq!(layout(&mut tab, width), Vec::<String>::new(), "{}", case.path());
        }
        assert_eq!(axe::violations(&mut tab), Vec::<String>::new(), "{}", case.path());
        // A picture of strokes without a colour of the reader's would be lost on his ground.
        let lost = tab.evaluate(
            "[...document.querySelectorAll('svg')].filter(svg => getComputedStyle(svg).stroke === \
             getComputedStyle(document.body).backgroundColor).map(svg => svg.outerHTML)",
        );
        assert_eq!(strings(&lost), Vec::<String>::new(), "{}", case.path());
    }
}
