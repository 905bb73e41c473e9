//! `fastcgi_pass`: a PHP site, its folder, what its paths mean, and what is never sent of it.
//!
//! Pure. Where nginx spreads a site over several locations, Causeway has one block; what the
//! locations say that it has no word for is told.

use std::path::PathBuf;

use crate::config::Files;

use super::block::Body;
use super::notes::Notes;
use super::proxied::Desk;
use super::scope::Scope;
use super::tree::Directive;
use super::values::{bytes, list, objection, quoted, size};

/// Our own limit of a request's body.
const SPOOL: u64 = 1 << 30;
/// What stands for no limit: the most that may be set.
const SPOOL_MAX: u64 = 1 << 40;

/// What Causeway tells PHP by itself, as nginx's own fastcgi_params has it.
const PARAMETERS: [&str; 24] = [
    "SCRIPT_FILENAME",
    "QUERY_STRING",
    "REQUEST_METHOD",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "SCRIPT_NAME",
    "REQUEST_URI",
    "DOCUMENT_URI",
    "DOCUMENT_ROOT",
    "SERVER_PROTOCOL",
    "REQUEST_SCHEME",
    "GATEWAY_INTERFACE",
    "SERVER_SOFTWARE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "REMOTE_USER",
    "SERVER_ADDR",
    "SERVER_PORT",
    "SERVER_NAME",
    "REDIRECT_STATUS",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "HTTP_PROXY",
    "HTTP_HOST",
];

/// A location that hands scripts to PHP.
#[derive(Debug, Clone)]
pub struct Handler<'a> {
    pub scope: Scope<'a>,
    pub pass: &'a Directive,
    /// The only script that is run, if it is one.
    pub single: Option<String>,
}

