//! The manual pages: causeway(8) from the definition of the command line, causeway.toml(5) from the
//! list of the configuration's keys.
//!
//! What neither definition knows (files, signals, environment) stands here. roff escapes whatever
//! would be a command to it.

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::config::{self, Form, Key, Kind, Preset, TABLES, keys_of};

use super::generate::Part;
use super::{
    EX_CANTCREAT, EX_CONFIG, EX_DATAERR, EX_NOINPUT, EX_NOPERM, EX_OSERR, EX_UNAVAILABLE, EX_USAGE,
    INCOMPLETE, command,
};

const MINIMAL: &str = include_str!("../../config/minimal.toml");

const FILES: [(&str, &str); 6] = [
    ("/etc/causeway/causeway.toml", "The configuration; see causeway.toml(5)."),
    ("/var/log/causeway/", "For an access log in a file; rotated daily by the package."),
    ("/var/lib/causeway/", "What outlives a restart."),
    ("/run/causeway/", "Sockets, and switches for planned work."),
    ("/usr/share/causeway/causeway.schema.json", "The configuration's JSON Schema, for editors."),
    (
        "/usr/share/doc/causeway/examples/",
        "The annotated configuration with every key, the smallest one, alert rules, a dashboard.",
    ),
];

const SIGNALS: [(&str, &str); 5] = [
    (
        "SIGHUP",
        "Reloads; with any mistake the old configuration stays in force, and the mistakes are \
         shown.",
    ),
    ("SIGUSR1", "Opens the access log's file anew, after it was rotated."),
    (
        "SIGTERM, SIGQUIT",
        "Takes no more connections, finishes what is under way, up to `drain_timeout`, and ends.",
    ),
    (
        "SIGUSR2",
        "As SIGTERM, and leaves the listening sockets with systemd for the next process: what \
         `systemctl restart causeway` sends.",
    ),
    ("SIGINT", "Ends at once."),
];

const EXITS: [(u8, &str); 10] = [
    (0, "All is well."),
    (
        INCOMPLETE,
        "Something was not carried over by an import, and the rest was; or `doctor` found nothing \
         worse than warnings.",
    ),
    (EX_USAGE, "Wrong usage, or no such cause."),
    (EX_DATAERR, "What is to be imported is not in its program's syntax."),
    (EX_NOINPUT, "The configuration file, or the one to import, cannot be read."),
    (
        EX_UNAVAILABLE,
        "Cannot listen, cannot open the access log or the state of ACME; a reload finds no service \
         that answers; `doctor` found that requests fail, or that the service cannot start.",
    ),
    (EX_OSERR, "The system denies a thread, or passed a socket that cannot be used."),
    (EX_CANTCREAT, "A file cannot be written."),
    (EX_NOPERM, "Not permitted."),
    (EX_CONFIG, "The configuration is wrong."),
];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("LC_ALL, LC_MESSAGES, LANG", "The language of what `doctor` tells."),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "Certificate authorities to trust, in place of the system's store, for upstreams that \
         name none.",
    ),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID",
        "Set by systemd: where to say that the service is ready and alive, and the sockets that it \
         passes.",
    ),
    ("TMPDIR", "Where request bodies are kept that are too large for memory; /tmp by default."),
];

/// Both pages.
pub fn parts() -> [Part; 2] {
    let part = |name: &str, text: String| Part { name: name.to_owned(), bytes: text.into_bytes() };
    [part("causeway.8", program()), part("causeway.toml.5", configuration())]
}

