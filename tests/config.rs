//! The configuration at its door: text in, a `Config` or every mistake out.
//!
//! Messages are goldens in `golden/config.txt`; `CAUSEWAY_BLESS=1` rewrites them, to be reviewed
//! as prose.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use causeway::config::{
    AccessLog, Config, Fault, Files, HostPattern, Hsts, Level, LoadError, LogFormat, Objection,
    OperatorFixes, Page, Place, Probe, Problems, Symlinks, TlsVersion, Try, Upstream, load, parse,
};
use proptest::prelude::*;

#[path = "support/schema.rs"]
mod schema;

const REFERENCE: &str = include_str!("../config/causeway.toml");
const MINIMAL: &str = include_str!("../config/minimal.toml");
const DEFAULT: &str = include_str!("../config/default.toml");

const EVERY_KEY: &str = r#"
listen = ["0.0.0.0:80", "unix:/run/http.sock"]
workers = 3
resolvers = ["127.0.0.53", "[::1]:5353"]
drain_timeout = "0s"
client.header_timeout = "1s"
client.body_timeout = "2s"
client.keepalive_timeout = "3s"
client.header_section = "8KiB"
client.connections = 10_000

[upstream.z]
servers = ["https://z.example"]
hosts = ["Z.example", "*.z.example"]
paths = ["/a", "/b"]
replace_status = [400, 0x1f6, 599]
probe = "always"
maintenance = { file = "/run/z", until = 2026-11-22T06:00:00+01:00 }
tls = { server_name = "z.internal", verify = false, http2 = true }

[upstream.a]
servers = ["http+unix:/run/a.sock"]
listen = ["[::1]:81", "0.0.0.0:80", "[::1]:81"]
[upstream.a.timeouts]
resolve = "1ms"
connect = "2ms"
tls = "3ms"
send = "4ms"
first_byte = "5ms"
idle = "6ms"
[upstream.a.limits]
header_section = "1KiB"
header_count = 1
connections = 2
queue = 0
idle_connections = 0

[upstream.php]
servers = ["fastcgi://127.0.0.1:9000", "fastcgi+unix:/run/php/php8.2-fpm.sock"]
hosts = ["php.example"]
root = "/srv/php/"
index = ["app.php"]
try = ["{path}/", "/front.php"]
deny = ["*.sql", "/private/*"]
symlinks = "anywhere"
limits = { idle_connections = 2, spool = "2GiB" }

[admin]
listen = ["127.0.0.1:9502", "10.0.0.5:9502", "unix:/run/admin.sock", "127.0.0.1:9502"]
allow = ["10.1.0.0/16"]

[page]
operators = []
trusted_proxies = ["10.1.2.3/8"]
contact = "https://shop.example/help"
operator_fixes = "operators"
gateway_error = 500
gateway_timeout = 504
languages = ["de", "pt-BR"]

[log]
access = "/var/log/causeway.log"
format = "combined"
level = "trace"
"#;

fn read(source: &str) -> Result<Config, Problems> {
    parse(source, Path::new("causeway.toml"))
}

/// Editors must accept what we accept.
fn good(source: &str) -> Config {
    let config = read(source).unwrap_or_else(|problems| panic!("{problems}"));
    if let Some(error) = schema::refused(source) {
        panic!("{error}\n{source}");
    }
    config
}

fn bad(source: &str) -> String {
    match read(source) {
        Ok(config) => panic!("accepted: {source}\n{config:?}"),
        Err(problems) => problems.to_string(),
    }
}

fn upstream(name: &str, server: &str) -> Upstream {
    let config = good(&format!("[upstream.{name}]\nservers = [\"{server}\"]"));
    Upstream::clone(&config.upstreams[0])
}

