//! A request as a CGI program sees it: the meta-variables of RFC 3875 section 4.1 and those that
//! PHP asks for, laid out as a FastCGI request. Pure.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use http::Version;
use http::header::{self, HeaderValue};
use http::request::Parts;

use crate::files::Script;
use crate::upstream::fastcgi::params::{ParamFault, Params};
use crate::upstream::fastcgi::record::{self, Stream};

use super::client::Client;
use super::headers;
use super::route::without_port;

/// WordPress offers permalinks without `index.php` in them only where it finds a server that it
/// knows to rewrite; paths are looked up here as nginx is told to.
const SOFTWARE: &[u8] = b"causeway (as nginx)";

/// What the variables are made of beside the client's own fields.
#[derive(Debug)]
pub struct Meta<'a> {
    pub parts: &'a Parts,
    pub script: &'a Script,
    pub root: &'a Path,
    pub client: &'a Client,
    /// The TCP peer and our end of the connection; `None` on a Unix listener.
    pub peer: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// The client speaks TLS, with us or with the balancer.
    pub secure: bool,
    /// The length of the body, where there is one.
    pub length: Option<u64>,
    /// The connection is to stay open after the answer.
    pub keep: bool,
}

/// Writes BEGIN_REQUEST and the parameters; where there is no body, the end of STDIN too.
///
/// # Errors
/// A field that cannot go out as a variable; the buffer is not to be sent.
pub fn write_request(out: &mut Vec<u8>, meta: &Meta<'_>) -> Result<(), ParamFault> {
    record::begin_request(out, meta.keep);
    let mut params = Params::new(out);
    script(&mut params, meta)?;
    request(&mut params, meta)?;
    server(&mut params, meta)?;
    fields(&mut params, meta)?;
    params.finish();
    if meta.length.is_none() {
        record::end_stream(out, Stream::Stdin);
    }
    Ok(())
}

/// RFC 3875 sections 4.1.5, 4.1.6 and 4.1.13, and what PHP finds its script by.
fn script(params: &mut Params<'_>, meta: &Meta<'_>) -> Result<(), ParamFault> {
    let script = meta.script;
    let root = meta.root.as_os_str().as_bytes();
    params.push(b"SCRIPT_FILENAME", &script.filename)?;
    params.push(b"SCRIPT_NAME", &script.script_name)?;
    params.push(b"DOCUMENT_ROOT", root)?;
    params.push_joined(b"DOCUMENT_URI", &[&script.script_name, &script.path_info])?;
    params.push(b"PATH_INFO", &script.path_info)?;
    if !script.path_info.is_empty() {
        params.push_joined(b"PATH_TRANSLATED", &[root, &script.path_info])?;
    }
    // php-cgi that was built to be run by a redirect alone refuses requests without it.
    params.push(b"REDIRECT_STATUS", b"200")
}

/// Sections 4.1.2, 4.1.3, 4.1.7 and 4.1.12.
fn request(params: &mut Params<'_>, meta: &Meta<'_>) -> Result<(), ParamFault> {
    let uri = &meta.parts.uri;
    params.push(b"REQUEST_METHOD", meta.parts.method.as_str().as_bytes())?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    params.push(b"REQUEST_URI", target.as_bytes())?;
    params.push(b"QUERY_STRING", uri.query().unwrap_or_default().as_bytes())?;
    let kind = meta.parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    params.push(b"CONTENT_TYPE", kind)?;
    match meta.length {
        Some(length) => {
            params.push(b"CONTENT_LENGTH", itoa::Buffer::new().format(length).as_bytes())
        }
        // Empty, as nginx and Apache have it: a script that reads it unasked finds it.
        None => params.push(b"CONTENT_LENGTH", b""),
    }
}

/// Sections 4.1.4, 4.1.8, 4.1.9 and 4.1.14 to 4.1.17.
fn server(params: &mut Params<'_>, meta: &Meta<'_>) -> Result<(), ParamFault> {
    let headers = &meta.parts.headers;
    let claimed = headers.get("x-forwarded-proto").filter(|_| meta.client.trusted);
    let secure = claimed.map_or(meta.secure, |scheme| scheme == "https");
    let local = meta.local.map(|local| local.ip().to_canonical().to_string()).unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.map_or(local.as_str(), without_port);
    // Behind a proxy that took TLS off, its port is the one that the client knows.
    let port = match (secure, meta.secure) {
        (true, false) => 443,
        (true, true) => meta.local.map_or(443, |local| local.port()),
        (false, _) => meta.local.map_or(80, |local| local.port()),
    };
    let protocol: &[u8] = match meta.parts.version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    };
    params.push(b"GATEWAY_INTERFACE", b"CGI/1.1")?;
    params.push(b"SERVER_SOFTWARE", SOFTWARE)?;
    params.push(b"SERVER_PROTOCOL", protocol)?;
    params.push(b"SERVER_NAME", name.as_bytes())?;
    params.push(b"SERVER_ADDR", local.as_bytes())?;
    params.push(b"SERVER_PORT", itoa::Buffer::new().format(port).as_bytes())?;
    params.push(b"REQUEST_SCHEME", if secure { b"https" } else { b"http" })?;
    if secure {
        params.push(b"HTTPS", b"on")?;
    }
    let address = meta.client.address.map(|address| address.to_string()).unwrap_or_default();
    params.push(b"REMOTE_ADDR", address.as_bytes())?;
    // The port belongs to the peer's address; another client's is not known.
    let peer = meta.peer.filter(|peer| Some(peer.ip().to_canonical()) == meta.client.address);
    if let Some(peer) = peer {
        params.push(b"REMOTE_PORT", itoa::Buffer::new().format(peer.port()).as_bytes())?;
    }
    Ok(())
}

/// Section 4.1.18: the fields that belong to the request, not to the hop, each as `HTTP_`.
fn fields(params: &mut Params<'_>, meta: &Meta<'_>) -> Result<(), ParamFault> {
    let headers = &meta.parts.headers;
    let listed = headers::connection_listed(headers);
    params.push_fields(headers, |name| {
        let on = match name.as_str() {
            "host" | "via" => true,
            // Nobody but a trusted peer says for whom it asks.
            "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" => meta.client.trusted,
            _ => !headers::is_ours(name, meta.client.trusted),
        };
        on && !listed.contains(name)
    })
}
