//! Commands as they are put together: on which host, with which file, for which service. Pure.

use std::path::Path;

use crate::config::{Scheme, Server, ServerAddress};
use crate::diagnose::around::Sockets;
use crate::diagnose::fpm::Fpm;
use crate::diagnose::layout::{Layout, Service};
use crate::diagnose::look::quote;
use crate::diagnose::matching::Site;

use super::{Command, Kind};

/// Where the program looks for its configuration when nobody says otherwise.
const DEFAULT: &str = "/etc/causeway/causeway.toml";
static ANY_HOST: Layout = Layout::UNKNOWN;

/// The commands as they are put together.
pub struct List<'s> {
    pub site: Site<'s>,
    /// The backend's host: this one's layout, or that of any.
    pub layout: &'s Layout,
    pub commands: Vec<Command>,
}

impl<'s> List<'s> {
    pub fn new(site: &Site<'s>) -> List<'s> {
        // Where nobody was asked, the first of the block stands for all.
        let site = Site { server: site.server.or(site.servers.first()), ..*site };
        let layout = if site.is_elsewhere() { &ANY_HOST } else { site.layout };
        List { site, layout, commands: Vec::new() }
    }

    pub fn add(&mut self, kind: Kind, line: impl Into<String>, elsewhere: bool) {
        let line = line.into();
        if self.commands.iter().all(|known| known.line != line) {
            self.commands.push(Command { kind, line, elsewhere });
        }
    }

    /// On the gateway's host.
    pub fn here(&mut self, kind: Kind, line: impl Into<String>) {
        self.add(kind, line, false);
    }

    /// On the backend's host.
    pub fn there(&mut self, kind: Kind, line: impl Into<String>) {
        self.add(kind, line, self.site.is_elsewhere());
    }

    pub fn fpm(&self) -> Option<Fpm> {
        let server = self.site.server?;
        (server.scheme == Scheme::FastCgi).then(|| self.layout.fpm(&server.address))
    }

    /// What stands behind the gateway: PHP-FPM, or Apache where it is installed.
    pub fn service(&self) -> Option<Service> {
        self.fpm().map(|fpm| fpm.service).or_else(|| self.layout.apache())
    }

    /// The configuration's file, as a word of a shell.
    pub fn config(&self) -> String {
        let path = self.site.config.unwrap_or(Path::new(DEFAULT));
        quote(&path.to_string_lossy())
    }

    /// A key of the gateway's configuration, and how it is put in force.
    pub fn configure(&mut self, table: &str, keys: &str) {
        let file = self.config();
        self.here(Kind::Edit, format!("{file} [{table}] {keys}"));
        self.reload();
    }

    /// A key of this server's block.
    pub fn block(&mut self, part: &str, keys: &str) {
        let name = if self.site.upstream.is_empty() { "NAME" } else { self.site.upstream };
        self.configure(&format!("upstream.{name}{part}"), keys);
    }

    pub fn reload(&mut self) {
        let file = self.config();
        let apply = match (self.site.layout.container, self.site.process) {
            (true, Some(process)) => format!("kill -HUP {process}"),
            (true, None) | (false, _) => "systemctl reload causeway".to_owned(),
        };
        self.here(Kind::Run, format!("causeway check -c {file} && {apply}"));
    }

    /// A key of a file of PHP's.
    pub fn php(&mut self, file: fn(&Fpm) -> &str, keys: &str) {
        let Some(fpm) = self.fpm() else { return };
        self.there(Kind::Edit, format!("{} {keys}", file(&fpm)));
        self.there(Kind::Run, format!("{} && {}", fpm.service.test, fpm.service.restart));
    }

    pub fn pool(&mut self, keys: &str) {
        self.php(|fpm| &fpm.pool, keys);
    }

    pub fn log(&mut self, words: Option<&str>) {
        let Some(service) = self.service() else { return };
        let line = match words {
            Some(words) => {
                let log = service.log.replacen("tail -qn 30", "tail -qn 2000", 1);
                format!("{log} 2>&1 | grep -E {}", quote(words))
            }
            None => service.log,
        };
        self.there(Kind::Look, line);
    }

    /// The address to ask with curl, and how; none of a FastCGI server.
    pub fn url(&self) -> Option<String> {
        let server = self.site.server?;
        let (how, scheme) = match server.scheme {
            Scheme::Http => ("", "http"),
            Scheme::Https => ("", "https"),
            Scheme::H2c => ("--http2-prior-knowledge ", "http"),
            Scheme::FastCgi => return None,
        };
        Some(match &server.address {
            ServerAddress::Unix(path) => {
                format!("--unix-socket {} http://localhost/", quote(&path.to_string_lossy()))
            }
            ServerAddress::Ip(address) => {
                format!("{how}{}", quote(&format!("{scheme}://{address}/")))
            }
            ServerAddress::Name { host, port } => {
                format!("{how}{}", quote(&format!("{scheme}://{host}:{port}/")))
            }
        })
    }

    pub fn curl(&mut self, kind: Kind, options: &str) {
        if let Some(url) = self.url() {
            self.here(kind, format!("curl {options} {url}"));
        }
    }

    /// Host and port as `host:port`, as words of a shell.
    pub fn target(&self) -> Option<(String, u16)> {
        match &self.site.server?.address {
            ServerAddress::Unix(_) => None,
            ServerAddress::Ip(address) => Some((address.ip().to_string(), address.port())),
            ServerAddress::Name { host, port } => Some((quote(host), *port)),
        }
    }

    pub fn openssl(&mut self, kind: Kind, behind: &str) {
        let Some((host, port)) = self.target() else { return };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let name = quote(self.site.server_name);
        self.here(
            kind,
            format!("openssl s_client -connect {host}:{port} -servername {name} {behind}"),
        );
    }

    /// Who listens at the server's address, asked on its own host.
    pub fn listener(&mut self, kind: Kind) {
        match self.site.server.map(|server| &server.address) {
            Some(ServerAddress::Unix(path)) => {
                let path = quote(&path.to_string_lossy());
                self.there(kind, format!("ss -lxp | grep -F -- {path}"));
            }
            Some(ServerAddress::Ip(address)) => {
                self.there(kind, format!("ss -ltnp 'sport = :{}'", address.port()));
            }
            Some(ServerAddress::Name { port, .. }) => {
                self.there(kind, format!("ss -ltnp 'sport = :{port}'"));
            }
            None => {}
        }
    }

    /// A path below the site's folder, as a word of a shell.
    pub fn below_root(&self, path: &str) -> Option<String> {
        let root = self.site.root?;
        Some(quote(&root.join(path).to_string_lossy()))
    }

    /// Where somebody listens instead.
    pub fn found(&self) -> Option<Server> {
        let (server, sockets) = (self.site.server?, &self.site.around?.sockets);
        let socket = sockets.near_paths.first().map(|path| ServerAddress::Unix(path.clone()));
        // At the same port, but for the address, it is the server itself.
        let same_port = sockets.same_port.first().map(|bound| Sockets::reached_at(*bound));
        let port = same_port.or(sockets.near.first().copied()).map(ServerAddress::Ip);
        let address = match &server.address {
            ServerAddress::Unix(_) => socket.or(port),
            ServerAddress::Ip(_) | ServerAddress::Name { .. } => port.or(socket),
        };
        Some(Server { scheme: server.scheme, address: address? })
    }

    pub fn servers(&mut self) {
        match self.found() {
            // A printable path in Rust's quotes is one in TOML's.
            Some(found) => {
                let failed = self.site.server;
                let others = self.site.servers.iter().map(|server| {
                    let stays = failed.is_none_or(|failed| failed != server);
                    if stays { server.to_string() } else { found.to_string() }
                });
                let mut servers: Vec<_> = others.collect();
                if servers.is_empty() {
                    servers.push(found.to_string());
                }
                self.block("", &format!("servers = {servers:?}"));
            }
            None => self.block("", "servers"),
        }
    }
}