fn program() -> String {
    let command = command();
    let leaves = leaves(&command);
    let mut page = section(|man, text| man.render_title(text), &command);
    page.push_str(&section(|man, text| man.render_name_section(text), &command));
    let mut roff = Roff::new();
    copyable(&mut roff);
    roff.control("SH", ["SYNOPSIS"]);
    for (at, leaf) in leaves.iter().enumerate() {
        if at > 0 {
            roff.control("br", []);
        }
        roff.text(synopsis(leaf));
    }
    roff.control("SH", ["DESCRIPTION"]);
    prose(&mut roff, command.get_long_about().or(command.get_about()));
    roff.text([roman("Its configuration is described in "), bold("causeway.toml"), roman("(5).")]);
    roff.control("SH", ["COMMANDS"]);
    page.push_str(&body(&roff));
    for leaf in &leaves {
        page.push_str(&of_command(leaf));
    }
    let mut roff = Roff::new();
    listed(&mut roff, "FILES", FILES);
    listed(&mut roff, "SIGNALS", SIGNALS);
    let exits = EXITS.map(|(code, text)| (code.to_string(), text));
    listed(&mut roff, "EXIT STATUS", exits.each_ref().map(|(code, text)| (code.as_str(), *text)));
    listed(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    see_also(&mut roff, &[("causeway.toml", 5), ("systemctl", 1), ("journalctl", 1)]);
    page + &body(&roff)
}

/// How a command is called.
fn synopsis(leaf: &clap::Command) -> Vec<Inline> {
    let mut line = vec![bold(full_name(leaf))];
    for argument in leaf.get_arguments() {
        let (open, close) = if argument.is_required_set() { (" ", "") } else { (" [", "]") };
        line.push(roman(open));
        line.extend(argument.get_long().map(|long| bold(format!("--{long}"))));
        let takes_value = argument.get_action().takes_values();
        for value in argument.get_value_names().filter(|_| takes_value).unwrap_or_default() {
            line.push(roman(if argument.is_positional() { "" } else { " " }));
            line.push(italic(value.to_string()));
        }
        line.push(roman(close));
    }
    line
}

/// One command: its name, what it does, its options.
fn of_command(leaf: &clap::Command) -> String {
    let mut roff = Roff::new();
    roff.control("SS", [full_name(leaf)]);
    prose(&mut roff, leaf.get_long_about().or(leaf.get_about()));
    let has_options = leaf.get_arguments().next().is_some();
    let options = section(|man, text| man.render_options_section(text), leaf);
    body(&roff) + if has_options { headless(&options) } else { "" }
}

/// The commands that do something, each called by its whole name.
fn leaves(command: &clap::Command) -> Vec<clap::Command> {
    let mut leaves = Vec::new();
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let name = format!("{} {}", full_name(command), below.get_name());
        // Every command has the same help.
        let below = below.clone().bin_name(name.clone()).display_name(name);
        let below = below.disable_help_flag(true).disable_help_subcommand(true);
        match below.has_subcommands() {
            true => leaves.extend(self::leaves(&below)),
            false => leaves.push(below),
        }
    }
    leaves
}

