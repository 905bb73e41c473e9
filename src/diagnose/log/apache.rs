//! What Apache writes: of its own workers, and of backends (modules/proxy, server/mpm*; the numbers
//! are in docs/log-message-tags), each with a sample. Pure.

use crate::diagnose::around::Sign;
use crate::diagnose::cause::Code;

use super::Program;
use super::table::Row;
use super::table::Says::{Cause, Of};

pub(super) const ROWS: [Row; 57] = [
    (
        Program::Apache,
        "(111)*: AH00957: *",
        Cause(Code::ConnectionRefused),
        "(111)Connection refused: AH00957: http: attempt to connect to 127.0.0.1:8080 \
        (127.0.0.1:8080) failed",
    ),
    (
        Program::Apache,
        "(110)*: AH00957: *",
        Cause(Code::ConnectTimeout),
        "(110)Connection timed out: AH00957: http: attempt to connect to 127.0.0.1:8080 \
        (127.0.0.1:8080) failed",
    ),
    (
        Program::Apache,
        "(70007)*: AH00957: *",
        Cause(Code::ConnectTimeout),
        "(70007)The timeout specified has expired: AH00957: http: attempt to connect to \
        127.0.0.1:8080 (127.0.0.1:8080) failed",
    ),
    (
        Program::Apache,
        "(113)*: AH00957: *",
        Cause(Code::HostUnreachable),
        "(113)No route to host: AH00957: http: attempt to connect to 127.0.0.1:8080 \
        (127.0.0.1:8080) failed",
    ),
    (
        Program::Apache,
        "(101)*: AH00957: *",
        Cause(Code::NetworkUnreachable),
        "(101)Network is unreachable: AH00957: http: attempt to connect to 127.0.0.1:8080 \
        (127.0.0.1:8080) failed",
    ),
    (
        Program::Apache,
        "(13)*: AH00957: *",
        Cause(Code::ConnectForbiddenLocally),
        "(13)Permission denied: AH00957: http: attempt to connect to 127.0.0.1:8080 \
        (127.0.0.1:8080) failed",
    ),
    (
        Program::Apache,
        "(2)*: AH02454: *",
        Cause(Code::UnixSocketMissing),
        "(2)No such file or directory: AH02454: FCGI: attempt to connect to Unix domain socket \
        /run/php/php8.2-fpm.sock (localhost:8000) failed",
    ),
    (
        Program::Apache,
        "(111)*: AH02454: *",
        Cause(Code::UnixSocketRefused),
        "(111)Connection refused: AH02454: FCGI: attempt to connect to Unix domain socket \
        /run/php/php8.2-fpm.sock (localhost:8000) failed",
    ),
    (
        Program::Apache,
        "(13)*: AH02454: *",
        Cause(Code::UnixSocketPermissionDenied),
        "(13)Permission denied: AH02454: FCGI: attempt to connect to Unix domain socket \
        /run/php/php8.2-fpm.sock (localhost:8000) failed",
    ),
    (
        Program::Apache,
        "(11)*: AH02454: *",
        Cause(Code::UnixSocketBacklogFull),
        "(11)Resource temporarily unavailable: AH02454: FCGI: attempt to connect to Unix domain \
        socket /run/php/php8.2-fpm.sock (localhost:8000) failed",
    ),
    (
        Program::Apache,
        "AH01114: * failed to make connection to backend: *",
        Cause(Code::ConnectFailed),
        "AH01114: HTTP: failed to make connection to backend: 127.0.0.1",
    ),
    (
        Program::Apache,
        "AH01079: failed to make connection to backend: *",
        Cause(Code::ConnectFailed),
        "AH01079: failed to make connection to backend: httpd-UDS",
    ),
    (
        Program::Apache,
        "AH00940: * disabled connection for *",
        Cause(Code::NoHealthyUpstream),
        "AH00940: http: disabled connection for (127.0.0.1:8080)",
    ),
    (
        Program::Apache,
        "(70007)*AH01102: error reading status line from remote server *",
        Cause(Code::FirstByteTimeout),
        "(70007)The timeout specified has expired: AH01102: error reading status line from \
        remote server 127.0.0.1:8080",
    ),
    (
        Program::Apache,
        "(104)*AH01102: error reading status line from remote server *",
        Cause(Code::ResetBeforeResponse),
        "(104)Connection reset by peer: AH01102: error reading status line from remote server \
        127.0.0.1:8080",
    ),
    (
        Program::Apache,
        "(20014)*AH01102: error reading status line from remote server *",
        Cause(Code::ClosedBeforeResponse),
        "(20014)Internal error (specific information not available): AH01102: error reading \
        status line from remote server 127.0.0.1:8080",
    ),
    (
        Program::Apache,
        "AH01102: error reading status line from remote server *",
        Cause(Code::ClosedBeforeResponse),
        "AH01102: error reading status line from remote server 127.0.0.1:8080",
    ),
    (
        Program::Apache,
        "AH00898: Error reading from remote server returned by *",
        Cause(Code::ClosedBeforeResponse),
        "AH00898: Error reading from remote server returned by /cart",
    ),
    (
        Program::Apache,
        "AH00898: DNS lookup failure for: * returned by *",
        Cause(Code::DnsNxdomain),
        "AH00898: DNS lookup failure for: shop.internal returned by /cart",
    ),
    (
        Program::Apache,
        "AH00898: Error during SSL Handshake with remote server returned by *",
        Cause(Code::TlsBrokenAfterHandshake),
        "AH00898: Error during SSL Handshake with remote server returned by /cart",
    ),
    (
        Program::Apache,
        "AH00898: Corrupt status line returned by remote server: *",
        Cause(Code::InvalidStatusLine),
        "AH00898: Corrupt status line returned by remote server: SSH-2.0-OpenSSH_9.2 returned by \
        /cart",
    ),
    (
        Program::Apache,
        "(70007)*AH01075: Error dispatching request to *",
        Cause(Code::FirstByteTimeout),
        "(70007)The timeout specified has expired: AH01075: Error dispatching request to : \
        (polling)",
    ),
    (
        Program::Apache,
        "(104)*AH01075: Error dispatching request to *",
        Cause(Code::FcgiConnectionDropped),
        "(104)Connection reset by peer: AH01075: Error dispatching request to : (reading input \
        brigade)",
    ),
    (
        Program::Apache,
        "(104)*AH01067: Failed to read FastCGI header",
        Cause(Code::FcgiWorkerDied),
        "(104)Connection reset by peer: AH01067: Failed to read FastCGI header",
    ),
    (
        Program::Apache,
        "AH01067: Failed to read FastCGI header",
        Cause(Code::FcgiWorkerDied),
        "AH01067: Failed to read FastCGI header",
    ),
    (
        Program::Apache,
        "AH01068: Got bogus version *",
        Cause(Code::FcgiPeerNotFastcgi),
        "AH01068: Got bogus version 72",
    ),
    (
        Program::Apache,
        "AH01070: Error parsing script headers*",
        Cause(Code::FcgiBadCgiHeaders),
        "AH01070: Error parsing script headers",
    ),
    (
        Program::Apache,
        "AH01071: Got error 'Primary script unknown*",
        Cause(Code::FcgiScriptNotFound),
        "AH01071: Got error 'Primary script unknown'",
    ),
    (
        Program::Apache,
        "AH01071: Got error 'Unable to open primary script: * (Permission denied)*",
        Cause(Code::FcgiScriptForbidden),
        "AH01071: Got error 'Unable to open primary script: /var/www/shop/cart.php (Permission \
        denied)'",
    ),
    (
        Program::Apache,
        "(32)*AH01084: pass request body failed to *",
        Cause(Code::RequestWriteFailed),
        "(32)Broken pipe: AH01084: pass request body failed to 127.0.0.1:8080 (127.0.0.1:8080)",
    ),
    (
        Program::Apache,
        "AH02039: Certificate Verification: Error (10): *",
        Cause(Code::TlsCertExpired),
        "AH02039: Certificate Verification: Error (10): certificate has expired",
    ),
    (
        Program::Apache,
        "AH02039: Certificate Verification: Error (18): *",
        Cause(Code::TlsCertSelfSigned),
        "AH02039: Certificate Verification: Error (18): self-signed certificate",
    ),
    (
        Program::Apache,
        "AH02039: Certificate Verification: Error (20): *",
        Cause(Code::TlsCertUnknownIssuer),
        "AH02039: Certificate Verification: Error (20): unable to get local issuer certificate",
    ),
    (
        Program::Apache,
        "AH02411: SSL Proxy: Peer certificate does not match for hostname *",
        Cause(Code::TlsCertWrongHost),
        "AH02411: SSL Proxy: Peer certificate does not match for hostname shop.internal",
    ),
    (
        Program::Apache,
        "AH00161: server reached MaxRequestWorkers setting*",
        Of(Sign::WorkersLimit),
        "AH00161: server reached MaxRequestWorkers setting, consider raising the \
        MaxRequestWorkers setting",
    ),
    (
        Program::Apache,
        "AH00484: server reached MaxRequestWorkers setting*",
        Of(Sign::WorkersLimit),
        "AH00484: server reached MaxRequestWorkers setting, consider raising the \
        MaxRequestWorkers setting",
    ),
    (
        Program::Apache,
        "AH10159: server is within MinSpareThreads of MaxRequestWorkers*",
        Of(Sign::WorkersLimit),
        "AH10159: server is within MinSpareThreads of MaxRequestWorkers, consider raising the \
        MaxRequestWorkers setting",
    ),
    (
        Program::Apache,
        "AH03490: scoreboard is full*",
        Of(Sign::WorkersLimit),
        "AH03490: scoreboard is full, not at MaxRequestWorkers.Increase ServerLimit.",
    ),
    (
        Program::Apache,
        "AH00052: child pid # exit signal Segmentation fault (11)*",
        Of(Sign::Segfault),
        "AH00052: child pid 7 exit signal Segmentation fault (11)",
    ),
    (
        Program::Apache,
        "AH00052: child pid # exit signal Bus error (7)*",
        Of(Sign::Segfault),
        "AH00052: child pid 7 exit signal Bus error (7)",
    ),
    (
        Program::Apache,
        "AH00052: child pid # exit signal Illegal instruction (4)*",
        Of(Sign::Segfault),
        "AH00052: child pid 7 exit signal Illegal instruction (4)",
    ),
    (
        Program::Apache,
        "AH00051: child pid # exit signal Aborted (6)*",
        Of(Sign::Segfault),
        "AH00051: child pid 7 exit signal Aborted (6), possible coredump in /etc/apache2",
    ),
    (
        Program::Apache,
        "AH00051: child pid # exit signal Segmentation fault (11)*",
        Of(Sign::Segfault),
        "AH00051: child pid 7 exit signal Segmentation fault (11), possible coredump in \
        /etc/apache2",
    ),
    (
        Program::Apache,
        "AH00052: child pid # exit signal Killed (9)",
        Of(Sign::Killed),
        "AH00052: child pid 7 exit signal Killed (9)",
    ),
    (
        Program::Apache,
        "(28)No space left on device: *",
        Of(Sign::DiskFull),
        "(28)No space left on device: AH00023: Couldn't create the ssl-cache mutex",
    ),
    (
        Program::Apache,
        "(24)Too many open files: *",
        Of(Sign::DescriptorLimit),
        "(24)Too many open files: AH00132: file permissions deny server access: /srv/cart.html",
    ),
    (
        Program::Apache,
        "(98)Address already in use: *",
        Of(Sign::AddressInUse),
        "(98)Address already in use: AH00072: make_sock: could not bind to address 0.0.0.0:80",
    ),
    (
        Program::Apache,
        "(13)Permission denied: AH00035: access to * denied*",
        Of(Sign::PermissionDenied),
        "(13)Permission denied: AH00035: access to /cart denied (filesystem path '/srv/cart') \
        because search permissions are missing on a component of the path",
    ),
    (
        Program::Apache,
        "AH00526: Syntax error on line # of *",
        Of(Sign::ConfigurationInvalid),
        "AH00526: Syntax error on line 7 of /etc/apache2/sites-enabled/shop.conf:",
    ),
    (
        Program::Apache,
        "AH00171: Graceful restart requested*",
        Of(Sign::Restarted),
        "AH00171: Graceful restart requested, doing restart",
    ),
    (
        Program::Apache,
        "AH00493: SIGUSR1 received*",
        Of(Sign::Restarted),
        "AH00493: SIGUSR1 received.  Doing graceful restart",
    ),
    (
        Program::Apache,
        "AH00494: SIGHUP received*",
        Of(Sign::Restarted),
        "AH00494: SIGHUP received.  Attempting to restart",
    ),
    (
        Program::Apache,
        "AH00169: caught SIGTERM, shutting down",
        Of(Sign::Stopped),
        "AH00169: caught SIGTERM, shutting down",
    ),
    (
        Program::Apache,
        "AH00491: caught SIGTERM, shutting down",
        Of(Sign::Stopped),
        "AH00491: caught SIGTERM, shutting down",
    ),
    (
        Program::Apache,
        "AH00492: caught SIGWINCH, shutting down gracefully",
        Of(Sign::Stopped),
        "AH00492: caught SIGWINCH, shutting down gracefully",
    ),
    (
        Program::Apache,
        "AH00163: * resuming normal operations",
        Of(Sign::Started),
        "AH00163: Apache/2.4.57 (Debian) configured -- resuming normal operations",
    ),
    (
        Program::Apache,
        "AH00489: * resuming normal operations",
        Of(Sign::Started),
        "AH00489: Apache/2.4.57 (Debian) configured -- resuming normal operations",
    ),
];
