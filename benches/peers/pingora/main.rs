//! A reverse proxy as Pingora's own examples build one, with what every peer here has: one worker,
//! an access log, the usual forwarded fields, three upstreams, TLS with HTTP/2.
//!
//! Decides nothing else. What a failed request gets is Pingora's default: an empty 502.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

const USAGE: &str = "usage: causeway-peer-pingora PORT TLS_PORT CHAIN KEY LOG MAIN DOWN NEVER
the last three are the ports of upstreams on this host";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const SILENCE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, tls_port, chain, key, log, main, down, never] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        std::process::exit(64);
    };
    let gateway = Gateway {
        main: format!("127.0.0.1:{main}"),
        down: format!("127.0.0.1:{down}"),
        never: format!("127.0.0.1:{never}"),
        log: Log::open(Path::new(log)),
    };
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 1024,
        // An end is an end: nothing is under way when the measurement stops it.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, gateway);
    let mut tls = TlsSettings::intermediate(chain, key).expect("the laboratory's certificate");
    tls.enable_h2();
    service.add_tcp(&format!("127.0.0.1:{port}"));
    service.add_tls_with_settings(&format!("127.0.0.1:{tls_port}"), None, tls);
    server.add_service(service);
    server.run_forever();
}

struct Gateway {
    main: String,
    down: String,
    never: String,
    log: Log,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, session: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        let address = match session.req_header().uri.path() {
            path if path.starts_with("/down") => &self.down,
            path if path.starts_with("/never") => &self.never,
            _ => &self.main,
        };
        let mut peer = HttpPeer::new(address.as_str(), false, String::new());
        peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
        peer.options.read_timeout = Some(SILENCE);
        peer.options.write_timeout = Some(SILENCE);
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _: &mut (),
    ) -> Result<()> {
        let client = session.client_addr().and_then(|address| address.as_inet());
        let client = client.map(|address| address.ip().to_string()).unwrap_or_default();
        let chain = match request.headers.get("x-forwarded-for") {
            Some(earlier) => [earlier.as_bytes(), b", ", client.as_bytes()].concat(),
            None => client.into_bytes(),
        };
        let tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let authority = request.uri.authority().map(|authority| authority.to_string());
        let host = request.headers.get("host").map(|host| host.as_bytes().to_vec());
        request.insert_header("X-Forwarded-For", chain)?;
        request.insert_header("X-Forwarded-Proto", if tls { "https" } else { "http" })?;
        if let Some(host) = host.or(authority.map(String::into_bytes)) {
            request.insert_header("X-Forwarded-Host", host)?;
        }
        Ok(())
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, _: &mut ()) {
        let request = session.req_header();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let client = session.client_addr().map(|address| address.to_string()).unwrap_or_default();
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let error = error.map(|error| error.etype().as_str()).unwrap_or("-");
        let agent = request.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
        self.log.line(&format!(
            "{client} [{}.{:03}] \"{} {} {:?}\" {status} {} \"{}\" {error}\n",
            now.as_secs(),
            now.subsec_millis(),
            request.method,
            request.uri,
            request.version,
            session.body_bytes_sent(),
            agent.unwrap_or("-"),
        ));
    }
}

/// One write a line, as nginx and HAProxy do.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Self { path: path.to_owned(), file: file.expect("the laboratory's directory") }
    }

    fn line(&self, line: &str) {
        if let Err(error) = (&self.file).write_all(line.as_bytes()) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}