/// Sections `=== NAME`, a file, `---`, its messages.
#[test]
fn messages() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config.txt");
    let text = std::fs::read_to_string(&golden).unwrap();
    let (head, sections) = text.split_once("=== ").unwrap();
    let mut actual = head.to_owned();
    for section in sections.split("\n=== ") {
        let (name, rest) = section.split_once('\n').unwrap();
        let source = rest.split_once("\n---").map_or(rest, |(source, _)| source);
        let messages = bad(source);
        write!(actual, "=== {name}\n{source}\n---\n{messages}\n").unwrap();
    }
    if std::env::var_os("CAUSEWAY_BLESS").is_some() {
        std::fs::write(&golden, &actual).unwrap();
    }
    let differs = text.lines().zip(actual.lines()).find(|(old, new)| old != new);
    assert!(text == actual || std::env::var_os("CAUSEWAY_BLESS").is_some(), "{differs:#?}");
}

#[test]
fn reference_has_every_default() {
    let read = good(REFERENCE);
    let expected = Upstream::new("shop", upstream("shop", "http://127.0.0.1:8080").servers);
    assert_eq!(*read.upstreams[0], expected);
    assert_eq!(read.listeners[0].upstreams, [0]);

    let mut without_upstream = read;
    without_upstream.path = None;
    without_upstream.upstreams.clear();
    without_upstream.listeners[0].upstreams.clear();
    assert_eq!(without_upstream, Config::default());
}

/// What the reference has commented out is accepted too, once `https` makes it reachable.
#[test]
fn reference_names_every_key() {
    let mut source = String::new();
    for line in REFERENCE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let entry = bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let kept = if entry || bare.starts_with('[') { bare } else { line };
        source += &kept.replace("http://127", "https://127");
        source += "\n";
    }
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "fullchain.pem", "key.pem");
    let source = source.replace("/etc/causeway/tls", folder.path().to_str().unwrap());
    let messages = bad(&source);
    // The other files that it names are not there.
    let named = [
        ("ca = ", "/etc/ssl/private-ca.pem"),
        ("ca = ", "/etc/ssl/private-acme-ca.pem"),
        ("words = ", "/etc/causeway/words/de.toml"),
        ("template = ", "/etc/causeway/page.html"),
        ("style = ", "/etc/causeway/page.css"),
        ("page = ", "/etc/causeway/closed.html"),
    ];
    for (_, path) in named {
        assert!(messages.contains(&format!("cannot read `{path}`")), "{messages}");
    }
    assert_eq!(messages.matches("causeway.toml:").count(), named.len(), "{messages}");

    let without =
        |source: String, (key, _): &(&str, &str)| source.replace(key, &format!("# {key}"));
    let site = good(&named.iter().fold(source, without));
    let smallest = "[upstream.blog]\nservers = [\"fastcgi+unix:/run/php/php8.2-fpm.sock\"]\n\
                    hosts = [\"blog.example\"]\nroot = \"/var/www/blog\"";
    assert_eq!(site.upstreams[1], good(smallest).upstreams[0]);
}

/// Writes a certificate for shop.example and its key.
fn certificate(folder: &Path, chain: &str, key: &str) {
    let pair = rcgen::generate_simple_self_signed(["shop.example".to_owned()]);
    let pair = pair.expect("a certificate");
    std::fs::write(folder.join(chain), pair.cert.pem()).expect("the chain is written");
    std::fs::write(folder.join(key), pair.signing_key.serialize_pem()).expect("so is the key");
}

/// A FastCGI block that sets little: each row is what stands in it, and what is tried.
#[test]
fn fastcgi_defaults() {
    for (keys, expected) in [
        ("", "{path} {path}/ /index.php"),
        ("index = [\"index.html\", \"app.php\"]", "{path} {path}/ /app.php"),
        ("index = [\"index.html\"]", "{path} {path}/ =404"),
        ("try = [\"{path}\"]", "{path}"),
        ("try = [\"/index.php\"]", "/index.php"),
        ("deny = []\nlimits.queue = 5", "{path} {path}/ /index.php"),
    ] {
        let block = "[upstream.a]\nservers = [\"fastcgi://php:9000\"]\nroot = \"/srv\"";
        let config = good(&format!("{block}\n{keys}"));
        let files = config.upstreams[0].files.as_ref().unwrap();
        let shown: Vec<String> = files.attempts.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" "), expected, "{keys}");
        assert_eq!(files.deny.is_empty(), keys.contains("deny"));
        assert_eq!(config.upstreams[0].limits.idle_connections, 0);
    }
    assert!(upstream("a", "http://a").files.is_none());
    assert_eq!(upstream("a", "http://a").limits.idle_connections, 64);
}

