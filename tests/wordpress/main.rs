//! A whole PHP site with nothing before it but the proxy and PHP-FPM: a real WordPress is
//! installed, written in, read, attacked, and loses its database for a while.
//!
//! One story in chapters, since each needs what the one before it left. Everything is in temporary
//! directories and on 127.0.0.1. A missing WordPress, PHP or MariaDB fails the test.

mod browser;
mod database;
mod fpm;
mod picture;
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::time::Instant;

use browser::{Browser, between, field};
use database::Database;
use fpm::Fpm;
use site::Site;
use support::client::{Answer, End};
use support::proxy::Proxy;

/// What the log names when WordPress answers that its database is gone.
const DATABASE_GONE: &str = "helper_services_down";

const USER: &str = "editor";
const USER_PASSWORD: &str = "correct horse & battery = staple";

/// Where the form of a post's address is chosen.
const PERMALINKS: &str = "/wp-admin/options-permalink.php";

/// Says so when it is run; as it stands, it does not.
const CODE: &str = "<?php echo 'this was ', 'executed'; ?>";
const EXECUTED: &str = "this was executed";

/// A site and all that it runs on; the fields are dropped, and so ended, in this order.
struct Blog {
    proxy: Proxy,
    _fpm: Fpm,
    database: Database,
    site: Site,
}

impl Blog {
    fn new() -> Blog {
        let site = Site::new();
        let database = Database::new();
        let fpm = Fpm::start();
        let server = format!("fastcgi+unix:{}", fpm.socket().display());
        let root = format!("root = \"{}\"\n", site.root().display());
        let proxy = Proxy::before(&server, &root);
        site.configure(&database, &Browser::new(proxy.port).origin());
        Blog { proxy, _fpm: fpm, database, site }
    }

    /// Somebody whom the site does not know.
    fn visitor(&self) -> Browser {
        Browser::new(self.proxy.port)
    }
}

/// A picture that was uploaded.
struct Picture {
    path: String,
    content: Vec<u8>,
}

#[test]
fn a_wordpress_is_installed_used_attacked_and_outlives_its_database() {
    let start = Instant::now();
    let chapter = |name: &str| eprintln!("{:5.1} s: {name}", start.elapsed().as_secs_f32());
    chapter("site, database and PHP");
    let mut blog = Blog::new();
    chapter("installation");
    install(&blog);
    chapter("log-in");
    let mut editor = log_in(&blog);
    chapter("permalinks");
    choose_permalinks(&mut editor);
    chapter("posts");
    publish(&mut editor);
    read(&blog);
    chapter("pictures");
    let picture = upload(&mut editor);
    fetch(&blog, &picture);
    chapter("files");
    fetch_static_files(&blog);
    nothing_private_is_given_out(&blog);
    no_upload_is_run(&blog, &mut editor, &picture);
    chapter("log-out");
    log_out(&mut editor);
    chapter("the database stops");
    without_a_database(&mut blog, &picture);
    chapter("the end");
}

fn install(blog: &Blog) {
    let mut visitor = blog.visitor();
    let front = visitor.get("/");
    assert_eq!(front.status, 302, "{front:?}");
    let form = visitor.follow(&front);
    assert_page(&form, "name=\"weblog_title\"");
    let done = visitor.submit(
        "/wp-admin/install.php?step=2",
        &[
            ("weblog_title", "Chairs & tables"),
            ("user_name", USER),
            ("admin_password", USER_PASSWORD),
            ("admin_password2", USER_PASSWORD),
            ("pw_weak", "on"),
            ("admin_email", "editor@shop.example"),
            ("blog_public", "0"),
            ("language", ""),
        ],
    );
    assert_page(&done, "<h1>Success!</h1>");
    // PHP's warnings arrive beside the page and are no reason to doubt it.
    blog.proxy.expect_logged_as_sound("/wp-admin/install.php?step=2");
    assert_page(&visitor.get("/"), "Chairs &amp; tables");
}

