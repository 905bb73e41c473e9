//! The pages as their readers get them: goldens, and what a visitor must never see.
//!
//! Goldens are rewritten with `CAUSEWAY_BLESS=1 cargo test --test page` and reviewed as prose.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "page/samples.rs"]
mod samples;

use std::io::Read;
use std::path::Path;

use causeway::diagnose::{
    Audience, Cause, Code, Extended, Fate, Fix, FixId, Lookup, Report, Rules, Site, Words, english,
    fixes, languages,
};
use causeway::page::{Coding, Format, Kind, Page, Plates, View, render};
use samples::{
    CANARIES, FAILING, INCIDENT, TIME, TIME_READ, WORKED, hostile, hostile_report, looked,
    mild_report, plausible,
};

const FORMATS: [(Format, &str); 3] =
    [(Format::Html, "html"), (Format::ProblemJson, "json"), (Format::Text, "txt")];

fn visitor(format: Format) -> View<'static> {
    View {
        audience: Audience::Visitor,
        format,
        contact: Some("mailto:admin@shop.example"),
        show_operator_fixes: true,
        repeatable: true,
        again: true,
        own: None,
        fixed: None,
    }
}

fn operator(format: Format) -> View<'static> {
    View { audience: Audience::Operator, ..visitor(format) }
}

/// Every language with every format.
fn in_every_language() -> impl Iterator<Item = (&'static Words, (Format, &'static str))> {
    languages().iter().flat_map(|words| FORMATS.map(|format| (words, format)))
}

fn body(page: &Page) -> &str {
    std::str::from_utf8(&page.body).unwrap()
}

/// All that a client sees: headers, then body.
fn whole(page: &Page) -> String {
    let mut whole = String::new();
    for (name, value) in &page.headers {
        whole += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    whole + "\n" + body(page)
}

fn header<'p>(page: &'p Page, name: &str) -> &'p str {
    page.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn the_samples_are_every_cause() {
    let codes: Vec<Code> = hostile().iter().map(Cause::code).collect();
    assert_eq!(codes, Code::all().collect::<Vec<_>>());
}

#[test]
fn a_visitor_sees_no_evidence() {
    for cause in hostile() {
        let report = hostile_report(cause);
        for (format, name) in FORMATS {
            for show_operator_fixes in [true, false] {
                let view = View { show_operator_fixes, ..visitor(format) };
                let whole = whole(&render(&report, english(), &view));
                for canary in CANARIES {
                    let leaks = whole.contains(canary);
                    assert!(!leaks, "{name} of {:?} holds {canary}:\n{whole}", report.cause);
                }
            }
        }
    }
}

#[test]
fn a_visitors_words_name_no_address_port_path_or_version() {
    for cause in hostile() {
        let report = hostile_report(cause);
        let report = Report { fixes: fixes_of(&report.cause), ..report };
        for (words, (format, name)) in in_every_language() {
            let view = View { show_operator_fixes: false, ..visitor(format) };
            let page = render(&report, words, &view);
            let status = format!("\"status\":{}", page.status);
            // The one word with a slash is an option that a visitor types on his own machine.
            let seen = body(&page)
                .replace("ipconfig /flushdns", "")
                .replace(TIME, "")
                .replace(TIME_READ, "")
                .replace(FAILING, "")
                .replace(WORKED, "")
                .replace(INCIDENT, "")
                .replace(&status, "");
            let seen = if format == Format::Html { without_markup(&seen) } else { seen };
            for (what, found) in [
                ("an address", ipv4(&seen)),
                ("a port", port(&seen)),
                ("a path", path(&seen)),
                ("a version", version(&seen)),
            ] {
                let code = report.cause.code();
                assert_eq!(found, None, "{name} of {code:?} holds {what}:\n{seen}");
            }
        }
    }
}