#[test]
fn empty_file_listens_and_reaches_nothing() {
    let config = good("");
    assert_eq!(config, Config { path: config.path.clone(), ..Config::default() });
}

/// What the package installs forwards nothing; each of its examples is right by itself.
#[test]
fn the_packaged_configuration_is_an_empty_one() {
    let config = good(DEFAULT);
    assert_eq!(config, Config { path: config.path.clone(), ..Config::default() });
    let examples = DEFAULT.split("\n\n").skip(1).map(|part| {
        let lines = part.lines().filter_map(|line| line.strip_prefix("# "));
        let written = |line: &&str| line.starts_with('[') || line.contains(" = ");
        lines.filter(written).collect::<Vec<_>>().join("\n")
    });
    let examples: Vec<String> = examples.collect();
    let listen = &examples[0];
    for example in &examples[1..] {
        let config = good(&format!("{listen}\n{example}"));
        assert_eq!((config.listeners.len(), config.upstreams.len()), (2, 1), "{example}");
    }
    assert_eq!(examples.len(), 4);
}

#[test]
fn minimal_reaches_its_server() {
    let config = good(MINIMAL);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:8502");
    assert_eq!(config.listeners[0].upstreams, [0]);
    assert_eq!(config.upstreams[0].servers[0].to_string(), "http://127.0.0.1:8080");
}

#[test]
fn every_key_arrives() {
    let config = good(EVERY_KEY);
    assert_eq!(config.workers, 3);
    let resolvers: Vec<String> = config.resolvers.iter().map(ToString::to_string).collect();
    assert_eq!(resolvers, ["127.0.0.53:53", "[::1]:5353"]);
    assert_eq!(config.drain_timeout, Duration::ZERO);
    let c = &config.client;
    let timeouts = [c.header_timeout, c.body_timeout, c.keepalive_timeout];
    assert_eq!(timeouts.map(|timeout| timeout.as_secs()), [1, 2, 3]);
    assert_eq!([c.header_section_bytes, c.connections], [8192, 10_000]);
    let listeners: Vec<(String, &[usize])> = config
        .listeners
        .iter()
        .map(|listener| (listener.address.to_string(), listener.upstreams.as_slice()))
        .collect();
    assert_eq!(listeners[0], ("0.0.0.0:80".to_owned(), &[0, 1, 2][..]));
    assert_eq!(listeners[1], ("unix:/run/http.sock".to_owned(), &[0, 2][..]));
    assert_eq!(listeners[2], ("[::1]:81".to_owned(), &[1][..]));

    let z = &config.upstreams[0];
    assert_eq!(z.servers[0].to_string(), "https://z.example:443");
    let pattern = "z.example".to_owned();
    assert_eq!(z.hosts, [HostPattern::Exact(pattern.clone()), HostPattern::Wildcard(pattern)]);
    assert_eq!(z.paths, ["/a", "/b"]);
    assert_eq!(z.replace_status, [400, 502, 599]);
    assert_eq!((z.probe, config.upstreams[1].probe), (Probe::Always, Probe::Private));
    let closed = z.maintenance.as_ref().unwrap();
    let until = closed.until.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(
        (closed.file.as_deref(), until.as_secs()),
        (Some(Path::new("/run/z")), 1_795_323_600)
    );
    assert_eq!(config.upstreams[1].maintenance, None);
    assert_eq!(z.tls.server_name.as_deref(), Some("z.internal"));
    assert!(!z.tls.verify && z.tls.http2);

    let a = &config.upstreams[1];
    let t = &a.timeouts;
    let timeouts = [t.resolve, t.connect, t.tls, t.send, t.first_byte, t.idle];
    assert_eq!(timeouts.map(|timeout| timeout.as_millis()), [1, 2, 3, 4, 5, 6]);
    let l = &a.limits;
    let limits =
        [l.header_section_bytes, l.header_count, l.connections, l.queue, l.idle_connections];
    assert_eq!(limits, [1024, 1, 2, 0, 0]);

    let php = &config.upstreams[2];
    let servers: Vec<String> = php.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["fastcgi://127.0.0.1:9000", "fastcgi+unix:/run/php/php8.2-fpm.sock"]);
    assert_eq!((php.limits.idle_connections, php.limits.spool_bytes), (2, 2 << 30));
    let Files { root, index, attempts, deny, symlinks } = php.files.as_ref().unwrap();
    assert_eq!((root.to_str(), *symlinks), (Some("/srv/php"), Symlinks::Anywhere));
    assert_eq!(*index, ["app.php"]);
    assert_eq!(*attempts, [Try::Folder, Try::Fallback("/front.php".to_owned())]);
    assert_eq!(deny.iter().map(ToString::to_string).collect::<Vec<_>>(), ["*.sql", "/private/*"]);

    let admin: Vec<String> = config.admin.listen.iter().map(ToString::to_string).collect();
    assert_eq!(admin, ["127.0.0.1:9502", "10.0.0.5:9502", "unix:/run/admin.sock"]);
    assert_eq!(config.admin.allow, ["10.1.0.0/16".parse().unwrap()]);

    assert!(config.page.operators.is_empty());
    assert_eq!(config.page.trusted_proxies[0].to_string(), "10.0.0.0/8");
    assert_eq!(config.page.contact.as_deref(), Some("https://shop.example/help"));
    assert_eq!(config.page.operator_fixes, OperatorFixes::Operators);
    assert_eq!((config.page.gateway_error, config.page.gateway_timeout), (500, 504));
    let languages = config.page.languages.iter().map(|language| language.value.as_str());
    assert_eq!(languages.collect::<Vec<_>>(), ["de", "pt-BR"]);
    assert_eq!(config.log.access, AccessLog::File("/var/log/causeway.log".into()));
    assert_eq!(config.log.format, LogFormat::Combined);
    assert_eq!(config.log.level, Level::Trace);
}

