//! The page of every cause, as a list of addresses, and what is asked of each.

use std::collections::HashMap;
use std::fmt::Write as _;

use bytes::Bytes;
use causeway::diagnose::{Audience, Cause, Code, Report, Words, fix_ids, languages};
use causeway::page::{Format, Page, View, render};
use serde_json::Value;

use super::axe;
use super::chromium::{Event, Tab};
use super::pictures::Pictures;
use super::samples::{INCIDENT, fix, hostile, hostile_report, mild_report};
use super::server::Server;

pub const WIDTHS: [u32; 3] = [320, 768, 1280];
pub const SCHEMES: [&str; 2] = ["light", "dark"];

/// Measures the page; see there.
const LAYOUT: &str = include_str!("layout.js");
const BROKEN_WORDS: &str = include_str!("words.js");

/// The page of one cause in one language, for one kind of reader.
pub struct Case {
    pub code: Code,
    pub reader: Audience,
    pub words: &'static Words,
    page: Page,
}

/// Every page: of each cause in each language for visitors, and for operators, whose page is little
/// but evidence, in one after another.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, cause) in hostile().into_iter().enumerate() {
        let turn = number % languages().len();
        for (place, words) in languages().iter().enumerate() {
            cases.push(Case::new(cause.clone(), Audience::Visitor, words));
            if place == turn {
                cases.push(Case::new(cause.clone(), Audience::Operator, words));
            }
        }
    }
    cases
}

/// The pages of one cause.
pub fn cases_of(code: Code) -> Vec<Case> {
    let mut cases = cases();
    cases.retain(|case| case.code == code);
    cases
}

/// What a reader gets: the fixes that the cause has, and for operators evidence that is longer
/// than any line.
fn report(cause: Cause, reader: Audience) -> Report {
    let command = "ss -ltnp 'sport = :4455'".to_owned();
    match reader {
        Audience::Visitor => {
            let fixes = fix_ids(cause.code()).map(|id| fix(id, None)).collect();
            Report { fixes, ..mild_report(cause) }
        }
        Audience::Operator => {
            let fixes = fix_ids(cause.code()).map(|id| fix(id, Some(command.clone()))).collect();
            Report { fixes, ..hostile_report(cause) }
        }
    }
}

fn view(reader: Audience) -> View<'static> {
    View {
        audience: reader,
        format: Format::Html,
        contact: Some("mailto:the-administrators-of-the-shop@shop.example"),
        show_operator_fixes: true,
        // A visitor who looked at something, and an operator who sent something.
        repeatable: reader == Audience::Visitor,
        again: reader == Audience::Visitor,
        own: None,
        fixed: None,
    }
}