#[test]
fn an_operator_sees_all_evidence_escaped() {
    for cause in hostile() {
        let report = hostile_report(cause);
        for (format, name) in FORMATS {
            let page = render(&report, english(), &operator(format));
            let body = body(&page);
            let code = report.cause.code();
            assert!(body.contains("10.11.12.13:4455"), "{name} of {code:?} lacks the address");
            assert!(body.contains("canary-upstream"), "{name} of {code:?} lacks the upstream");
            assert!(body.contains("canary-command"), "{name} of {code:?} lacks the command");
            assert!(body.contains("wrong_port"), "{name} of {code:?} lacks the root");
            assert!(body.contains("canary-lane"), "{name} of {code:?} lacks a finding");
            for (key, value) in report.cause.evidence() {
                assert!(body.contains(key), "{name} of {code:?} lacks {key}:\n{body}");
                // Plain text breaks its lines wherever it must.
                let value = match format {
                    Format::Html => value.replace('<', "&lt;").replace('>', "&gt;"),
                    Format::ProblemJson => value.replace('\\', "\\\\"),
                    Format::Text => continue,
                };
                assert!(body.contains(&value), "{name} of {code:?} lacks {value}:\n{body}");
            }
            let body = &without_style(body.to_owned());
            let steered = body.chars().any(|c| c.is_control() && c != '\n');
            assert!(!steered, "{name} of {code:?} holds a control character");
            let markup = format == Format::Html && body.matches("<script").count() != 1;
            assert!(!markup, "{code:?} holds markup");
        }
    }
}

#[test]
fn json_has_the_members_of_the_surface() {
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    for cause in hostile() {
        let report = hostile_report(cause);
        let read = |view| -> serde_json::Value {
            serde_json::from_slice(&render(&report, english(), &view).body).unwrap()
        };
        let mut members = vec![
            "cause",
            "certainty",
            "detail",
            "fixes",
            "instance",
            "phase",
            "request",
            "status",
            "title",
            "type",
        ];
        let seen = read(visitor(Format::ProblemJson));
        assert_eq!(sorted(names(&seen)), members);
        assert_eq!(seen["cause"], report.cause.code().name());
        assert_eq!(seen["instance"], format!("urn:causeway:incident:{INCIDENT}"));
        assert_eq!(sorted(names(&seen["fixes"][0])), ["audience", "id", "steps", "title", "why"]);
        let other =
            seen["fixes"].as_array().unwrap().iter().find(|fix| fix["audience"] == "operator");
        assert_eq!(
            sorted(names(other.unwrap())),
            ["audience", "check", "id", "steps", "title", "why"]
        );
        members.extend(["attempts", "evidence", "reasons"]);
        members.extend(["findings", "root", "root_certainty", "root_evidence"]);
        members.sort_unstable();
        let seen = read(operator(Format::ProblemJson));
        assert_eq!(sorted(names(&seen)), members);
        assert!(seen["evidence"].as_object().unwrap().values().all(|value| value.is_string()));
        assert_eq!(
            sorted(names(&seen["attempts"][0])),
            [
                "address",
                "bytes_received",
                "bytes_sent",
                "cause",
                "phase",
                "reused",
                "server",
                "stages_ms"
            ]
        );
        assert_eq!(seen["attempts"][0]["stages_ms"]["connect"], 0.125);
        assert_eq!(sorted(names(&seen["reasons"][0])), ["id", "title"]);
        assert_eq!(
            (&seen["root"], &seen["root_certainty"]),
            (&"wrong_port".into(), &"likely".into())
        );
        let late = &seen["findings"].as_array().unwrap().last().unwrap();
        assert_eq!((&late["key"], &late["value"]), (&"not_in_time".into(), &"canary-lane".into()));
        assert_eq!(sorted(names(late)), ["key", "meaning", "value"]);
        let fix = &seen["fixes"][0];
        let told = ["because", "command", "commands", "workers_fit"];
        assert!(told.iter().all(|name| !fix[name].is_null()), "{fix}");
        assert_eq!(fix["command"], fix["commands"][0]["line"]);
        assert_eq!(names(&fix["commands"][0]), ["kind", "line"]);
        assert_eq!(fix["commands"][2]["host"], "canary-host");
    }
}

/// What the README promises to programs.
#[test]
fn json_keeps_to_its_schema() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let schema = readme.split("```json\n").find(|block| block.contains("\"$schema\"")).unwrap();
    let mut schema = serde_json::from_str(schema.split("```").next().unwrap()).unwrap();
    // Readers have to bear members that are new; here each has to be in the README.
    close(&mut schema);
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("problem.json", schema).unwrap();
    let schema = compiler.compile("problem.json", &mut schemas).unwrap();
    for cause in hostile() {
        let report = Report { fixes: fixes_of(&cause), ..hostile_report(cause) };
        for (words, view) in languages().iter().flat_map(|words| {
            [visitor(Format::ProblemJson), operator(Format::ProblemJson)].map(|view| (words, view))
        }) {
            let seen = serde_json::from_slice(&render(&report, words, &view).body).unwrap();
            if let Err(error) = schemas.validate(&seen, schema) {
                panic!("{:?}: {error}", report.cause.code());
            }
        }
    }
}