/// Each row: a file, and its listeners with the names of the upstreams that they reach.
#[test]
fn listeners_reach_upstreams() {
    let a = "[upstream.a]\nservers = [\"http://a\"]\n";
    let own = "listen = [\"127.0.0.1:0\"]\n";
    let b = "[upstream.b]\nservers = [\"http://b\"]\npaths = [\"/b\"]\n";
    let global = "listen = [\"0.0.0.0:80\", \"0.0.0.0:80\"]\n";
    for (source, expected) in [
        (a.to_owned(), "127.0.0.1:8502 a"),
        (format!("{a}{b}"), "127.0.0.1:8502 a b"),
        (format!("{a}{own}"), "127.0.0.1:0 a"),
        (format!("{a}{own}{b}"), "127.0.0.1:8502 b, 127.0.0.1:0 a"),
        (format!("{a}{own}{b}{own}"), "127.0.0.1:0 a b"),
        (format!("{global}{b}{a}"), "0.0.0.0:80 b a"),
        (format!("{global}{a}{own}"), "0.0.0.0:80, 127.0.0.1:0 a"),
        (global.to_owned(), "0.0.0.0:80"),
    ] {
        let config = good(&source);
        let mut shown = Vec::new();
        for listener in &config.listeners {
            let names = listener.upstreams.iter().map(|at| config.upstreams[*at].name.as_str());
            let address = listener.address.to_string();
            shown.push([address.as_str()].into_iter().chain(names).collect::<Vec<_>>().join(" "));
        }
        assert_eq!(shown.join(", "), expected, "{source}");
    }
}

/// Overlapping is no collision: same host and path on another listener, another host, another path.
#[test]
fn only_the_same_route_collides() {
    let a = "[upstream.a]\nservers = [\"http://a\"]\n";
    let b = "[upstream.b]\nservers = [\"http://b\"]\n";
    for difference in
        ["listen = [\"127.0.0.1:81\"]", "hosts = [\"b.example\"]", "paths = [\"/b\", \"/c\"]"]
    {
        good(&format!("{a}{b}{difference}"));
    }
    bad(&format!("{a}{b}"));
    let message = bad(&format!("{a}{b}hosts = [\"a:80\"]"));
    assert!(!message.contains("same requests"), "hosts are not known: {message}");
}

