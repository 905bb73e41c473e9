//! nginx and what was imported from it, side by side before the same servers: a table of requests
//! is answered alike, and what is known to differ differs as the import says.
//!
//! A real nginx has the original, the proxy has what `causeway import nginx` made of it. Behind
//! them are a real PHP-FPM, a real Apache with PHP, and small servers that say their name. All of
//! it is on 127.0.0.1 or in a temporary directory; what is missing fails the test.

#[allow(dead_code, reason = "the tests of Apache use the rest")]
#[path = "../apache/server.rs"]
mod apache;
mod backend;
#[allow(dead_code, reason = "the tests of PHP use the rest")]
#[path = "../php/fpm.rs"]
mod fpm;
mod pair;
#[allow(dead_code, reason = "the tests of PHP use the rest")]
#[path = "../php/site.rs"]
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::fs;

use backend::Backend;
use pair::Pair;
use support::client::Answer;
use support::tools::free_port;

/// What nginx and Causeway tell PHP alike. DOCUMENT_URI is not among it: nginx takes the path behind
/// a script off where `try_files` has looked for the script, and leaves it on where it has not.
const VARIABLES: [&str; 16] = [
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "PATH_INFO",
    "DOCUMENT_ROOT",
    "REQUEST_URI",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "QUERY_STRING",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "SERVER_PROTOCOL",
    "GATEWAY_INTERFACE",
    "REMOTE_ADDR",
    "HTTPS",
    "HTTP_HOST",
    "HTTP_X_OWN",
];

/// A page that tells what it was called with.
const TELL: &str = "<?php header('Content-Type: application/json'); echo json_encode($_SERVER);";

#[test]
fn a_wordpress_on_php_fpm() {
    let site = site::Site::new();
    let fpm = fpm::Fpm::start(&site, fpm::Listen::Unix, &[]);
    site.put("index.php", TELL);
    site.put("wp-login.php", TELL);
    site.put("wp-admin/index.php", TELL);
    site.put("wp-content/style.css", "body {}");
    site.put("wp-content/uploads/picture.jpg", "a picture");
    site.put("wp-content/uploads/evil.php", site::CODE);
    site.put(".htaccess", site::SECRET);
    site.put("files/a b.txt", "a space");
    let pair = Pair::start(&format!(
        "server {{
            listen 127.0.0.1:@PORT@;
            server_name blog.example www.blog.example;
            root {root};
            index index.php;
            client_max_body_size 1m;
            location / {{ try_files $uri $uri/ /index.php?$args; }}
            location ~* /(?:uploads|files)/.*\\.php$ {{ deny all; }}
            location ~ \\.php(/|$) {{
                fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
                set $path_info $fastcgi_path_info;
                try_files $fastcgi_script_name =404;
                fastcgi_param PATH_INFO $path_info;
                fastcgi_index index.php;
                include /etc/nginx/fastcgi.conf;
                fastcgi_pass unix:{socket};
            }}
            location = /favicon.ico {{ log_not_found off; access_log off; }}
            location ~ /\\.ht {{ deny all; }}
            location ~* \\.(js|css|png|jpg)$ {{ log_not_found off; }}
        }}",
        root = site.root().display(),
        socket = fpm.socket().display(),
    ));
    for path in [
        "/",
        "/?p=1&q=a%20b",
        "/index.php",
        "/index.php/2026/11/hello",
        "/wp-login.php?action=x",
        "/wp-login.php/extra/info?x=1",
        "/wp-admin/",
        "/wp-admin/?x",
        "/2026/11/a-post/",
        "/2026/11/a-post/?page=2",
        "/no/such/picture",
        "/%D0%BF%D1%80/",
    ] {
        let (nginx, ours) = pair.get("blog.example", path);
        assert_eq!((nginx.status, ours.status), (200, 200), "{path}: {nginx:?} {ours:?}");
        assert_variables(path, &nginx, &ours);
    }
    for path in [
        "/hello.txt",
        "/wp-content/style.css",
        "/wp-content/uploads/picture.jpg",
        "/files/a%20b.txt",
    ] {
        let (nginx, ours) = pair.alike("blog.example", path);
        assert_eq!((nginx.status, &ours.body), (200, &nginx.body), "{path}");
        assert_eq!(nginx.header("last-modified"), ours.header("last-modified"), "{path}");
        let kind = |answer: &Answer| {
            let kind = answer.header("content-type").unwrap_or_default();
            kind.split(';').next().unwrap_or_default().to_owned()
        };
        assert_eq!(kind(&nginx), kind(&ours), "{path}");
    }
    // A folder without its slash: 308 keeps the method too (RFC 9110 section 15.4.9).
    let (nginx, ours) = pair.get("blog.example", "/wp-admin?x=1");
    assert_eq!((nginx.status, ours.status), (301, 308), "{ours:?}");
    for answer in [&nginx, &ours] {
        let to = answer.header("location").unwrap_or_default();
        assert!(to.ends_with("/wp-admin/?x=1"), "{to}");
    }
    // Denied by nginx with 403; Causeway does not say whether it is there.
    for path in ["/.htaccess", "/wp-content/uploads/evil.php", "/wp-content/uploads/no.php"] {
        let (nginx, ours) = pair.get("blog.example", path);
        assert_eq!(nginx.status, 403, "{path}: {nginx:?}");
        assert!([403, 404].contains(&ours.status), "{path}: {ours:?}");
        for answer in [&nginx, &ours] {
            let body = String::from_utf8_lossy(&answer.body);
            assert!(!body.contains(site::SECRET) && !body.contains(site::EXECUTED), "{body}");
        }
    }
    assert!(!site.runs().iter().any(|run| run == "evil.php"), "{:?}", site.runs());
    // More than client_max_body_size.
    let large = vec![b'x'; (1 << 20) + 1];
    let (nginx, ours) = pair.ask("POST", "blog.example", "/wp-login.php", &[], &large);
    assert_eq!((nginx.status, ours.status), (413, 413), "{nginx:?} {ours:?}");
    let body = b"log=me&pwd=x";
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let (nginx, ours) = pair.ask("POST", "blog.example", "/wp-login.php?a", &[kind], body);
    assert_eq!((nginx.status, ours.status), (200, 200));
    assert_variables("a form", &nginx, &ours);
    let (nginx, ours) = pair.ask("POST", "blog.example", "/echo.php", &[kind], body);
    assert_eq!((nginx.status, &nginx.body), (200, &ours.body));
    // As the import says: a script that is not there is the front controller's to answer.
    let (nginx, ours) = pair.get("blog.example", "/missing.php");
    assert_eq!((nginx.status, ours.status), (404, 200));
}