/// Lets no object of a schema have members that it does not name.
fn close(schema: &mut serde_json::Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.contains_key("properties") && object.contains_key("type") {
            object.insert("additionalProperties".to_owned(), false.into());
        }
        object.values_mut().for_each(close);
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

#[test]
fn headers_are_those_of_the_surface() {
    for cause in hostile() {
        let report = hostile_report(cause);
        for (format, name) in FORMATS {
            let page = render(&report, english(), &visitor(format));
            let code = report.cause.code();
            assert_eq!(header(&page, "content-length"), page.body.len().to_string());
            assert_eq!(header(&page, "content-language"), "en");
            assert_eq!(header(&page, "cache-control"), "no-store");
            assert_eq!(header(&page, "vary"), "Accept, Accept-Language, Accept-Encoding");
            assert_eq!(header(&page, "x-content-type-options"), "nosniff");
            assert_eq!(header(&page, "x-robots-tag"), "noindex");
            let wait = report.entry.retry_after.map_or(String::new(), |wait| wait.to_string());
            assert_eq!(header(&page, "retry-after"), wait, "{name} of {code:?}");
            let policy = header(&page, "content-security-policy");
            assert_eq!(!policy.is_empty(), format == Format::Html);
            assert_eq!(page.status, report.status);
        }
    }
}

#[test]
fn proxy_status_is_a_structured_field() {
    use sfv::{BareItem, ListEntry, Parser};
    for cause in hostile() {
        let report = hostile_report(cause);
        let page = render(&report, english(), &visitor(Format::Text));
        let value = header(&page, "proxy-status");
        let list: sfv::List = Parser::new(value).parse().unwrap();
        let [ListEntry::Item(item)] = list.as_slice() else { panic!("{value}") };
        assert_eq!(item.bare_item.as_token().map(|token| token.as_str()), Some("causeway"));
        let parameter = |name: &str| item.params.get(name);
        let error = parameter("error").and_then(BareItem::as_token).unwrap();
        assert_eq!(error.as_str(), report.entry.proxy_error);
        let details = parameter("details").and_then(BareItem::as_string).unwrap();
        assert_eq!(details.as_str(), report.cause.code().name());
    }
}

#[test]
fn proxy_status_has_the_parameters_of_its_error_type() {
    let table = [
        (
            Code::DnsNxdomain,
            r#"causeway; error=dns_error; rcode="NXDOMAIN"; info-code=9; details="dns_nxdomain""#,
        ),
        (
            Code::DnsServerFailure,
            "causeway; error=dns_error; rcode=\"SERVFAIL\"; info-code=9; \
             details=\"dns_server_failure\"",
        ),
        (
            Code::TlsAlertReceived,
            "causeway; error=tls_alert_received; alert-id=40; alert-message=\"handshake_failure\"; \
             details=\"tls_alert_received\"",
        ),
        (
            Code::ClientCertRequired,
            "causeway; error=tls_alert_received; alert-id=116; \
             alert-message=\"certificate_required\"; details=\"client_cert_required\"",
        ),
        (
            Code::BadChunk,
            "causeway; error=http_response_transfer_coding; coding=chunked; details=\"bad_chunk\"",
        ),
        (
            Code::RequestInvalid,
            "causeway; error=http_request_error; status-code=400; details=\"request_invalid\"",
        ),
    ];
    for (code, expected) in table {
        let report = hostile_report(sample(code));
        let page = render(&report, english(), &visitor(Format::Text));
        assert_eq!(header(&page, "proxy-status"), expected);
    }
}

#[test]
fn a_request_that_may_have_counted_is_not_repeated_blindly() {
    let warning = &english().page.check_before_resending;
    for (fate, repeatable, warned) in [
        (Fate::NotSent, false, false),
        (Fate::MayHaveBeenProcessed, true, false),
        (Fate::MayHaveBeenProcessed, false, true),
        (Fate::Processed, false, true),
    ] {
        let mut report = mild_report(sample(Code::ClosedBeforeResponse));
        report.fate = fate;
        let view = View { repeatable, ..visitor(Format::Html) };
        let page = render(&report, english(), &view);
        let escaped = warning.replace('\'', "&#39;").replace('"', "&quot;");
        assert_eq!(body(&page).contains(&escaped), warned, "{fate:?} {repeatable}");
    }
}

#[test]
fn html_is_balanced() {
    for cause in hostile() {
        let report = Report { fixes: fixes_of(&cause), ..hostile_report(cause) };
        for (words, view) in languages().iter().flat_map(|words| {
            [visitor(Format::Html), operator(Format::Html)].map(|view| (words, view))
        }) {
            balanced(body(&render(&report, words, &view)));
        }
    }
}

/// Every element that opens closes in order; void elements apart.
fn balanced(html: &str) {
    let html = &without_style(html.to_owned());
    let mut open = Vec::new();
    for piece in html.split('<').skip(1) {
        let tag = &piece[..piece.find('>').unwrap()];
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{html}");
        } else if !(tag.ends_with('/') || ["!doctype", "meta"].contains(&name)) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn lines_of_text_fit_a_terminal() {
    for cause in hostile() {
        let report = Report { fixes: fixes_of(&cause), ..hostile_report(cause) };
        for (words, view) in languages().iter().flat_map(|words| {
            [visitor(Format::Text), operator(Format::Text)].map(|view| (words, view))
        }) {
            let page = render(&report, words, &view);
            let whole = ["      $ ", "      /"];
            let lines =
                body(&page).lines().filter(|line| !whole.iter().any(|w| line.starts_with(w)));
            for line in lines {
                let wide = |c: &char| ('\u{2e80}'..='\u{ffe6}').contains(c);
                let columns = line.chars().count() + line.chars().filter(wide).count();
                assert!(columns <= 80, "{line}");
            }
        }
    }
}

/// One round trip: ten segments of 1460 bytes, with the head of the answer (RFC 6928 section 2).
const FIRST_FLIGHT_BYTES: usize = 14 * 1024;

#[test]
fn a_packed_page_fits_the_first_flight() {
    let (view, mut plates) = (visitor(Format::Html), Plates::default());
    for cause in hostile() {
        let report = Report { fixes: fixes_of(&cause), ..mild_report(cause) };
        let code = report.cause.code();
        for (number, words) in languages().iter().enumerate() {
            // Brotli is never larger, and slow to make without optimisation.
            let rarely = code.name().len().is_multiple_of(16);
            for coding in
                [Some(Coding::Gzip), rarely.then_some(Coding::Brotli)].into_iter().flatten()
            {
                let kind = Kind::of(&report, number, &view, Rules::default());
                let page = plates.cut(kind, &report, words, &view, Some(coding));
                let head: usize = page
                    .headers
                    .iter()
                    .map(|(name, value)| name.as_str().len() + value.len() + 4)
                    .sum();
                let size = head + page.body.len();
                assert!(
                    size <= FIRST_FLIGHT_BYTES,
                    "{coding:?} of {code:?} in {}: {size}",
                    words.language
                );
                assert_eq!(unpacked(coding, &page.body), body(&render(&report, words, &view)));
            }
        }
    }
}

fn unpacked(coding: Coding, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text),
        Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
    }
    .unwrap();
    text
}