impl Desk<'_, '_> {
    /// The block for the files of `scope` and the scripts that `handler` runs among them. `named`
    /// gives the front controller behind a named location.
    pub fn site(
        &mut self,
        scope: &Scope<'_>,
        at: &Directive,
        handler: &Handler<'_>,
        named: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Body> {
        if handler.pass.argument(0).contains('$') {
            let instead = "write the address: unix:/path or HOST:PORT";
            self.lost(handler.pass, "a variable is no fixed server", instead);
            return None;
        }
        let servers = self.servers(handler.pass, "fastcgi", handler.pass.argument(0))?;
        let root = self.root(scope, at, handler)?;
        let index = self.index(scope);
        let mut attempts = self.attempts(scope, &index, named);
        if handler.single.is_some() && attempts.is_none() {
            attempts = Some(vec!["{path}".into(), "{path}/".into(), "=404".into()]);
        }
        let usual = ["index.php", "index.html"];
        let mut body = Body {
            servers: servers.list,
            root: Some(root),
            index: (index != usual).then(|| index.clone()),
            attempts: attempts.filter(|attempts| *attempts != usual_attempts(&index)),
            ..Body::default()
        };
        if let Some(script) = &handler.single {
            let why =
                format!("PHP runs `{script}` alone there; Causeway runs every script below `root`");
            let instead = "list the others in `deny`, on top of the patterns that it has by itself";
            self.lost(handler.pass, &why, instead);
        }
        self.parameters(&handler.scope);
        self.timeouts(&handler.scope, "fastcgi", &mut body);
        self.spool(&handler.scope, &mut body);
        let kept = servers.keepalive.filter(|_| handler.scope.is_on("fastcgi_keep_conn"));
        self.limits(&handler.scope, "fastcgi_buffer_size", kept, &mut body);
        self.statuses(&handler.scope, "fastcgi_intercept_errors", &mut body);
        self.prove(at, &mut body)?;
        Some(body)
    }

    /// The site's folder, by the path that PHP knows it by.
    fn root(&mut self, scope: &Scope<'_>, at: &Directive, handler: &Handler<'_>) -> Option<String> {
        let root = scope.value("root");
        let script = handler.scope.all("fastcgi_param");
        let script = script.iter().rfind(|field| field.argument(0) == "SCRIPT_FILENAME");
        let own = script.and_then(|field| field.argument(1).strip_suffix("$fastcgi_script_name"));
        let by_php = own.filter(|own| !own.is_empty() && !own.contains('$'));
        let by_php = by_php.map(|own| own.trim_end_matches('/'));
        if let (Some(by_php), Some(root), Some(field)) = (by_php, root, script)
            && by_php != root.trim_end_matches('/')
        {
            let why = "PHP knows the folder by another path, and a block has one `root`";
            let instead = format!(
                "mount it at the same path for both; until then `{root}` is not \
                                   read, and PHP gets every request if `{by_php}` is not here"
            );
            self.lost(field, why, &instead);
        }
        let Some(root) = by_php.or(root) else {
            let instead = "`root` with the site's folder";
            self.lost(at, "there is no `root`, and nginx's own folder is no site", instead);
            return None;
        };
        let piece = format!("[upstream.a]\nservers = [\"fastcgi://a:1\"]\nroot = {}", quoted(root));
        if let Some(objection) = objection(&piece) {
            let at = scope.one("root").unwrap_or(at);
            self.lost(at, &objection, "the path as it is, without variables");
            return None;
        }
        Some(root.to_owned())
    }

    fn index(&mut self, scope: &Scope<'_>) -> Vec<String> {
        let Some(directive) = scope.one("index") else { return vec!["index.html".to_owned()] };
        let is_name = |name: &&String| {
            let piece = format!(
                "[upstream.a]\nservers = [\"fastcgi://a:1\"]\nroot = \"/srv/a\"\nindex = {}",
                list([name])
            );
            !name.contains('$') && objection(&piece).is_none()
        };
        let names: Vec<String> = directive.arguments.iter().filter(is_name).cloned().collect();
        if names.len() < directive.arguments.len() {
            let instead = "a path at the end of `try` answers for whatever is not found";
            self.lost(directive, "an index is a plain name here", instead);
        }
        if names.is_empty() { vec!["index.html".to_owned()] } else { names }
    }

    /// `try_files` as `try`.
    fn attempts(
        &mut self,
        scope: &Scope<'_>,
        index: &[String],
        named: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Vec<String>> {
        let Some(directive) = scope.own("try_files") else {
            return Some(self.front_by_rewrite(scope).unwrap_or_else(plain));
        };
        let mut attempts: Vec<String> = Vec::new();
        for (position, word) in directive.arguments.iter().enumerate() {
            let is_last = position + 1 == directive.arguments.len();
            let attempt = match word.as_str() {
                "$uri" | "$request_uri" => "{path}".to_owned(),
                "$uri/" => "{path}/".to_owned(),
                "=404" => "=404".to_owned(),
                word if is_last && word.starts_with('=') => {
                    self.lost(directive, "what is not found is answered with 404", "");
                    "=404".to_owned()
                }
                word if is_last && word.starts_with('@') => match named(word) {
                    Some(front) => front,
                    None => {
                        self.lost(directive, "that named location has no script as its answer", "");
                        "=404".to_owned()
                    }
                },
                word if is_last => match self.front(directive, word) {
                    Some(front) => front,
                    None => "=404".to_owned(),
                },
                word if index.iter().any(|name| word == format!("$uri/{name}")) => {
                    "{path}/".to_owned()
                }
                _ => {
                    let why = format!("`{word}` is nothing to try here");
                    self.lost(directive, &why, "");
                    continue;
                }
            };
            if !attempts.contains(&attempt) {
                attempts.push(attempt);
            }
        }
        Some(attempts)
    }

    /// The path that answers for whatever is not found.
    fn front(&mut self, directive: &Directive, word: &str) -> Option<String> {
        let (path, query) = word.split_once('?').unwrap_or((word, "-"));
        let path = path.trim_end_matches("$is_args$args").trim_end_matches("$is_args$query_string");
        let is_path = |path: &str| {
            let piece = format!(
                "[upstream.a]\nservers = [\"fastcgi://a:1\"]\nroot = \"/srv/a\"\ntry = {}",
                list([path])
            );
            path.starts_with('/') && objection(&piece).is_none()
        };
        if !is_path(path) {
            let why = format!("`{word}` is no path that answers for what is not found");
            self.lost(directive, &why, "a path such as \"/index.php\" at the end of `try`");
            return None;
        }
        if !matches!(query, "-" | "" | "$args" | "$query_string" | "$is_args$args") {
            let why = format!("`{path}` is called with the visitor's query, without `{query}`");
            let instead = "nothing where the program reads REQUEST_URI, as those of today do";
            self.remark(directive, &why, instead);
        }
        Some(path.to_owned())
    }

    /// `if (!-e $request_filename) { rewrite … /index.php }`, as it was written before `try_files`.
    fn front_by_rewrite(&mut self, scope: &Scope<'_>) -> Option<Vec<String>> {
        let rewrite = front_rewrite(scope)?;
        let path = rewrite.argument(1).split('?').next().unwrap_or_default();
        let front = self.front(rewrite, path)?;
        Some(vec!["{path}".to_owned(), "{path}/".to_owned(), front])
    }

    fn parameters(&mut self, scope: &Scope<'_>) {
        for field in scope.all("fastcgi_param") {
            let (name, value) = (field.argument(0), field.argument(1));
            match name {
                name if PARAMETERS.contains(&name) => {}
                "HTTPS" if value.starts_with('$') => {}
                "HTTPS" => {
                    let why = "HTTPS is `on` where the visitor's connection is";
                    let instead = "`page.trusted_proxies` with the address of the proxy that takes \
                                   TLS off and sends X-Forwarded-Proto";
                    self.lost(field, why, instead);
                }
                "PHP_VALUE" | "PHP_ADMIN_VALUE" => {
                    let instead = "php_value[…] and php_admin_value[…] in the pool's file";
                    self.lost(field, "PHP gets no settings with a request", instead);
                }
                name if name.starts_with("HTTP_") && value.starts_with("$http_") => {}
                _ => {
                    let instead = format!("env[{name}] in the pool's file");
                    self.lost(field, "PHP gets the usual variables alone", &instead);
                }
            }
        }
    }

    /// `client_max_body_size`: what is larger is answered with 413 here too.
    fn spool(&mut self, scope: &Scope<'_>, body: &mut Body) {
        let Some(directive) = scope.one("client_max_body_size") else { return };
        match bytes(directive.argument(0)) {
            Some(SPOOL) => {}
            Some(0) => body.limits.push(("spool", quoted(&size(SPOOL_MAX)))),
            Some(limit) => body.limits.push(("spool", quoted(&size(limit.min(SPOOL_MAX))))),
            None => self.lost(directive, "this is no size of nginx", ""),
        }
    }

    /// Asks our own reader of configurations for the whole block.
    fn prove(&mut self, at: &Directive, body: &mut Body) -> Option<()> {
        let block = super::block::Block {
            server: 0,
            locations: Vec::new(),
            paths: vec!["/".to_owned()],
            body: body.clone(),
        };
        let face = super::block::Face { listen: None, hosts: None };
        match objection(&block.toml("a", &face, &[])) {
            None => Some(()),
            Some(objection) => {
                self.lost(at, &objection, "");
                None
            }
        }
    }
}

/// The `rewrite` within `if (!-e $request_filename)`, if the block has one to a script.
pub fn front_rewrite<'a>(scope: &Scope<'a>) -> Option<&'a Directive> {
    let mut ifs = scope.all("if").into_iter();
    let missing = ifs.find(|directive| is_missing(directive))?;
    missing.inside().iter().find(|inner| {
        inner.name == "rewrite"
            && inner
                .argument(1)
                .split('?')
                .next()
                .is_some_and(|path| path.starts_with('/') && path.ends_with(".php"))
    })
}