fn assert_variables(what: &str, nginx: &Answer, ours: &Answer) {
    let (theirs, ours) = (nginx.problem(), ours.problem());
    let told =
        |of: &serde_json::Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    for name in VARIABLES {
        assert_eq!(told(&theirs, name), told(&ours, name), "{what}: {name}\n{theirs:#}\n{ours:#}");
    }
}

#[test]
fn an_apache_behind() {
    let site = apache::Site::new();
    let apache = apache::Apache::start(&site, free_port(), apache::Speaks::Http);
    let pair = Pair::start(&format!(
        "server {{
            listen 127.0.0.1:@PORT@ default_server;
            server_name _;
            client_max_body_size 0;
            location / {{
                proxy_pass http://127.0.0.1:{port};
                proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Proto $scheme;
                proxy_set_header X-Forwarded-Host $host;
            }}
            location /private/ {{ deny all; }}
        }}",
        port = apache.port,
    ));
    for (path, status) in [
        ("/hello.txt", 200),
        ("/empty.txt", 200),
        ("/page.php", 200),
        ("/redirect.php", 302),
        ("/maintenance.php", 503),
        ("/broken.php", 500),
        ("/gateway.php", 502),
        ("/forbidden/", 403),
        ("/missing", 404),
        ("/a%2fb", 404),
    ] {
        let (nginx, ours) = pair.alike("shop.example", path);
        assert_eq!(nginx.status, status, "{path}: {nginx:?}");
        assert_eq!(nginx.body, ours.body, "{path}");
        for name in ["location", "set-cookie", "content-type", "etag", "x-from", "retry-after"] {
            assert_eq!(nginx.all(name), ours.all(name), "{path}: {name}");
        }
    }
    let headers = [("X-Own", "1"), ("Cookie", "a=b; c=d"), ("X-Forwarded-Proto", "https")];
    for path in ["/echo.php?x=1&y=%2F", "/echo.php/info//a/../b"] {
        let (nginx, ours) = pair.ask("POST", "shop.example", path, &headers, b"a body");
        assert_eq!((nginx.status, ours.status), (200, 200), "{nginx:?} {ours:?}");
        let (nginx, ours) = (nginx.problem(), ours.problem());
        for member in ["method", "uri", "length", "md5"] {
            assert_eq!(nginx[member], ours[member], "{path}: {member}");
        }
        for field in ["host", "x-own", "cookie", "x-forwarded-for", "x-forwarded-proto"] {
            assert_eq!(nginx["headers"][field], ours["headers"][field], "{path}: {field}");
        }
    }
    // Nobody may ask for it: closed in the one way and in the other.
    let (nginx, ours) = pair.get("shop.example", "/private/x");
    assert_eq!((nginx.status, ours.status), (403, 503), "{ours:?}");
}

