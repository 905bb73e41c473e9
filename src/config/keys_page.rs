//! Rows of `keys`: metrics, the page and the log.

use super::keys::Form::*;
use super::keys::Kind::*;
use super::keys::Preset::*;
use super::keys::{Key, key};

const ADMIN: &str = "admin";
const PAGE: &str = "page";
const LOG: &str = "log";

/// In the order of the tables.
pub const KEYS: &[Key] = &[
    key(
        ADMIN,
        "listen",
        FilledTexts(Address),
        Without("nowhere"),
        "Where to answer. A Unix socket is for its owner and group.",
    ),
    key(
        ADMIN,
        "allow",
        FilledTexts(Network),
        Value("[\"127.0.0.0/8\", \"::1/128\"]"),
        "Whose connections to an IP address are answered; required where other hosts can reach it.",
    ),
    key(
        PAGE,
        "operators",
        Texts(Network),
        Value("[\"127.0.0.0/8\", \"::1/128\"]"),
        "Who sees evidence: the networks of operators.",
    ),
    key(
        PAGE,
        "trusted_proxies",
        Texts(Network),
        Value("[]"),
        "Whose X-Forwarded-For and Forwarded we believe.",
    ),
    key(
        PAGE,
        "contact",
        Text(Contact),
        Without("nobody is named"),
        "Shown to visitors: a mailto:, https:// or http:// address.",
    ),
    key(
        PAGE,
        "languages",
        FilledTexts(Language),
        Without("every language there is, English first"),
        "The languages of the pages, chosen by Accept-Language; the first is for whoever reads \
         none of them.",
    ),
    key(
        PAGE,
        "words",
        FilledTexts(File),
        Without("our own alone"),
        "Files with words of your own: each changes the words of a language or adds one.",
    ),
    key(
        PAGE,
        "template",
        Text(File),
        Without("the page of ours"),
        "An HTML template of your own in place of our page.",
    ),
    key(
        PAGE,
        "style",
        Text(File),
        Without("ours alone"),
        "A style sheet: in a template it is `style`, else it follows ours.",
    ),
    key(
        PAGE,
        "operator_fixes",
        Choice(&["everyone", "operators"]),
        Value("\"everyone\""),
        "Who sees what an operator can do.",
    ),
    key(
        PAGE,
        "gateway_error",
        Numbered(&[502, 503, 500]),
        Value("502"),
        "The status of a failure of the upstream; 503 or 500 behind a delivery network that shows \
         a page of its own in place of 502 and 504.",
    ),
    key(
        PAGE,
        "gateway_timeout",
        Numbered(&[502, 504]),
        Without("that of any other failure"),
        "The status of a timeout.",
    ),
    key(
        LOG,
        "access",
        ChoiceOrPath(&["stdout", "off"]),
        Value("\"stdout\""),
        "Where the access log goes. A file is opened anew on SIGUSR1.",
    ),
    key(
        LOG,
        "format",
        Choice(&["json", "combined", "text"]),
        Value("\"json\""),
        "The access log's format.",
    ),
    key(
        LOG,
        "level",
        Choice(&["error", "warn", "info", "debug", "trace"]),
        Value("\"info\""),
        "How much the daemon says of itself.",
    ),
];