fn log_in(blog: &Blog) -> Browser {
    let mut editor = blog.visitor();
    assert_page(&editor.get("/wp-login.php"), "id=\"loginform\"");
    let mut form = [
        ("log", USER),
        ("pwd", "guessed"),
        ("wp-submit", "Log In"),
        ("redirect_to", "/wp-admin/"),
        ("testcookie", "1"),
    ];
    assert_page(&editor.submit("/wp-login.php", &form), "is incorrect");
    assert!(!editor.knows("wordpress_logged_in_"), "{editor:?}");
    form[1].1 = USER_PASSWORD;
    let welcome = editor.submit("/wp-login.php", &form);
    assert_eq!(welcome.status, 302, "{welcome:?}");
    assert!(editor.knows("wordpress_logged_in_"), "{editor:?}");
    // Without its slash the directory's own relative links would lead elsewhere.
    let directory = editor.get("/wp-admin");
    assert_page(&editor.follow(&directory), "Dashboard");
    editor
}

fn choose_permalinks(editor: &mut Browser) {
    // The installer asked the site for a page through the proxy: would such addresses work?
    assert_eq!(permalinks(editor), "/%year%/%monthnum%/%day%/%postname%/");
    // What WordPress offers where it knows the server not to rewrite: the path is PATH_INFO.
    set_permalinks(editor, "/index.php/%postname%/");
    assert_page(&editor.get("/index.php/hello-world/"), "Welcome to WordPress");
    set_permalinks(editor, "/%postname%/");
}

fn set_permalinks(editor: &mut Browser, structure: &str) {
    let nonce = field(&editor.get(PERMALINKS), "_wpnonce");
    let form = [
        ("_wpnonce", nonce.as_str()),
        ("_wp_http_referer", PERMALINKS),
        ("selection", "custom"),
        ("permalink_structure", structure),
        ("category_base", ""),
        ("tag_base", ""),
    ];
    let saved = editor.submit(PERMALINKS, &form);
    assert_eq!(saved.status, 302, "{saved:?}");
    assert_page(&editor.follow(&saved), "setting-error-settings_updated");
    assert_eq!(permalinks(editor), structure);
}

fn permalinks(editor: &mut Browser) -> String {
    let input = between(&editor.get(PERMALINKS), "id=\"permalink_structure\"", ">");
    let value = input.split_once("value=\"").and_then(|(_, rest)| rest.split_once('"'));
    value.expect("a value").0.to_owned()
}