fn fixes_of(cause: &Cause) -> Vec<Fix> {
    fixes(cause, &Site::of(None), None)
}

#[test]
fn a_visitor_sees_the_operators_part_only_if_it_is_for_everyone() {
    let report = mild_report(sample(Code::ConnectionRefused));
    let words = english();
    for (format, name) in FORMATS {
        let page = render(&report, words, &visitor(format));
        let title = &words.fix(FixId::BackendStatus).title;
        assert!(body(&page).contains(title), "{name}");
        let view = View { show_operator_fixes: false, ..visitor(format) };
        let page = render(&report, words, &view);
        assert!(!body(&page).contains(title), "{name}");
        assert!(!body(&page).contains(&words.page.it_is_my_site), "{name}");
        assert!(!body(&page).contains("operator"), "{name}");
    }
}

#[test]
fn a_page_is_bounded_whatever_the_evidence() {
    let huge = "\u{1b}<&".repeat(400_000);
    for cause in [
        Cause::DnsNxdomain {
            name: huge.clone(),
            lookup: Box::new(Lookup {
                alias: Some(huge.clone()),
                extended: vec![Extended { code: 0, text: huge.clone() }; 9],
                ..Lookup::default()
            }),
        },
        Cause::Http09Response { first_bytes: huge.clone().into_bytes() },
        Cause::TlsCertWrongHost {
            expected: huge.clone(),
            presented: vec![huge.clone(); 9],
            also: Vec::new(),
        },
        Cause::TooManyHeaders { limit: 1, largest: vec![(huge.clone(), 1); 9] },
        Cause::FcgiNoOutput { app_status: 0, stderr: huge.clone() },
    ] {
        let report = Report { host: huge.clone(), path: huge.clone(), ..mild_report(cause) };
        for (format, name) in FORMATS {
            let page = render(&report, english(), &operator(format));
            assert!(page.body.len() < 32 * 1024, "{name}: {} bytes", page.body.len());
        }
    }
}

