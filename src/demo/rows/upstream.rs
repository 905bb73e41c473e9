//! Rows in which the backend answers in good order that something failed: the program itself, or a
//! gateway for what is behind it. Its answer goes to the client as it is; the cause stands beside
//! it, unless the block has our page take its place.

use crate::config::Upstream;
use crate::demo::scenario::{Ask, Scenario, Sees, Setup, row};
use crate::diagnose::Code;

use Setup::Says;

const fn own(status: u16) -> Sees {
    Sees::Own { status }
}

pub(super) const ROWS: &[Scenario] = &[
    row(
        Code::UpstreamErrorStatus,
        "upstream_error_status",
        "The backend's program fails and says so with 500.",
        Says(FAILED),
    )
    .sees(own(500)),
    row(
        Code::UpstreamErrorStatus,
        "upstream_error_status-replaced",
        "The same, where `replace_status` has our page take the place of the backend's.",
        Says(FAILED),
    )
    .sees(Sees::Replaced { status: 500 })
    .adjust(replace),
    row(
        Code::UpstreamGatewayError,
        "upstream_gateway_error",
        "The backend is an nginx whose own backend is down.",
        Says(NGINX),
    )
    .sees(own(502)),
    row(
        Code::UpstreamGatewayError,
        "upstream_gateway_error-apache",
        "The backend is an Apache whose own backend closes without an answer.",
        Says(APACHE),
    )
    .sees(own(502)),
    row(
        Code::UpstreamGatewayError,
        "upstream_gateway_error-iis",
        "The backend is an IIS whose forwarder gets no connection: 502.3.",
        Says(IIS),
    )
    .sees(own(502)),
    row(
        Code::UpstreamGatewayError,
        "upstream_gateway_error-haproxy",
        "The backend is an HAProxy all of whose servers are down.",
        Says(HAPROXY),
    )
    .sees(own(503)),
    row(
        Code::UpstreamGatewayError,
        "upstream_gateway_error-cloudflare",
        "The backend is Cloudflare, which cannot connect to the site's server.",
        Says(CLOUDFLARE),
    )
    .sees(own(522)),
    row(
        Code::UpstreamGatewayError,
        "upstream_gateway_error-empty",
        "The backend answers 502 without a word: a blank page.",
        Says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
    )
    .sees(own(502)),
    row(
        Code::UpstreamGatewayError,
        "upstream_gateway_error-replaced",
        "The nginx again, with our page in place of its.",
        Says(NGINX),
    )
    .sees(Sees::Replaced { status: 502 })
    .adjust(replace),
    row(
        Code::UpstreamUnavailable,
        "upstream_unavailable",
        "The backend is being worked on, and says when it will be back.",
        Says(MAINTENANCE),
    )
    .sees(own(503)),
    row(
        Code::UpstreamUnavailable,
        "upstream_unavailable-wordpress",
        "WordPress has left its `.maintenance` behind.",
        Says(WORDPRESS),
    )
    .sees(own(503)),
    row(
        Code::UpstreamLoop,
        "upstream_loop",
        "The backend is a gateway that has met the request before.",
        Says(LOOP),
    )
    .sees(own(508)),
    row(
        Code::RedirectLoop,
        "redirect_loop",
        "The backend redirects to the very address that was asked for.",
        Says(SAME_ADDRESS),
    )
    .sees(own(301)),
    row(
        Code::RedirectLoop,
        "redirect_loop-https",
        "The backend wants https, and is not told that the visitor has it.",
        Says(WANTS_HTTPS),
    )
    .ask(Ask::Raw(BY_HTTPS))
    .sees(own(301)),
    row(
        Code::RequestHeaderRefused,
        "request_header_refused",
        "The backend is an nginx that does not take so many cookies.",
        Says(COOKIES),
    )
    .sees(own(400)),
    row(
        Code::HelperServicesDown,
        "helper_services_down-apache",
        "WordPress behind an Apache cannot reach its database.",
        Says(DATABASE),
    )
    .sees(own(500)),
    row(
        Code::PhpFatalError,
        "php_fatal_error-critical",
        "WordPress behind an Apache keeps a fatal error to itself.",
        Says(CRITICAL),
    )
    .sees(own(500)),
];

fn replace(upstream: &mut Upstream) {
    upstream.replace_status = vec![500, 502, 503];
}