fn publish(editor: &mut Browser) {
    let posts = "/wp-json/wp/v2/posts";
    let text = r#"{"title": "My post", "content": "A chair.", "status": "publish"}"#;
    let kind = ("Content-Type", "application/json");
    let refused = editor.send("POST", posts, &[kind], text.as_bytes());
    assert_eq!(refused.status, 401, "without a nonce: {refused:?}");
    assert_eq!(refused.problem()["code"], "rest_cannot_create", "{refused:?}");
    let nonce = rest_nonce(editor);
    let headers = [kind, ("X-WP-Nonce", &nonce)];
    let created = editor.send("POST", posts, &headers, text.as_bytes());
    assert_eq!(created.status, 201, "{created:?}");
    let post = created.problem();
    assert_eq!(post["link"], format!("{}/my-post/", editor.origin()), "{post:#}");
    let one = editor.path(created.header("location").expect("where the post is"));
    let changed = editor.send("PUT", &one, &headers, br#"{"content": "A chair and a table."}"#);
    assert_eq!(changed.status, 200, "{changed:?}");
    let greeting = r#"{"title": "Добрый день", "content": "Стол и стул.", "status": "publish"}"#;
    let created = editor.send("POST", posts, &headers, greeting.as_bytes());
    assert_eq!(created.status, 201, "{created:?}");
}

fn read(blog: &Blog) {
    let mut visitor = blog.visitor();
    assert_page(&visitor.get("/my-post/"), "A chair and a table.");
    for other in ["/my-post", "/index.php/my-post/", "/?name=my-post"] {
        let answer = visitor.get(other);
        assert_eq!(answer.status, 301, "{other}: {answer:?}");
        let permalink = format!("{}/my-post/", visitor.origin());
        assert_eq!(answer.header("location"), Some(permalink.as_str()), "{other}");
    }
    assert_page(&visitor.get("/?s=chair"), "A chair and a table.");
    let head = visitor.send("HEAD", "/my-post/", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
    let missing = visitor.get("/no-post/");
    assert_page_of(404, &missing, "Page not found");
    let listed = visitor.get("/wp-json/wp/v2/posts");
    assert_eq!(listed.header("x-wp-total"), Some("3"), "{listed:?}");
    let posts = listed.problem();
    assert_eq!(posts[1]["slug"], "my-post", "{posts:#}");
    let cyrillic = visitor.path(posts[0]["link"].as_str().expect("an address"));
    assert!(cyrillic.starts_with("/%d0%"), "{cyrillic}");
    assert_page(&visitor.get(&cyrillic), "Стол и стул.");
    let first = visitor.get("/wp-json/wp/v2/posts?per_page=1").problem();
    assert_eq!(first.as_array().map(Vec::len), Some(1), "{first:#}");
    let feed = visitor.get("/feed/");
    assert_eq!(feed.header("content-type"), Some("application/rss+xml; charset=UTF-8"));
    assert!(holds(&feed, "<title>My post</title>"), "{feed:?}");
    // Here it is PHP that says 304.
    let known = [
        ("If-None-Match", feed.header("etag").expect("an ETag")),
        ("If-Modified-Since", feed.header("last-modified").expect("a date")),
    ];
    let unchanged = visitor.send("GET", "/feed/", &known, b"");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{unchanged:?}");
}

fn upload(editor: &mut Browser) -> Picture {
    let content = picture::png(400, 300, CODE.as_bytes());
    let nonce = rest_nonce(editor);
    let headers = [
        ("Content-Type", "image/png"),
        ("Content-Disposition", "attachment; filename=\"picture.png\""),
        ("X-WP-Nonce", &nonce),
    ];
    let created = editor.send("POST", "/wp-json/wp/v2/media", &headers, &content);
    assert_eq!(created.status, 201, "{created:?}");
    let media = created.problem();
    let smaller = media["media_details"]["sizes"]["thumbnail"]["source_url"].as_str();
    let path = editor.path(smaller.expect("PHP has made a smaller one"));
    assert_eq!(editor.get(&path).header("content-type"), Some("image/png"), "{path}");
    Picture { path: editor.path(media["source_url"].as_str().expect("its address")), content }
}

fn fetch(blog: &Blog, picture: &Picture) {
    let mut visitor = blog.visitor();
    let Picture { path, content } = picture;
    blog.site.age(path.trim_start_matches('/'));
    let whole = visitor.get(path);
    assert_file(&whole, path, "image/png", content);
    let (etag, date) = (whole.header("etag"), whole.header("last-modified"));
    let (etag, date) = (etag.expect("an ETag"), date.expect("a date"));
    let length = content.len();
    for (range, from, to) in
        [("bytes=70000-70099", 70_000, 70_100), ("bytes=-50", length - 50, length)]
    {
        let headers = [("Range", range), ("If-Range", etag)];
        let part = visitor.send("GET", path, &headers, b"");
        assert_eq!(part.status, 206, "{range}: {:?}", part.headers);
        assert!(part.body == content[from..to], "{range}: other bytes");
        let told = format!("bytes {from}-{}/{length}", to - 1);
        assert_eq!(part.header("content-range"), Some(told.as_str()));
        assert_eq!(part.header("etag"), Some(etag));
    }
    let stale = [("Range", "bytes=0-9"), ("If-Range", "\"of another file\"")];
    assert_file(&visitor.send("GET", path, &stale, b""), path, "image/png", content);
    for known in [("If-None-Match", etag), ("If-Modified-Since", date)] {
        let unchanged = visitor.send("GET", path, &[known], b"");
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{known:?}: {unchanged:?}");
    }
    let head = visitor.send("HEAD", path, &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
    assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));
}

fn fetch_static_files(blog: &Blog) {
    for (path, kind) in [
        ("wp-includes/css/dashicons.min.css", "text/css"),
        ("wp-includes/js/jquery/jquery.min.js", "text/javascript"),
        ("wp-includes/js/underscore.min.js", "text/javascript"),
        ("wp-includes/images/blank.gif", "image/gif"),
        ("wp-includes/images/w-logo-blue.png", "image/png"),
        ("wp-includes/fonts/dashicons.woff2", "font/woff2"),
        ("wp-includes/fonts/dashicons.svg", "image/svg+xml"),
        ("readme.html", "text/html"),
    ] {
        let content = fs::read(blog.site.root().join(path)).expect("WordPress has it");
        let answer = blog.visitor().get(&format!("/{path}?ver=6.1"));
        assert_file(&answer, path, kind, &content);
    }
}

fn nothing_private_is_given_out(blog: &Blog) {
    let mut visitor = blog.visitor();
    for path in site::PLANTED {
        let path = format!("/{path}");
        assert_kept(&visitor.get(&path), &path);
    }
    for path in ["/.htaccess", "/wp-content/uploads/../../wp-config.php~", "/%2egit/config"] {
        assert_kept(&visitor.get(path), path);
    }
    // Directories without an index are not listed.
    for path in ["/wp-includes/", "/wp-content/uploads/"] {
        assert_kept(&visitor.get(path), path);
    }
    // PHP would run it, and it has nothing to say; the list of what is never given has it too.
    assert_kept(&visitor.get("/wp-config.php"), "/wp-config.php");
}

fn no_upload_is_run(blog: &Blog, editor: &mut Browser, picture: &Picture) {
    let nonce = field(&editor.get("/wp-admin/media-new.php"), "_wpnonce");
    let fields = [("_wpnonce", nonce.as_str()), ("short", "1")];
    let file = ("async-upload", "evil.php.png", picture.content.as_slice());
    let created = editor.submit_picture("/wp-admin/async-upload.php", &fields, file);
    assert_eq!(created.status, 200, "{created:?}");
    let id = String::from_utf8_lossy(&created.body).into_owned();
    let media = editor.get(&format!("/wp-json/wp/v2/media/{id}")).problem();
    let renamed = editor.path(media["source_url"].as_str().expect("its address"));
    // WordPress changes such a name; other ways into the directory would not.
    let planted = "wp-content/uploads/planted.php.png";
    blog.site.plant(planted, &picture.content);
    let planted = format!("/{planted}");
    let mut visitor = blog.visitor();
    for path in [&picture.path, &renamed, &planted] {
        assert_file(&visitor.get(path), path, "image/png", &picture.content);
        for beyond in ["/x.php", "/x.php/y", "/x.php?y=/z.php"] {
            let path = format!("{path}{beyond}");
            let answer = visitor.get(&path);
            assert_kept(&answer, &path);
            assert_page_of(404, &answer, "Page not found");
        }
        for beyond in ["%00.php", "%2fx.php", "/%2e%2e/x.php", "%20.php"] {
            let path = format!("{path}{beyond}");
            assert_kept(&visitor.get(&path), &path);
        }
    }
    // Neither run nor shown: names that only nearly end as PHP's do.
    for name in ["code.PHP", "code.phtml", "code.php.bak", "code.php~", "code.phar"] {
        let path = format!("wp-content/uploads/{name}");
        blog.site.plant(&path, format!("{CODE}{}", site::SECRET).as_bytes());
        let path = format!("/{path}");
        assert_kept(&visitor.get(&path), &path);
    }
}

fn log_out(editor: &mut Browser) {
    let page = editor.get("/wp-admin/profile.php");
    let nonce = between(&page, "action=logout&#038;_wpnonce=", "'");
    let bye = editor.get(&format!("/wp-login.php?action=logout&_wpnonce={nonce}"));
    assert!(bye.all("set-cookie").len() > 5, "each cookie is taken back: {bye:?}");
    assert_page(&editor.follow(&bye), "You are now logged out.");
    assert!(!editor.knows("wordpress_logged_in_"), "{editor:?}");
    assert_eq!(editor.get("/wp-admin/").status, 302);
}

fn without_a_database(blog: &mut Blog, picture: &Picture) {
    let mut visitor = blog.visitor();
    blog.proxy.expect_logged_as_sound("/my-post/");
    blog.database.stop();
    let answer = visitor.get("/my-post/");
    assert_page_of(500, &answer, "<h1>Error establishing a database connection</h1>");
    let page = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    assert!(page.trim_end().ends_with("</html>") && !page.contains("causeway"), "{answer:?}");
    let status = answer.header("proxy-status").unwrap_or_default();
    assert!(status.contains("received-status=500"), "{answer:?}");
    assert!(status.contains(&format!("details=\"{DATABASE_GONE}\"")), "{answer:?}");
    answer.record_passed(DATABASE_GONE);
    blog.proxy.expect_logged("/my-post/", &[DATABASE_GONE]);
    // A program is told in its own language.
    let json = [("Accept", "application/json")];
    let told = visitor.send("GET", "/wp-json/wp/v2/posts", &json, b"");
    assert_eq!(told.status, 500, "{told:?}");
    assert_eq!(told.problem()["code"], "wp_die", "{told:?}");
    // Files need no database.
    assert_file(&visitor.get(&picture.path), &picture.path, "image/png", &picture.content);
    blog.database.start();
    assert_page(&visitor.get("/my-post/"), "A chair and a table.");
}

/// What WordPress's own scripts send along to show that they are its own.
fn rest_nonce(editor: &mut Browser) -> String {
    let answer = editor.get("/wp-admin/admin-ajax.php?action=rest-nonce");
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A page of WordPress, whole, with this on it.
fn assert_page(answer: &Answer, mark: &str) {
    assert_page_of(200, answer, mark);
}

fn assert_page_of(status: u16, answer: &Answer, mark: &str) {
    assert_eq!((answer.status, answer.end), (status, End::Complete), "{answer:?}");
    let kind = answer.header("content-type").map(str::to_ascii_lowercase);
    assert_eq!(kind.as_deref(), Some("text/html; charset=utf-8"), "{answer:?}");
    assert!(holds(answer, mark), "no {mark} on {answer:?}");
}

/// A file as it lies on the disk, under its type.
fn assert_file(answer: &Answer, path: &str, kind: &str, content: &[u8]) {
    assert_eq!((answer.status, answer.end), (200, End::Complete), "{path}: {:?}", answer.headers);
    assert!(answer.body == content, "{path}: other bytes: {:?}", answer.headers);
    let told = answer.header("content-type").unwrap_or_default();
    assert_eq!(told.split(';').next(), Some(kind), "{path}");
    assert_eq!(answer.header("accept-ranges"), Some("bytes"), "{path}");
}

/// An answer that neither gives a file out nor runs it.
fn assert_kept(answer: &Answer, path: &str) {
    assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {answer:?}");
    for secret in [site::SECRET, database::PASSWORD, EXECUTED, "<?php", "RewriteEngine"] {
        assert!(!holds(answer, secret), "{path} shows {secret:?}: {answer:?}");
    }
}

fn holds(answer: &Answer, text: &str) -> bool {
    String::from_utf8_lossy(&answer.body).contains(text)
}