#[test]
fn certificate_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["shop.internal".to_owned()];
    let pem = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
    let source = |name: &str| {
        let file = folder.path().join(name);
        format!("[upstream.a]\nservers = [\"https://a\"]\ntls.ca = \"{}\"", file.display())
    };
    let certificates = [("one", pem.clone()), ("two", format!("# two\n{pem}\n{pem}"))];
    for (name, content) in certificates {
        std::fs::write(folder.path().join(name), content).unwrap();
        let config = good(&source(name));
        assert_eq!(config.upstreams[0].tls.ca, Some(folder.path().join(name)));
    }
    for (name, content, expected) in [
        ("empty", String::new(), "holds no certificate"),
        ("key", key.serialize_pem(), "holds no certificate"),
        ("cut", pem[..pem.len() / 2].to_owned(), "holds"),
        ("broken", pem.replace("MII", "M!!"), "holds a broken PEM block"),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
        let message = bad(&source(name));
        assert!(message.contains(expected), "{name}: {message}");
    }
    assert!(bad(&source("absent")).contains("cannot read"));
    assert!(bad(&source(".")).contains("cannot read"));
}

#[test]
fn tls_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    for (chain, key) in [("a.pem", "a.key"), ("b.pem", "b.key")] {
        certificate(folder.path(), chain, key);
    }
    let path = |name: &str| folder.path().join(name);
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    std::fs::write(path("turned.pem"), read("b.pem") + &read("a.pem")).unwrap();
    let mut other = rcgen::CertificateParams::new(["shop.example".to_owned()]).unwrap();
    other.distinguished_name.push(rcgen::DnType::CommonName, "another");
    let other = other.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    std::fs::write(path("strange.pem"), read("a.pem") + &other.pem()).unwrap();
    std::fs::write(path("long.pem"), read("a.pem").repeat(11)).unwrap();
    std::fs::write(path("broken.pem"), read("a.pem").replace("MII", "M!!")).unwrap();
    std::fs::write(path("large.pem"), vec![b' '; (1 << 20) + 1]).unwrap();
    let sealed =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(path("sealed.key"), sealed).unwrap();
    let entry =
        |chain: &str, key: &str| format!("{{ chain = {:?}, key = {:?} }}", path(chain), path(key));
    let source = |entries: &str, more: &str| {
        format!("[tls]\nlisten = [\"0.0.0.0:443\"]\ncertificates = [{entries}]\n{more}")
    };

    let both = format!("{}, {}", entry("a.pem", "a.key"), entry("b.pem", "b.key"));
    let defaults = good(&source(&both, "")).tls;
    assert_eq!(defaults.certificates.len(), 2);
    assert_eq!(defaults.certificates[1].key, path("b.key"));
    assert_eq!((defaults.offer.min_version, defaults.hsts), (TlsVersion::Tls12, None));

    assert!(defaults.offer.http2);
    assert!(!good(&source(&both, "http2 = false\n")).tls.offer.http2);

    let more = "min_version = \"1.3\"\nredirect_to_https = true\nhsts = \"1d\"\n\
                hsts_subdomains = true\n[upstream.a]\nservers = [\"http://a\"]\n\
                [upstream.b]\nservers = [\"http://b\"]\npaths = [\"/b\"]\n\
                redirect_to_https = false\n[upstream.c]\nservers = [\"http://c\"]\n\
                listen = [\"127.0.0.1:81\"]\n";
    let config = good(&format!("listen = [\"0.0.0.0:80\"]\n{}", source(&both, more)));
    let hsts = Hsts { max_age: Duration::from_secs(86400), subdomains: true };
    assert_eq!((config.tls.offer.min_version, config.tls.hsts), (TlsVersion::Tls13, Some(hsts)));
    let redirects = config.upstreams.iter().map(|block| block.redirect_to_https);
    assert_eq!(redirects.collect::<Vec<_>>(), [true, false, false]);
    let shown: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| (listener.address.to_string(), listener.tls, listener.upstreams.clone()))
        .collect();
    let expected = [
        ("0.0.0.0:80".to_owned(), false, vec![0, 1]),
        ("127.0.0.1:81".to_owned(), false, vec![2]),
        ("0.0.0.0:443".to_owned(), true, vec![0, 1]),
    ];
    assert_eq!(shown, expected);
    // Nobody asked for the listener that there is without any.
    assert_eq!(good(&source(&both, "")).listeners.len(), 1);

    for (chain, key, expected) in [
        ("a.pem", "b.key", "the key in `KEY` is not the certificate's"),
        ("turned.pem", "a.key", "the key in `KEY` is that of certificate 2 of the chain"),
        ("strange.pem", "a.key", "certificate 2 of `CHAIN` did not issue certificate 1"),
        ("long.pem", "a.key", "`CHAIN` holds more than 10 certificates"),
        ("broken.pem", "a.key", "`CHAIN` holds a broken PEM block"),
        ("large.pem", "a.key", "`CHAIN` is too large"),
        ("a.key", "a.key", "`CHAIN` holds no certificate"),
        ("a.pem", "a.pem", "`KEY` holds no private key"),
        ("a.pem", "sealed.key", "`KEY` holds an encrypted key"),
        (".", "absent", "cannot read `CHAIN`"),
        (".", "absent", "cannot read `KEY`"),
    ] {
        let shown = |name: &str| path(name).display().to_string();
        let expected = expected.replace("CHAIN", &shown(chain)).replace("KEY", &shown(key));
        let messages = bad(&source(&entry(chain, key), ""));
        assert!(messages.contains(&expected), "{expected}: {messages}");
    }
}

