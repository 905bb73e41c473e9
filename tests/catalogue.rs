//! The catalogue against the lists that it was made from: every reason and every fix that the
//! documents name is there in every language and reached from a cause, and every name under which
//! they show a 502 is recognised.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use causeway::diagnose::{
    self, Audience, Cause, Code, Event, FixId, MessageId, Question, ReasonId, Received, fix_ids,
    languages, reasons,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const REASONS: [&str; 27] = [
    "overload_traffic",
    "overload_attack",
    "poor_optimisation",
    "noisy_neighbour",
    "php_error",
    "out_of_memory",
    "process_limit",
    "service_down",
    "wrong_port",
    "php_timeout",
    "slow_backend",
    "dns",
    "network",
    "firewall",
    "oversized_headers",
    "protocol_mismatch",
    "invalid_response",
    "software_bug",
    "maintenance",
    "migration",
    "helper_service",
    "cdn_or_shield",
    "recent_change",
    "quota",
    "nested_gateway",
    "visitor_browser",
    "visitor_network",
];

const VISITOR: [&str; 19] = [
    "reload",
    "site_status",
    "other_site",
    "check_connection",
    "new_session",
    "other_browser",
    "private_mode",
    "clear_cache",
    "clear_cookies",
    "update_browser",
    "other_device",
    "restart_network",
    "flush_dns",
    "change_dns",
    "check_proxy_vpn",
    "cached_copy",
    "contact_site",
    "contact_isp",
    "come_back",
];

const OPERATOR: [&str; 27] = [
    "backend_status",
    "start_backend",
    "match_port",
    "check_dns",
    "check_connectivity",
    "check_firewall",
    "raise_header_limit",
    "restart_proxy",
    "fpm_capacity",
    "fpm_timeouts",
    "check_memory",
    "check_logs",
    "wp_debug",
    "plugins_off",
    "update_software",
    "helper_services",
    "bypass_cdn",
    "more_resources",
    "limit_traffic",
    "roll_back",
    "debug_code",
    "slow_queries",
    "contact_host",
    "ask_expert",
    "seo",
    "monitor",
    "protocol_agree",
];

#[test]
fn every_reason_of_the_documents_is_there_and_reached() {
    for name in REASONS {
        let id: ReasonId = name.parse().unwrap_or_else(|_| panic!("no reason is called {name}"));
        assert!(Code::all().any(|code| reasons(code).contains(&id)), "{name} is not reached");
        assert!(!diagnose::reason_sources(id).is_empty(), "{name}");
        for words in languages() {
            let reason = words.reason(id);
            let told = !reason.title.trim().is_empty() && !reason.text.trim().is_empty();
            assert!(told, "{name} in {}", words.language);
        }
    }
    assert_eq!(ReasonId::all().count(), REASONS.len());
}

#[test]
fn every_fix_of_the_documents_is_there_and_reached() {
    let visitor = VISITOR.iter().map(|name| (name, Audience::Visitor));
    let operator = OPERATOR.iter().map(|name| (name, Audience::Operator));
    for (name, audience) in visitor.chain(operator) {
        let id: FixId = name.parse().unwrap_or_else(|_| panic!("no fix is called {name}"));
        assert_eq!(id.audience(), audience, "{name}");
        assert!(Code::all().any(|code| fix_ids(code).any(|fix| fix == id)), "{name}");
        let ours = ["Causeway".to_owned()];
        assert_ne!(diagnose::fix_sources(id), ours, "{name} comes from the documents");
        for words in languages() {
            let fix = words.fix(id);
            let texts = fix.steps.iter().map(|step| step.text());
            let texts: Vec<&str> = texts.chain([&*fix.title, &*fix.why]).collect();
            assert!(texts.iter().all(|text| !text.trim().is_empty()), "{name}: {}", words.language);
            assert_eq!(fix.check.is_some(), audience == Audience::Operator, "{name}");
        }
    }
}