/// `causeway check`, not `check`.
fn full_name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn configuration() -> String {
    let mut roff = Roff::new();
    let source = format!("causeway {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["causeway.toml", "5", "", &source, ""]);
    copyable(&mut roff);
    roff.control("SH", ["NAME"]);
    roff.text([roman("causeway.toml - what causeway(8) forwards, and how")]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([italic(config::default_path().display().to_string())]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in [
        "The file is TOML 1.0. Durations and sizes are strings with a unit: `\"250ms\"`, \
         `\"10s\"`, `\"5m\"`, `\"1h\"`, `\"1d\"`; `\"512B\"`, `\"10kB\"`, `\"1MB\"`, \
         `\"32KiB\"`, `\"1MiB\"`. An unknown key is a mistake.",
        "`causeway check` reports every mistake at once, with its line and what would be right. \
         `systemctl reload causeway` takes a new configuration up without losing a request; with \
         any mistake the old one stays in force.",
        "A request goes to the block whose listener, host and path match it: an exact host before \
         `*.`, that before no host at all, and then the longest path.",
    ] {
        roff.text(marked(paragraph));
        roff.control("PP", []);
    }
    for (table, meaning) in TABLES {
        of_table(&mut roff, table, meaning);
    }
    roff.control("SH", ["EXAMPLES"]);
    example(&mut roff, "Everything goes to one server:", MINIMAL);
    example(&mut roff, "A PHP site:", PHP);
    listed(&mut roff, "FILES", FILES);
    see_also(&mut roff, &[("causeway", 8)]);
    roff.render()
}

const PHP: &str = "\
listen = [\"0.0.0.0:80\", \"[::]:80\"]

[upstream.blog]
servers = [\"fastcgi+unix:/run/php/php8.2-fpm.sock\"]
hosts = [\"blog.example\"]
root = \"/var/www/blog\"";

fn of_table(roff: &mut Roff, table: &str, meaning: &str) {
    let heading = match table {
        "" => "TOP OF THE FILE".to_owned(),
        table => config::header(table),
    };
    roff.control("SH", [heading.as_str()]);
    roff.text(marked(meaning));
    for key in keys_of(table) {
        roff.control("TP", []);
        roff.text([bold(key.name), roman(" = "), roman(shape(key))]);
        roff.text(marked(key.meaning));
        roff.control("br", []);
        roff.text(match key.preset.literal() {
            Some(literal) => vec![roman("Default: "), bold(literal)],
            None => marked(&match key.preset {
                Preset::Without(means) => format!("Left out: {means}."),
                Preset::Required => "Required.".to_owned(),
                Preset::Value(_) | Preset::List(_) => String::new(),
            }),
        });
    }
}

/// What may stand behind a key, in words.
fn shape(key: &Key) -> String {
    let words = |words: &[&str]| {
        words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ")
    };
    match &key.kind {
        Kind::Flag => "true | false".to_owned(),
        Kind::FlagOrTable => "true | false | table".to_owned(),
        Kind::Count(range) => format!("{} ... {}", range.start(), range.end()),
        Kind::Numbered(numbers) => {
            numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
        }
        Kind::Numbers(range) => format!("array of {} ... {}", range.start(), range.end()),
        Kind::Duration => "duration".to_owned(),
        Kind::DurationOrZero => "duration, or \"0s\"".to_owned(),
        Kind::Size(most) => format!("size up to \"{most}\""),
        Kind::Choice(choices) => words(choices),
        Kind::ChoiceOrPath(choices) => format!("{} | {}", words(choices), form(Form::File)),
        Kind::Text(one) => form(*one).to_owned(),
        Kind::Texts(one) => format!("array of {}", form(*one)),
        Kind::FilledTexts(one) => format!("array of {}, at least one", form(*one)),
        Kind::Tables => "array of tables, at least one".to_owned(),
        Kind::FilledLists(one) => format!("array of arrays of {}", form(*one)),
        Kind::Time => "\"2026-11-22T06:00:00+01:00\"".to_owned(),
    }
}

fn form(form: Form) -> &'static str {
    match form {
        Form::Listener => "\"IP:PORT\" | \"[IPv6]:PORT\" | \"unix:/PATH\" | \"systemd:NAME\"",
        Form::Address => "\"IP:PORT\" | \"[IPv6]:PORT\" | \"unix:/PATH\"",
        Form::Resolver => "\"IP\" | \"IP:PORT\"",
        Form::Server => {
            "\"http://HOST[:PORT]\" | \"https://HOST[:PORT]\" | \"h2c://HOST[:PORT]\" | \
             \"http+unix:/PATH\" | \"fastcgi://HOST:PORT\" | \"fastcgi+unix:/PATH\""
        }
        Form::Host => "\"HOST\"",
        Form::UrlPath => "\"/PATH\"",
        Form::File => "\"/PATH/OF/A/FILE\"",
        Form::Folder => "\"/PATH/OF/A/FOLDER\"",
        Form::FileName => "\"NAME\"",
        Form::Attempt => "\"{path}\" | \"{path}/\" | \"/FALLBACK.php\" | \"=404\"",
        Form::Glob => "\"PATTERN\"",
        Form::Network => "\"IP/LENGTH\"",
        Form::Balancer => "\"IP/LENGTH\" | \"unix\"",
        Form::Mailbox => "\"mailto:USER@HOST\"",
        Form::Directory => "\"https://HOST/...\"",
        Form::Contact => "\"mailto:USER@HOST\" | \"https://HOST/...\"",
        Form::Language => "\"LANGUAGE\"",
    }
}

/// A heading with terms and what is said of each.
fn listed<'a>(roff: &mut Roff, heading: &str, rows: impl IntoIterator<Item = (&'a str, &'a str)>) {
    roff.control("SH", [heading]);
    for (term, text) in rows {
        roff.control("TP", []);
        roff.text([bold(term)]);
        roff.text(marked(text));
    }
}

fn see_also(roff: &mut Roff, pages: &[(&str, u8)]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (at, (name, section)) in pages.iter().enumerate() {
        let comma = if at + 1 < pages.len() { ", " } else { "" };
        line.extend([bold(*name), roman(format!("({section}){comma}"))]);
    }
    roff.text(line);
}

/// Lines as they are, without those that comment.
fn example(roff: &mut Roff, title: &str, source: &str) {
    roff.control("PP", []);
    roff.text([roman(title)]);
    roff.control("PP", []);
    roff.control("RS", ["4"]);
    roff.control("nf", []);
    let lines = source.lines().filter(|line| !line.starts_with('#'));
    for line in lines.skip_while(|line| line.is_empty()) {
        match line {
            "" => roff.control("sp", []),
            line => roff.text([roman(line)]),
        };
    }
    roff.control("fi", []);
    roff.control("RE", []);
}

/// From here on no word is divided and no line stretched: much of a page is to be copied.
fn copyable(roff: &mut Roff) {
    roff.control("nh", []);
    roff.control("ad", ["l"]);
}

/// A command's description; clap takes the full stop off its end.
fn prose(roff: &mut Roff, text: Option<&clap::builder::StyledStr>) {
    let text = text.map(ToString::to_string).unwrap_or_default();
    for paragraph in text.trim_end_matches('.').split("\n\n") {
        roff.text(marked(&format!("{}.", paragraph.trim_end_matches('.'))));
        roff.control("PP", []);
    }
}

/// What stands between backticks in bold.
fn marked(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// What clap_mangen writes for one section of a command.
fn section(
    render: impl Fn(&Man, &mut dyn std::io::Write) -> std::io::Result<()>,
    command: &clap::Command,
) -> String {
    let man = Man::new(command.clone()).section("8").title("causeway");
    let mut bytes = Vec::new();
    render(&man, &mut bytes).expect("a vector takes all");
    without_preamble(&String::from_utf8_lossy(&bytes))
}

fn body(roff: &Roff) -> String {
    without_preamble(&roff.render())
}

/// The definition of an apostrophe, which roff puts before each piece, is wanted once a page.
fn without_preamble(text: &str) -> String {
    let is_title = text.contains("\n.TH ");
    let kept = |line: &&str| is_title || !line.starts_with(".ie ") && !line.starts_with(".el ");
    text.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

/// A section without its heading.
fn headless(section: &str) -> &str {
    section.split_once('\n').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    /// The text of a page without its fonts and escapes.
    fn plain(page: &str) -> String {
        let text = page.replace("\\fB", "").replace("\\fR", "").replace("\\fI", "");
        text.replace("\\-", "-").replace("\\*(Aq", "'")
    }

    #[test]
    fn every_key_is_described_with_its_default() {
        let page = plain(&configuration());
        for key in keys() {
            assert!(page.contains(&format!("\n{} = {}\n", key.name, shape(key))), "{}", key.name);
            if let Some(literal) = key.preset.literal() {
                assert!(page.contains(&format!("Default: {literal}\n")), "{}", key.name);
            }
        }
        assert!(!page.contains('`'), "{page}");
    }

    #[test]
    fn every_command_is_described() {
        let page = plain(&program());
        for leaf in &leaves(&command()) {
            let name = full_name(leaf);
            assert!(page.contains(&format!(".SS \"{name}\"\n")), "{name}: {page}");
        }
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "SIGNALS", "\"EXIT STATUS\""]
        {
            assert_eq!(page.matches(&format!(".SH {heading}\n")).count(), 1, "{heading}: {page}");
        }
        assert!(!page.contains("generate"), "{page}");
    }
}