/// A server that has these pages, each under its own path, as the proxy would send them.
pub fn serve(cases: &[Case]) -> Server {
    let pages = cases.iter().map(|case| (case.path(), case.answer()));
    let pages: HashMap<String, Vec<u8>> = pages.collect();
    Server::start(0, move |request| match pages.get(&request.path) {
        Some(page) => page.clone(),
        None => {
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
    })
}

impl Case {
    fn new(cause: Cause, reader: Audience, words: &'static Words) -> Case {
        let report = report(cause, reader);
        let page = render(&report, words, &view(reader));
        Case { code: report.cause.code(), reader, words, page }
    }

    /// Its own, by language, reader and cause.
    pub fn path(&self) -> String {
        let reader: &'static str = self.reader.into();
        format!("/{}/{reader}/{}", self.words.language, self.code.name())
    }

    /// What must be read on its page, whatever becomes of it.
    pub fn words_of_page(&self) -> Vec<String> {
        let page = &self.words.page;
        let cause = self.words.cause(self.code);
        let fixes = fix_ids(self.code).map(|id| &self.words.fix(id).title);
        let mut parts = vec![&cause.title, &cause.visitor, &page.where_it_broke, &page.incident];
        parts.extend([&page.fate_not_sent, &page.it_is_my_site]);
        parts.extend(fixes);
        let parts = parts.into_iter().map(String::as_str);
        let parts = parts.chain([INCIDENT, self.code.name()]);
        parts.map(|part| part.replace('`', "").replace('\n', " ")).collect()
    }

    /// The same with a part of its page replaced, which must be there.
    pub fn spoilt(&self, part: &str, by: &str) -> Case {
        let body = String::from_utf8_lossy(&self.page.body);
        assert!(body.contains(part), "{part} in {body}");
        let body = Bytes::from(body.replacen(part, by, 1));
        let mut page = Page { body, ..self.page.clone() };
        page.headers.insert("content-length", page.body.len().into());
        Case { page, ..*self }
    }

    /// The page with its real headers.
    fn answer(&self) -> Vec<u8> {
        let mut answer = format!("HTTP/1.1 {} Failed\r\n", self.page.status);
        for (name, value) in &self.page.headers {
            let value = value.to_str().expect("a header of ours is text");
            write!(answer, "{name}: {value}\r\n").expect("a string takes all");
        }
        [answer.as_bytes(), b"connection: close\r\n\r\n", &self.page.body].concat()
    }

    /// Opens the page and returns everything that is wrong with it.
    pub fn inspect(
        &self,
        tab: &mut Tab,
        server: &Server,
        pictures: Option<&Pictures>,
    ) -> Vec<String> {
        let url = server.url(&self.path());
        tab.open(&url);
        let mut faults = self.heading(tab);
        for width in WIDTHS {
            tab.resize(width);
            for scheme in SCHEMES {
                tab.media("screen", &[("prefers-color-scheme", scheme)]);
                let seen = layout(tab, width).into_iter();
                faults.extend(seen.map(|fault| format!("{scheme} {width}: {fault}")));
                if let Some(pictures) = pictures {
                    pictures.take(tab, self, scheme, width);
                }
            }
        }
        tab.resize(WIDTHS[0]);
        tab.media("screen", &[("prefers-color-scheme", SCHEMES[0])]);
        let seen = strings(&tab.evaluate(BROKEN_WORDS)).into_iter();
        faults.extend(seen.map(|fault| format!("{}: {fault}", WIDTHS[0])));
        tab.double_text(true);
        let seen = layout(tab, WIDTHS[0]).into_iter();
        faults.extend(seen.map(|fault| format!("text twice as large: {fault}")));
        tab.double_text(false);
        // What the page has done by itself; what axe does is not its doing.
        faults.extend(tab.events().iter().filter_map(|event| fault(event, &url)));
        // A narrow window crowds what can be touched.
        let seen = axe::violations(tab).into_iter();
        faults.extend(seen.map(|fault| format!("axe: {fault}")));
        tab.media("screen", &[("prefers-color-scheme", SCHEMES[1])]);
        let seen = axe::pale(tab).into_iter();
        faults.extend(seen.map(|fault| format!("{}: axe: {fault}", SCHEMES[1])));
        faults.iter().map(|fault| format!("{}: {fault}", self.path())).collect()
    }

    /// Title, language and first heading.
    fn heading(&self, tab: &mut Tab) -> Vec<String> {
        let title = &self.words.cause(self.code).title;
        let seen = tab.evaluate(
            "({ title: document.title, language: document.documentElement.lang, \
             headings: [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(heading => \
             heading.localName + ' ' + heading.textContent.trim()), mode: document.compatMode })",
        );
        let mut faults = Vec::new();
        let mut expect = |what: &str, right: bool, found: &Value| {
            if !right {
                faults.push(format!("{what}: {found}"));
            }
        };
        let shown = seen["title"].as_str().unwrap_or_default();
        expect("title", shown.contains(title.as_str()), &seen["title"]);
        expect("language", seen["language"] == *self.words.language, &seen["language"]);
        let headings = strings(&seen["headings"]);
        let first = headings.first() == Some(&format!("h1 {title}"));
        let one = headings.iter().filter(|heading| heading.starts_with("h1 ")).count() == 1;
        expect("headings", first && one, &seen["headings"]);
        expect("mode", seen["mode"] == "CSS1Compat", &seen["mode"]);
        faults
    }
}

/// What is wrong with how the page lies in a window of this width, folded and unfolded.
pub fn layout(tab: &mut Tab, width: u32) -> Vec<String> {
    strings(&tab.evaluate(&format!("{LAYOUT}({width})")))
}

/// What an event tells against the page at an address: a message, a violation of its policy, a
/// request to elsewhere.
fn fault(event: &Event, url: &str) -> Option<String> {
    let params = &event.params;
    match event.method.as_str() {
        "Runtime.exceptionThrown" => Some(format!("thrown: {}", params["exceptionDetails"])),
        "Runtime.consoleAPICalled" => {
            let is_loud = ["error", "warning", "assert"].map(Value::from).contains(&params["type"]);
            is_loud.then(|| format!("console: {}", params["args"]))
        }
        "Log.entryAdded" => {
            let entry = &params["entry"];
            // The page's own status is an error to the browser.
            let own = entry["source"] == "network" && entry["url"] == url;
            let is_loud = ["error", "warning"].map(Value::from).contains(&entry["level"]);
            (is_loud && !own).then(|| format!("console: {entry}"))
        }
        "Audits.issueAdded" => Some(format!("issue: {}", params["issue"])),
        "Network.requestWillBeSent" => {
            let asked = &params["request"]["url"];
            (asked != url).then(|| format!("asked for {asked}"))
        }
        "Network.webSocketCreated" | "Network.webTransportCreated" => {
            Some(format!("connected to {}", params["url"]))
        }
        "Page.javascriptDialogOpening" => Some(format!("asked: {}", params["message"])),
        _ => None,
    }
}

/// The strings of a list.
pub fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list, not {list}"));
    list.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect()
}