fn nginx(signature: &str) -> String {
    format!(
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
         Gateway</h1></center>\r\n<hr><center>{signature}</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn titled(title: &str, text: &str) -> String {
    format!("<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>{text}</body></html>")
}

fn apache(title: &str) -> String {
    titled(
        title,
        "<h1>Proxy Error</h1>\n<p>The proxy server received an invalid\r\nresponse from an \
         upstream server.<br />",
    )
}

/// Each name under which the documents show the failure: the status and the page of a sample, who
/// is found to have made it, and words of what is kept as evidence.
fn names() -> Vec<(u16, String, Code, &'static str, &'static str)> {
    use Code::{HelperServicesDown, PhpFatalError, UpstreamGatewayError as Gateway};
    let google = "<p><b>502.</b> <ins>That\u{2019}s an error.</ins>\n<p>The server encountered a \
        temporary error and could not complete your request.<p>Please try again in 30 seconds.";
    let server_error = "<h1>Error: Server Error</h1>\n<h2>The server encountered a temporary error \
        and could not complete your request.</h2>";
    let iis = "502 - Web server received an invalid response while acting as a gateway or proxy \
        server.";
    let substatus = |number: &str| format!("<h3>HTTP Error {number}</h3>");
    let cloudflare = "<div id=\"cf-wrapper\"><div id=\"cf-error-details\" class=\"p-0\">";
    let database = "<h1>Error establishing a database connection</h1>";
    vec![
        (502, titled("502 Bad Gateway", ""), Gateway, "unknown", "502 Bad Gateway"),
        (502, titled("Error 502", ""), Gateway, "unknown", "Error 502"),
        (502, "<h1>Bad 502 Gateway</h1>".into(), Gateway, "unknown", "Bad 502 Gateway"),
        (502, titled("502 Error", ""), Gateway, "unknown", "502 Error"),
        (502, titled("Temporary Error (502)", ""), Gateway, "google", "Temporary Error (502)"),
        (502, titled("Error 502 (Server Error)!!1", google), Gateway, "google", "Error 502"),
        (502, titled("502 Server Error", server_error), Gateway, "google", "502 Server Error"),
        (502, "HTTP 502".into(), Gateway, "unknown", "HTTP 502"),
        (
            502,
            "502 Service Temporarily Overloaded".into(),
            Gateway,
            "unknown",
            "502 Service Temporarily Overloaded",
        ),
        (502, apache("502 Proxy Error"), Gateway, "apache", "502 Proxy Error"),
        (502, substatus("502 - Bad Gateway"), Gateway, "iis", "502 - Bad Gateway"),
        (502, nginx("cloudflare"), Gateway, "cloudflare", "502 Bad Gateway"),
        (502, titled("502: Bad gateway", cloudflare), Gateway, "cloudflare", "502: Bad gateway"),
        (502, nginx("nginx/1.22.1"), Gateway, "nginx", "502 Bad Gateway"),
        (
            502,
            "502 Bad Gateway: Registered endpoint failed to handle the request.\n".into(),
            Gateway,
            "cloud_foundry",
            "Registered endpoint failed to handle the request.",
        ),
        (502, apache("Bad Gateway"), Gateway, "apache", "Bad Gateway"),
        (502, titled(iis, ""), Gateway, "iis", iis),
        (502, substatus("502.1 - CGI Timeout"), Gateway, "iis", "502.1"),
        (502, substatus("502.3 - Forwarder Connection Error"), Gateway, "iis", "502.3"),
        (
            502,
            titled("Twitter / Over capacity", "<h1>Twitter is over capacity.</h1>"),
            Gateway,
            "twitter",
            "Over capacity",
        ),
        (
            502,
            titled("Timeout - GoDaddy Website Firewall", "HTTP 502"),
            Gateway,
            "godaddy",
            "Timeout",
        ),
        (502, String::new(), Gateway, "unknown", "an empty page"),
        (
            502,
            "0x80244021 WU_E_PT_HTTP_STATUS_BAD_GATEWAY".into(),
            Gateway,
            "unknown",
            "0x80244021",
        ),
        (500, titled("Database Error", database), HelperServicesDown, "", "database connection"),
        (500, String::new(), PhpFatalError, "", ""),
    ]
}

#[test]
fn every_name_of_a_502_is_recognised() {
    for (status, page, code, hop, said) in names() {
        let php = (HeaderName::from_static("x-powered-by"), HeaderValue::from_static("PHP/8.2"));
        let headers: HeaderMap = (status == 500).then_some(php).into_iter().collect();
        let received = Received { status, headers: &headers, page: Some(page.as_bytes()) };
        let sent = HeaderMap::new();
        let method = Method::GET;
        let asked =
            Question { method: &method, path_and_query: "/", headers: &sent, fastcgi: false };
        let (cause, _) = diagnose::answered(&received, &asked).unwrap();
        assert_eq!(cause.code(), code, "{page}");
        let evidence = cause.evidence();
        let value = |key| evidence.iter().find(|(known, _)| *known == key);
        let made_by = value("hop").map_or("", |(_, hop)| hop.as_str());
        assert_eq!(made_by, hop, "{page}");
        let words = value("said").or(value("message")).map_or("", |(_, words)| words.as_str());
        assert!(words.contains(said), "{words} lacks {said}");
    }
}

/// A white screen that says nothing at all of who made it is still an error of the site.
#[test]
fn a_blank_page_is_no_success() {
    let headers = HeaderMap::new();
    for status in [500, 502, 503, 504] {
        let received = Received { status, headers: &headers, page: Some(b"") };
        let (cause, _): (Cause, _) = diagnose::by_status(&received);
        assert!(diagnose::is_received(cause.code()), "{status}");
    }
}

/// Journals of years are filed by these, and scripts look for them: an id never changes, and a name
/// that is given up keeps its line here.
#[test]
fn the_ids_of_messages_are_for_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/message_ids.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let kept: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let causes = Code::all().map(|code| (code.name(), MessageId::from(code)));
    let events = Event::all().map(|event| (event.name(), MessageId::from(event)));
    let lines = causes.chain(events).map(|(name, id)| format!("{id} {name}"));
    let missing: Vec<_> = lines.filter(|line| !kept.contains(&line.as_str())).collect();
    // A line with the name of one of these and another id means that the id has changed.
    let changed = missing.iter().filter_map(|line| line.split_once(' ')).find(|(_, name)| {
        kept.iter().filter_map(|line| line.split_once(' ')).any(|(_, other)| other == *name)
    });
    assert_eq!(changed, None, "another id for a message that had one");
    let added = missing.iter().map(|line| format!("{line}\n")).collect::<String>();
    if std::env::var_os("CAUSEWAY_BLESS").is_some() {
        std::fs::write(path, text + &added).unwrap();
    } else {
        assert!(added.is_empty(), "to be added to {path}, as CAUSEWAY_BLESS=1 does:\n{added}");
    }
}
