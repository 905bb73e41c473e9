//! What nginx writes of upstreams (src/http/ngx_http_upstream.c and the modules beside it), each
//! with the cause that Causeway has for it, and of its own start (src/core/ngx_conf_file.c,
//! ngx_connection.c); with a sample each. Pure.

use crate::diagnose::around::Sign;
use crate::diagnose::cause::Code;

use super::Program;
use super::table::Row;
use super::table::Says::{Cause, Of};

pub(super) const ROWS: [Row; 60] = [
    (
        Program::Nginx,
        "connect() to unix:* failed (2: *",
        Cause(Code::UnixSocketMissing),
        "connect() to unix:/run/php/php8.2-fpm.sock failed (2: No such file or directory) while \
        connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() to unix:* failed (13: *",
        Cause(Code::UnixSocketPermissionDenied),
        "connect() to unix:/run/php/php8.2-fpm.sock failed (13: Permission denied) while \
        connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() to unix:* failed (111: *",
        Cause(Code::UnixSocketRefused),
        "connect() to unix:/run/php/php8.2-fpm.sock failed (111: Connection refused) while \
        connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() to unix:* failed (11: *",
        Cause(Code::UnixSocketBacklogFull),
        "connect() to unix:/run/php/php8.2-fpm.sock failed (11: Resource temporarily \
        unavailable) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() failed (111: *",
        Cause(Code::ConnectionRefused),
        "connect() failed (111: Connection refused) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() failed (110: *",
        Cause(Code::ConnectTimeout),
        "connect() failed (110: Connection timed out) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() failed (113: *",
        Cause(Code::HostUnreachable),
        "connect() failed (113: No route to host) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() to * failed (113: *",
        Cause(Code::HostUnreachable),
        "connect() to 10.0.0.2:80 failed (113: Host is unreachable) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() to * failed (101: *",
        Cause(Code::NetworkUnreachable),
        "connect() to [2001:db8::2]:80 failed (101: Network is unreachable) while connecting to \
        upstream",
    ),
    (
        Program::Nginx,
        "connect() to * failed (13: *",
        Cause(Code::ConnectForbiddenLocally),
        "connect() to 127.0.0.1:8080 failed (13: Permission denied) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "connect() to * failed (99: *",
        Cause(Code::LocalPortsExhausted),
        "connect() to 127.0.0.1:8080 failed (99: Cannot assign requested address) while \
        connecting to upstream",
    ),
    (
        Program::Nginx,
        "socket() failed (24: *",
        Cause(Code::LocalFdExhausted),
        "socket() failed (24: Too many open files) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "upstream timed out (110: *) while connecting to upstream",
        Cause(Code::ConnectTimeout),
        "upstream timed out (110: Connection timed out) while connecting to upstream",
    ),
    (
        Program::Nginx,
        "upstream timed out (110: *) while SSL handshaking to upstream",
        Cause(Code::TlsHandshakeTimeout),
        "upstream timed out (110: Connection timed out) while SSL handshaking to upstream",
    ),
    (
        Program::Nginx,
        "upstream timed out (110: *) while sending request to upstream",
        Cause(Code::RequestWriteTimeout),
        "upstream timed out (110: Connection timed out) while sending request to upstream",
    ),
    (
        Program::Nginx,
        "upstream timed out (110: *) while reading response header from upstream",
        Cause(Code::FirstByteTimeout),
        "upstream timed out (110: Connection timed out) while reading response header from \
        upstream",
    ),
    (
        Program::Nginx,
        "upstream timed out (110: *) while reading upstream",
        Cause(Code::BodyStallTimeout),
        "upstream timed out (110: Connection timed out) while reading upstream",
    ),
    (
        Program::Nginx,
        "no live upstreams while connecting to upstream",
        Cause(Code::NoHealthyUpstream),
        "no live upstreams while connecting to upstream",
    ),
    (
        Program::Nginx,
        "upstream sent too big header while reading*",
        Cause(Code::HeaderSectionTooLarge),
        "upstream sent too big header while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "upstream prematurely closed connection while reading response header*",
        Cause(Code::ClosedBeforeResponse),
        "upstream prematurely closed connection while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "upstream prematurely closed connection while reading upstream",
        Cause(Code::BodyClosedShort),
        "upstream prematurely closed connection while reading upstream",
    ),
    (
        Program::Nginx,
        "upstream prematurely closed FastCGI stdout while*",
        Cause(Code::FcgiNoOutput),
        "upstream prematurely closed FastCGI stdout while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "recv() failed (104: *) while reading response header from upstream",
        Cause(Code::ResetBeforeResponse),
        "recv() failed (104: Connection reset by peer) while reading response header from \
        upstream",
    ),
    (
        Program::Nginx,
        "readv() failed (104: *) while reading upstream",
        Cause(Code::BodyReset),
        "readv() failed (104: Connection reset by peer) while reading upstream",
    ),
    (
        Program::Nginx,
        "recv() failed (104: *) while reading upstream",
        Cause(Code::BodyReset),
        "recv() failed (104: Connection reset by peer) while reading upstream",
    ),
    (
        Program::Nginx,
        "writev() failed (32: *) while sending request to upstream",
        Cause(Code::RequestWriteFailed),
        "writev() failed (32: Broken pipe) while sending request to upstream",
    ),
    (
        Program::Nginx,
        "sendfile() failed (32: *) while sending request to upstream",
        Cause(Code::RequestWriteFailed),
        "sendfile() failed (32: Broken pipe) while sending request to upstream",
    ),
    (
        Program::Nginx,
        "FastCGI sent in stderr: \"Primary script unknown\"*",
        Cause(Code::FcgiScriptNotFound),
        "FastCGI sent in stderr: \"Primary script unknown\" while reading response header from \
        upstream",
    ),
    (
        Program::Nginx,
        "FastCGI sent in stderr: \"Unable to open primary script: * (No such file or \
        directory)\"*",
        Cause(Code::FcgiScriptNotFound),
        "FastCGI sent in stderr: \"Unable to open primary script: /var/www/shop/cart.php (No \
        such file or directory)\" while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "FastCGI sent in stderr: \"Unable to open primary script: * (Permission denied)\"*",
        Cause(Code::FcgiScriptForbidden),
        "FastCGI sent in stderr: \"Unable to open primary script: /var/www/shop/cart.php \
        (Permission denied)\" while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "FastCGI sent in stderr: \"Access to the script '*' has been denied (see \
        security.limit_extensions)\"*",
        Cause(Code::FcgiScriptForbidden),
        "FastCGI sent in stderr: \"Access to the script '/var/www/shop/style.css' has been \
        denied (see security.limit_extensions)\" while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "upstream sent unsupported FastCGI protocol version: *",
        Cause(Code::FcgiPeerNotFastcgi),
        "upstream sent unsupported FastCGI protocol version: 72 while reading response header \
        from upstream",
    ),
    (
        Program::Nginx,
        "upstream sent unexpected FastCGI record: *",
        Cause(Code::FcgiMalformedRecord),
        "upstream sent unexpected FastCGI record: 3 while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "upstream sent no valid HTTP/1.0 header while*",
        Cause(Code::InvalidStatusLine),
        "upstream sent no valid HTTP/1.0 header while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "upstream sent invalid header*",
        Cause(Code::InvalidHeader),
        "upstream sent invalid header: \"X Shop: 1...\" while reading response header from \
        upstream",
    ),
    (
        Program::Nginx,
        "upstream sent duplicate header line: *",
        Cause(Code::AmbiguousFraming),
        "upstream sent duplicate header line: \"Content-Length: 5\", previous value: \
        \"Content-Length: 4\" while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time*",
        Cause(Code::AmbiguousFraming),
        "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time \
        while reading response header from upstream",
    ),
    (
        Program::Nginx,
        "upstream sent invalid chunked response while*",
        Cause(Code::BadChunk),
        "upstream sent invalid chunked response while reading upstream",
    ),
    (
        Program::Nginx,
        "SSL_do_handshake() failed (SSL: *:wrong version number*",
        Cause(Code::TlsPeerSpeaksPlaintext),
        "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) \
        while SSL handshaking to upstream",
    ),
    (
        Program::Nginx,
        "SSL_do_handshake() failed (SSL: *:unsupported protocol*",
        Cause(Code::TlsIncompatible),
        "SSL_do_handshake() failed (SSL: error:0A000102:SSL routines::unsupported protocol) \
        while SSL handshaking to upstream",
    ),
    (
        Program::Nginx,
        "SSL_do_handshake() failed (SSL: * alert *",
        Cause(Code::TlsAlertReceived),
        "SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake \
        failure:SSL alert number 40) while SSL handshaking to upstream",
    ),
    (
        Program::Nginx,
        "peer closed connection in SSL handshake*",
        Cause(Code::TlsClosedInHandshake),
        "peer closed connection in SSL handshake (104: Connection reset by peer) while SSL \
        handshaking to upstream",
    ),
    (
        Program::Nginx,
        "upstream SSL certificate verify error: (10:*",
        Cause(Code::TlsCertExpired),
        "upstream SSL certificate verify error: (10:certificate has expired) while SSL \
        handshaking to upstream",
    ),
    (
        Program::Nginx,
        "upstream SSL certificate verify error: (18:*",
        Cause(Code::TlsCertSelfSigned),
        "upstream SSL certificate verify error: (18:self-signed certificate) while SSL \
        handshaking to upstream",
    ),
    (
        Program::Nginx,
        "upstream SSL certificate verify error: (20:*",
        Cause(Code::TlsCertUnknownIssuer),
        "upstream SSL certificate verify error: (20:unable to get local issuer certificate) \
        while SSL handshaking to upstream",
    ),
    (
        Program::Nginx,
        "upstream SSL certificate verify error: (21:*",
        Cause(Code::TlsCertUnknownIssuer),
        "upstream SSL certificate verify error: (21:unable to verify the first certificate) \
        while SSL handshaking to upstream",
    ),
    (
        Program::Nginx,
        "upstream SSL certificate does not match*",
        Cause(Code::TlsCertWrongHost),
        "upstream SSL certificate does not match \"shop.internal\" while SSL handshaking to \
        upstream",
    ),
    (
        Program::Nginx,
        "@ could not be resolved (3: *",
        Cause(Code::DnsNxdomain),
        "shop.internal could not be resolved (3: Host not found)",
    ),
    (
        Program::Nginx,
        "@ could not be resolved (2: *",
        Cause(Code::DnsServerFailure),
        "shop.internal could not be resolved (2: Server failure)",
    ),
    (
        Program::Nginx,
        "@ could not be resolved (5: *",
        Cause(Code::DnsRefused),
        "shop.internal could not be resolved (5: Operation refused)",
    ),
    (
        Program::Nginx,
        "@ could not be resolved (110: *",
        Cause(Code::DnsTimeout),
        "shop.internal could not be resolved (110: Operation timed out)",
    ),
    (
        Program::Nginx,
        "host not found in upstream *",
        Cause(Code::DnsNxdomain),
        "host not found in upstream \"shop.internal\" in /etc/nginx/sites-enabled/shop:12",
    ),
    (
        Program::Nginx,
        "client intended to send too large body: *",
        Cause(Code::RequestBodyTooLarge),
        "client intended to send too large body: 8388608 bytes",
    ),
    (
        Program::Nginx,
        "bind() to * failed (98: *",
        Of(Sign::AddressInUse),
        "bind() to 0.0.0.0:8080 failed (98: Address already in use)",
    ),
    (
        Program::Nginx,
        "unknown directive \"*\" in *:#",
        Of(Sign::ConfigurationInvalid),
        "unknown directive \"lisen\" in /etc/nginx/sites-enabled/shop:3",
    ),
    (
        Program::Nginx,
        "\"*\" directive is not allowed here in *:#",
        Of(Sign::ConfigurationInvalid),
        "\"server\" directive is not allowed here in /etc/nginx/nginx.conf:7",
    ),
    (
        Program::Nginx,
        "invalid number of arguments in \"*\" directive in *:#",
        Of(Sign::ConfigurationInvalid),
        "invalid number of arguments in \"root\" directive in /etc/nginx/sites-enabled/shop:4",
    ),
    (
        Program::Nginx,
        "invalid parameter \"*\" in *:#",
        Of(Sign::ConfigurationInvalid),
        "invalid parameter \"htp2\" in /etc/nginx/sites-enabled/shop:2",
    ),
    (
        Program::Nginx,
        "unexpected *, expecting * in *:#",
        Of(Sign::ConfigurationInvalid),
        "unexpected end of file, expecting \"}\" in /etc/nginx/sites-enabled/shop:9",
    ),
    (
        Program::Nginx,
        "directive \"*\" has no opening \"{\" in *:#",
        Of(Sign::ConfigurationInvalid),
        "directive \"server\" has no opening \"{\" in /etc/nginx/sites-enabled/shop:2",
    ),
];