#[test]
fn goldens_of_representative_causes() {
    for cause in plausible() {
        let report = mild_report(cause);
        let code = report.cause.code();
        let report = match code == Code::ConnectionRefused {
            true => looked(report),
            false => report,
        };
        for (format, extension) in FORMATS {
            for (view, reader) in [(visitor(format), "visitor"), (operator(format), "operator")] {
                let page =
                    render(&report, english(), &View { repeatable: false, again: false, ..view });
                let seen = without_style(whole(&page));
                golden(&format!("{}.{reader}.{extension}", code.name()), &seen);
            }
        }
    }
}

#[test]
fn golden_of_every_cause_for_a_visitor() {
    let mut all = String::new();
    for cause in hostile() {
        let report = Report { fixes: Vec::new(), ..mild_report(cause) };
        let view = View { show_operator_fixes: false, ..visitor(Format::Text) };
        let page = render(&report, english(), &view);
        all += &format!("=== {}\n{}\n", report.cause.code().name(), body(&page));
    }
    golden("every_cause.visitor.txt", &all);
}

fn sample(code: Code) -> Cause {
    hostile().into_iter().find(|cause| cause.code() == code).unwrap()
}

fn golden(name: &str, seen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/page").join(name);
    if std::env::var_os("CAUSEWAY_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, seen).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        seen == expected,
        "{name} differs from its golden; see it with CAUSEWAY_BLESS=1 and git diff\n{seen}"
    );
}

/// An answer without what a change of style sheet or script alone would change.
fn without_style(mut answer: String) -> String {
    let places = [
        ("content-length: ", "\n"),
        ("style-src 'sha256-", "'"),
        ("script-src 'sha256-", "'"),
        ("<style>", "</style>"),
        ("<script>", "</script>"),
    ];
    for (start, end) in places {
        if let Some(i) = answer.find(start) {
            let from = i + start.len();
            let to = from + answer[from..].find(end).unwrap();
            answer.replace_range(from..to, "...");
        }
    }
    answer
}

/// The text of a page, without style sheet, script, tags and attributes.
fn without_markup(html: &str) -> String {
    let mut text = String::new();
    for piece in without_style(html.to_owned()).split('<').skip(1) {
        text += &piece[piece.find('>').unwrap() + 1..];
        text.push(' ');
    }
    text
}

/// The first word that holds four numbers with dots between.
fn ipv4(text: &str) -> Option<&str> {
    let runs = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    runs.into_iter().find(|run| run.split('.').filter(|part| !part.is_empty()).count() >= 4)
}

/// The first colon with two digits or more behind it.
fn port(text: &str) -> Option<&str> {
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    text.match_indices(':').map(|(i, _)| &text[i..]).find(|rest| digits(&rest[1..]) >= 2)
}

/// The first slash that begins a word and has a letter behind it, or is one of two.
fn path(text: &str) -> Option<&str> {
    text.match_indices('/').map(|(i, _)| (&text[..i], &text[i..])).find_map(|(before, rest)| {
        let begins = !before.ends_with(|c: char| c.is_alphanumeric() || c == '<');
        let named = rest[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
        (begins && named).then_some(rest)
    })
}

/// The first number with a dot and a number behind it.
fn version(text: &str) -> Option<&str> {
    text.match_indices('.').map(|(i, _)| (&text[..i], &text[i..])).find_map(|(before, rest)| {
        let number = before.ends_with(|c: char| c.is_ascii_digit())
            && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        number.then_some(rest)
    })
}