#[test]
fn load_tells_unreadable_from_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("causeway.toml");
    assert!(matches!(load(&file, |_| Vec::new()), Err(LoadError::Unreadable { .. })));
    assert!(matches!(load(folder.path(), |_| Vec::new()), Err(LoadError::Unreadable { .. })));

    std::fs::write(&file, MINIMAL).unwrap();
    assert_eq!(load(&file, |_| Vec::new()).unwrap().path.as_deref(), Some(file.as_path()));

    std::fs::write(&file, "# \n\u{feff}").unwrap();
    assert!(matches!(load(&file, |_| Vec::new()), Err(LoadError::Problems(_))));
    std::fs::write(&file, "\u{feff}workers = 0\r\n").unwrap();
    let Err(LoadError::Problems(problems)) = load(&file, |_| Vec::new()) else {
        panic!("accepted")
    };
    assert_eq!((problems.rows()[0].line, problems.rows()[0].column), (1, 11));

    std::fs::write(&file, b"# \xc3\xa9\nworkers = \"\xe9\"\n").unwrap();
    let Err(error) = load(&file, |_| Vec::new()) else { panic!("accepted") };
    let shown = error.to_string();
    assert!(shown.contains(":2:12: not UTF-8\n    workers = \"\u{fffd}\""), "{shown}");
}

/// Each row: what a file of words holds, and what is said of it.
#[test]
fn files_of_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("de.toml");
    let source = format!("[page]\nwords = [\"{}\"]\n", path.display());
    std::fs::write(&path, "\u{feff}language = \"de\"\n").unwrap();
    let config = good(&source);
    assert_eq!(config.page.words[0].path, path);
    assert_eq!(&*config.page.words[0].text, "language = \"de\"\n");

    std::fs::write(&path, b"language = \"de\"\n# \xff\n").unwrap();
    let messages = bad(&format!("{source}operator = 1"));
    assert!(messages.contains("de.toml:2:3: not UTF-8"), "{messages}");
    assert!(messages.contains("causeway.toml:3:1: unknown key `operator`"), "{messages}");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(bad(&source).contains("causeway.toml:2:10: `"), "{}", bad(&source));
    assert!(bad(&source).contains("is too large"), "{}", bad(&source));
    std::fs::remove_file(&path).unwrap();
    let messages = bad(&format!("{source}languages = [\"de\"]"));
    assert!(messages.contains("cannot read `"), "{messages}");
    assert_eq!(messages.matches("causeway.toml:").count(), 1, "{messages}");
    assert!(bad("[page]\nwords = [\"de.toml\"]").contains("is not an absolute path"));
}