/// Which server a request comes to, by host and path.
#[test]
fn several_sites() {
    let names = ["one", "two", "api", "exact", "socket", "default"];
    let backends: Vec<Backend> = names.iter().map(|name| Backend::start(name)).collect();
    let port = |name: &str| {
        let at = names.iter().position(|known| *known == name).expect("a name");
        backends[at].port
    };
    let socket = Backend::on_socket("by socket");
    let pair = Pair::start(&format!(
        "upstream one {{ server 127.0.0.1:{one}; keepalive 8; }}
        server {{
            listen 127.0.0.1:@PORT@;
            server_name .one.example;
            location / {{ proxy_pass http://one; proxy_set_header Host $http_host; }}
            location = /exact {{
                proxy_pass http://127.0.0.1:{exact};
                proxy_set_header Host $http_host;
            }}
        }}
        server {{
            listen 127.0.0.1:@PORT@;
            server_name two.example *.two.example a.one.example;
            location / {{ proxy_pass http://127.0.0.1:{two}; proxy_set_header Host $http_host; }}
            location /api/ {{
                proxy_pass http://127.0.0.1:{api}/api/;
                proxy_set_header Host $http_host;
            }}
            location ^~ /api/socket/ {{
                proxy_pass http://unix:{socket};
                proxy_set_header Host $http_host;
            }}
        }}
        server {{
            listen 127.0.0.1:@PORT@ default_server;
            server_name default.example;
            location / {{ proxy_pass http://127.0.0.1:{default}; proxy_set_header Host $http_host; }}
        }}
        server {{
            listen 127.0.0.1:@PORT@;
            server_name shut.example;
            return 403;
        }}",
        one = port("one"),
        two = port("two"),
        api = port("api"),
        exact = port("exact"),
        default = port("default"),
        socket = socket.path().display(),
    ));
    for (host, path, expected) in [
        ("one.example", "/", "one"),
        ("ONE.example", "/x?y=1", "one"),
        ("one.example:8080", "/", "one"),
        ("www.one.example", "/", "one"),
        ("a.b.one.example", "/api/", "one"),
        ("a.one.example", "/", "two"),
        ("one.example", "/exact", "exact"),
        ("one.example", "/exactly", "one"),
        ("two.example", "/", "two"),
        ("x.two.example", "/apix", "two"),
        ("two.example", "/api/", "api"),
        ("two.example", "/api/v1/x?y", "api"),
        ("two.example", "/x/../api/v1", "api"),
        ("two.example", "/%61pi/v1", "api"),
        ("two.example", "/api/socket/x", "by socket"),
        ("default.example", "/", "default"),
        ("unknown.example", "/", "default"),
        ("127.0.0.1", "/api/", "default"),
        ("example", "/exact", "default"),
    ] {
        let (nginx, ours) = pair.get(host, path);
        let said = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
        assert!(said(&nginx).starts_with(&format!("{expected}\n")), "{host}{path}: {nginx:?}");
        assert!(said(&ours).starts_with(&format!("{expected}\n")), "{host}{path}: {ours:?}");
        // nginx writes a path anew where the location says one; what is asked for is the same.
        if !path.contains("..") && !path.contains('%') {
            assert_eq!(said(&nginx), said(&ours), "{host}{path}");
        }
    }
    // As the import says: what is below an exact path goes the same way.
    let (nginx, ours) = pair.get("one.example", "/exact/below");
    assert!(nginx.body.starts_with(b"one\n") && ours.body.starts_with(b"exact\n"));
    // And the host of a server that answers nobody goes to the default one.
    let (nginx, ours) = pair.get("shut.example", "/");
    assert_eq!(nginx.status, 403);
    assert_eq!(ours.status, 200, "{ours:?}");
    let notes = pair.notes();
    assert!(notes.contains("its hosts go to the one for every host"), "{notes}");
    assert!(notes.contains("what lies below `/exact` goes the same way"), "{notes}");
}

/// The nginx that Debian installs is one that can be moved.
#[test]
fn the_packages_own_configuration() {
    let whole = "/etc/nginx/nginx.conf";
    assert!(fs::metadata(whole).is_ok(), "these tests need nginx: apt-get install nginx-light");
    let (toml, said) = pair::import(std::path::Path::new(whole));
    causeway::config::parse(&toml, std::path::Path::new(whole)).unwrap_or_else(|problems| {
        panic!("{problems}\n{toml}");
    });
    assert!(!said.is_empty(), "{toml}");
}