fn is_missing(directive: &Directive) -> bool {
    let condition: String = directive.arguments.concat();
    matches!(condition.as_str(), "(!-e$request_filename)" | "(!-f$request_filename)")
}

/// What nginx does with a path where nothing else is said.
fn plain() -> Vec<String> {
    ["{path}", "{path}/", "=404"].map(str::to_owned).to_vec()
}

/// What Causeway does where nothing else is said.
fn usual_attempts(index: &[String]) -> Vec<String> {
    let mut attempts = plain();
    if let Some(front) = index.iter().find(|name| name.ends_with(".php")) {
        attempts[2] = format!("/{front}");
    }
    attempts
}

/// The elements of `deny` that Causeway has by itself, with more behind them.
pub fn deny_with(more: Vec<String>) -> Vec<String> {
    let own = Files::new(PathBuf::from("/srv/a")).deny;
    let mut all: Vec<String> = own.iter().map(ToString::to_string).collect();
    for pattern in more {
        if !all.contains(&pattern) {
            all.push(pattern);
        }
    }
    all
}

/// Whether `deny` covers a pattern by itself.
pub fn is_denied(pattern: &str) -> bool {
    let own = Files::new(PathBuf::from("/srv/a")).deny;
    own.iter().any(|glob| glob.to_string() == pattern)
}

/// Whether `deny` takes a pattern.
pub fn is_pattern(pattern: &str) -> bool {
    let piece = format!(
        "[upstream.a]\nservers = [\"fastcgi://a:1\"]\nroot = \"/srv/a\"\ndeny = {}",
        list([pattern])
    );
    objection(&piece).is_none()
}

/// The front controller of a named location: the script that it is fixed to.
pub fn front_of(
    scope: &Scope<'_>,
    block: &[Directive],
    notes: &mut Notes,
    home: super::notes::Home,
) -> Option<String> {
    let rewrite = block.iter().find(|inner| inner.name == "rewrite");
    if let Some(rewrite) = rewrite {
        let (path, query) =
            rewrite.argument(1).split_once('?').unwrap_or((rewrite.argument(1), ""));
        if path.ends_with(".php") && path.starts_with('/') {
            if !query.is_empty() {
                let why = format!("`{path}` is called with the visitor's query, without `{query}`");
                let instead = "nothing where the program reads REQUEST_URI, as those of today do";
                notes.remark(home, rewrite, &why, instead);
            }
            return Some(path.to_owned());
        }
    }
    let fields = scope.all("fastcgi_param");
    let script = fields.iter().rfind(|field| field.argument(0) == "SCRIPT_FILENAME")?;
    let path = script.argument(1);
    let path = path.strip_prefix("$document_root").or_else(|| path.strip_prefix("$realpath_root"));
    path.filter(|path| path.starts_with('/') && path.ends_with(".php")).map(str::to_owned)
}