/// What the rooms above find wrong is told with the rest, file by file.
#[test]
fn objections_are_told_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (words, file) = (folder.path().join("de.toml"), folder.path().join("causeway.toml"));
    std::fs::write(&words, "language = \"de\"\n").unwrap();
    let page = format!("[page]\nwords = [\"{}\"]\nlanguages = [\"xx\"]\n", words.display());
    std::fs::write(&file, format!("workerz = 1\n{page}")).unwrap();
    let prove = |page: &Page| {
        let language = &page.languages[0];
        let own = Fault::new("no such language").at(language.span.clone());
        let words = Fault::new("a poor language").at(0..8);
        vec![
            Objection { place: Place::Words(0), problem: words },
            Objection { place: Place::Configuration, problem: own },
        ]
    };
    let Err(LoadError::Problems(problems)) = load(&file, prove) else { panic!("accepted") };
    let rows = problems.rows();
    let told: Vec<_> =
        rows.iter().map(|row| (row.line, row.column, row.message.as_str())).collect();
    let unknown = (1, 1, "unknown key `workerz`");
    assert_eq!(told, [unknown, (4, 14, "no such language"), (1, 1, "a poor language")]);
    assert!(rows[2].file.ends_with("de.toml") && rows[2].source_line == "language = \"de\"");
}

#[test]
fn rows_for_json() {
    let problems = read("\n\tworkres = 1\n").unwrap_err();
    let rows = serde_json::to_value(problems.rows()).unwrap();
    assert_eq!(
        rows,
        serde_json::json!([{
            "file": "causeway.toml",
            "line": 2,
            "column": 2,
            "source_line": "\tworkres = 1",
            "message": "unknown key `workres`",
            "expected": null,
            "nearest": "workers",
        }])
    );
}

#[test]
fn truncated_at_each_byte() {
    for source in [REFERENCE, EVERY_KEY] {
        for end in 0..source.len() {
            if let Err(problems) = read(&source[..end]) {
                assert!(!problems.to_string().is_empty());
            }
        }
    }
}

#[test]
fn deep_and_large_files_end() {
    for piece in ["[", "a = [", "{a=", "a.", "a\n", "a = \n", "[a]\n", "\"", "a = [1\n"] {
        bad(&piece.repeat(20_000));
    }
}

/// One edit: where in the file (as a share), how many bytes go, what comes.
fn edit() -> impl Strategy<Value = (f64, usize, String)> {
    let token = prop::sample::select(vec![
        "",
        "\n",
        "=",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\"\"\"",
        ",",
        ".",
        "#",
        "-",
        "\t",
        "\r\n",
        "é",
        "中",
        "\0",
        "[upstream.x]",
        "servers = ",
        "0",
        "1e9",
        "true",
        "http://",
        "*.",
        "\\u",
    ]);
    (0.0..1.0, 0..40_usize, prop_oneof![token.prop_map(str::to_owned), "\\PC{0,8}"])
}

proptest! {
    /// Whatever stands in the file, there is an answer, and each problem has its place.
    #[test]
    fn parse_never_panics(edits in prop::collection::vec(edit(), 1..8), second: bool) {
        let mut source = if second { EVERY_KEY } else { REFERENCE }.to_owned();
        for (share, length, text) in edits {
            let boundary = |at: usize| (0..=at).rev().find(|at| source.is_char_boundary(*at));
            let start = boundary((source.len() as f64 * share) as usize).unwrap_or(0);
            let end = boundary((start + length).min(source.len())).unwrap_or(start).max(start);
            source.replace_range(start..end, &text);
        }
        if let Err(problems) = read(&source) {
            prop_assert!(!problems.is_empty());
            let lines = source.split('\n').count();
            for row in problems.rows() {
                prop_assert!(row.line <= lines);
                prop_assert!(row.column <= row.source_line.chars().count() + 2);
            }
            prop_assert!(problems.to_string().contains("causeway.toml:"));
        }
    }

    #[test]
    fn parse_never_panics_on_noise(source in "\\PC*") {
        drop(read(&source).map_err(|problems| problems.to_string()));
    }
}