const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nServer: gunicorn\r\n\
    Content-Type: text/html\r\nContent-Length: 56\r\n\r\n\
    <html><h1>The program failed: no such price</h1></html>\n";

const NGINX: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\n\
    Content-Type: text/html\r\nContent-Length: 157\r\n\r\n\
    <html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n\
    </body>\r\n</html>\r\n";

const APACHE: &[u8] = b"HTTP/1.1 502 Proxy Error\r\nServer: Apache/2.4.57 (Debian)\r\n\
    Content-Type: text/html; charset=iso-8859-1\r\nContent-Length: 341\r\n\r\n\
    <!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n\
    <title>502 Proxy Error</title>\n</head><body>\n<h1>Proxy Error</h1>\n\
    <p>The proxy server received an invalid\r\nresponse from an upstream server.<br />\r\n\
    The proxy server could not handle the request<p>Reason: \
    <strong>Error reading from remote server</strong></p></p>\n</body></html>\n";

const IIS: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\nServer: Microsoft-IIS/10.0\r\n\
    Content-Type: text/html\r\nContent-Length: 212\r\n\r\n\
    <!DOCTYPE html><head><title>IIS 10.0 Detailed Error - 502.3 - Bad Gateway</title></head>\
    <body><h3>HTTP Error 502.3 - Bad Gateway</h3>\
    <h4>There was a connection error while trying to route the request.</h4></body>";

const HAPROXY: &[u8] = b"HTTP/1.0 503 Service Unavailable\r\nCache-Control: no-cache\r\n\
    Content-Type: text/html\r\nContent-Length: 107\r\n\r\n\
    <html><body><h1>503 Service Unavailable</h1>\n\
    No server is available to handle this request.\n</body></html>\n";

const CLOUDFLARE: &[u8] = b"HTTP/1.1 522 \r\nServer: cloudflare\r\nCF-RAY: 8c1e0-FRA\r\n\
    Content-Type: text/html\r\nContent-Length: 186\r\n\r\n\
    <!DOCTYPE html>\n<title>shop.demo | 522: Connection timed out</title>\n\
    <div id=\"cf-wrapper\"><div id=\"cf-error-details\"><h1>Connection timed out</h1>\
    <span>Error code 522</span></div></div>\n";

const MAINTENANCE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 600\r\n\
    Content-Type: text/plain\r\nContent-Length: 14\r\n\r\nBack at noon.\n";

const WORDPRESS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 600\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 160\r\n\r\n\
    <!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>\
    Briefly unavailable for scheduled maintenance. Check back in a minute.</h1></body></html>\n";

const LOOP: &[u8] = b"HTTP/1.1 508 Loop Detected\r\nContent-Type: text/plain\r\n\
    Content-Length: 35\r\n\r\nThis request has been here before.\n";

const SAME_ADDRESS: &[u8] = b"HTTP/1.1 301 Moved Permanently\r\n\
    Location: /fail/redirect_loop\r\nContent-Length: 0\r\n\r\n";

const WANTS_HTTPS: &[u8] = b"HTTP/1.1 301 Moved Permanently\r\n\
    Location: https://127.0.0.1/fail/redirect_loop-https\r\nContent-Length: 0\r\n\r\n";

const BY_HTTPS: &str = "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\
    Connection: close\r\n\r\n";

const COOKIES: &[u8] = b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\n\
    Content-Type: text/html\r\nContent-Length: 233\r\n\r\n\
    <html>\r\n<head><title>400 Request Header Or Cookie Too Large</title></head>\r\n<body>\r\n\
    <center><h1>400 Bad Request</h1></center>\r\n\
    <center>Request Header Or Cookie Too Large</center>\r\n\
    <hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n";

const DATABASE: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nServer: Apache/2.4.57 (Debian)\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 150\r\n\r\n\
    <!DOCTYPE html><title>Database Error</title><body id=\"error-page\">\
    <div class=\"wp-die-message\"><h1>Error establishing a database connection</h1></div>\n";

const CRITICAL: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nServer: Apache/2.4.57 (Debian)\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 166\r\n\r\n\
    <!DOCTYPE html><title>WordPress &rsaquo; Error</title><body id=\"error-page\">\
    <div class=\"wp-die-message\"><p>There has been a critical error on this website.</p></div>\n";
