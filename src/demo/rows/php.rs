//! Rows in which PHP answers in good order and says of itself what went wrong. Its answer goes to
//! the client as it is; the cause stands beside it. The words are those of PHP-FPM 8.2.

use crate::demo::scenario::{Scenario, Sees, Setup, Step, row};
use crate::diagnose::Code;

use Setup::FastCgi;
use Step::{End, Request, Stderr, Stdout};

const OWN_200: Sees = Sees::Own { status: 200 };
const OWN_403: Sees = Sees::Own { status: 403 };
const OWN_404: Sees = Sees::Own { status: 404 };
const OWN_500: Sees = Sees::Own { status: 500 };

pub(super) const ROWS: &[Scenario] = &[
    row(
        Code::FcgiScriptNotFound,
        "fcgi_script_not_found",
        "PHP-FPM has no script under the path that it was sent, as when it lives in a container.",
        FastCgi(&[Request, Stderr("Primary script unknown"), Stdout(NOT_FOUND), End(0)]),
    )
    .sees(OWN_404),
    row(
        Code::FcgiScriptNotFound,
        "fcgi_script_not_found-quiet",
        "The same from a pool that logs nothing: only the page's text tells.",
        FastCgi(&[Request, Stdout(NOT_FOUND), End(0)]),
    )
    .sees(OWN_404),
    row(
        Code::FcgiScriptNotFound,
        "fcgi_script_not_found-php_cgi",
        "The same from php-cgi, which has other words for it.",
        FastCgi(&[Request, Stdout(NO_INPUT), End(0)]),
    )
    .sees(OWN_404),
    row(
        Code::FcgiScriptForbidden,
        "fcgi_script_forbidden",
        "PHP-FPM does not run files of this extension: `security.limit_extensions`.",
        FastCgi(&[Request, Stderr(EXTENSION), Stdout(DENIED), End(0)]),
    )
    .sees(OWN_403),
    row(
        Code::FcgiScriptForbidden,
        "fcgi_script_forbidden-permission",
        "PHP's user may not read the script.",
        FastCgi(&[Request, Stderr(UNREADABLE), Stdout(DENIED), End(0)]),
    )
    .sees(OWN_403),
    row(
        Code::PhpFatalError,
        "php_fatal_error",
        "The script calls a function that does not exist; the visitor gets a blank page.",
        FastCgi(&[Request, Stderr(FATAL), Stdout(BLANK), End(0)]),
    )
    .sees(OWN_500),
    row(
        Code::PhpFatalError,
        "php_fatal_error-parse",
        "The script has a syntax error; the visitor gets a blank page.",
        FastCgi(&[Request, Stderr(PARSE), Stdout(BLANK), End(0)]),
    )
    .sees(OWN_500),
    row(
        Code::PhpFatalError,
        "php_fatal_error-displayed",
        "With `display_errors` on, PHP shows the error to everyone and calls it 200.",
        FastCgi(&[Request, Stderr(FATAL), Stdout(FATAL_SHOWN), End(0)]),
    )
    .sees(OWN_200),
    row(
        Code::PhpOutOfMemory,
        "php_out_of_memory",
        "The script wants more memory than `memory_limit` allows.",
        FastCgi(&[Request, Stderr(MEMORY), Stdout(BLANK), End(0)]),
    )
    .sees(OWN_500),
    row(
        Code::PhpExecutionTimeout,
        "php_execution_timeout",
        "The script computes for longer than `max_execution_time` allows.",
        FastCgi(&[Request, Stderr(TIME), Stdout(BLANK), End(0)]),
    )
    .sees(OWN_500),
    row(
        Code::HelperServicesDown,
        "helper_services_down",
        "WordPress cannot reach its database, and says so in its own page.",
        FastCgi(&[Request, Stdout(WORDPRESS), End(0)]),
    )
    .sees(OWN_500),
    row(
        Code::HelperServicesDown,
        "helper_services_down-pdo",
        "The script cannot reach its database, and nobody has caught the exception.",
        FastCgi(&[Request, Stderr(DATABASE), Stdout(BLANK), End(0)]),
    )
    .sees(OWN_500),
];

const NOT_FOUND: &[u8] = b"Status: 404 Not Found\r\nX-Powered-By: PHP/8.2.7\r\n\
    Content-type: text/html; charset=UTF-8\r\n\r\nFile not found.\n";
const NO_INPUT: &[u8] = b"Status: 404 Not Found\r\nX-Powered-By: PHP/8.2.7\r\n\
    Content-type: text/html; charset=UTF-8\r\n\r\nNo input file specified.\n";
const DENIED: &[u8] = b"Status: 403 Forbidden\r\nX-Powered-By: PHP/8.2.7\r\n\
    Content-type: text/html; charset=UTF-8\r\n\r\nAccess denied.\n";
const BLANK: &[u8] = b"Status: 500 Internal Server Error\r\nX-Powered-By: PHP/8.2.7\r\n\
    Content-type: text/html; charset=UTF-8\r\n\r\n";
const FATAL_SHOWN: &[u8] = b"X-Powered-By: PHP/8.2.7\r\n\
    Content-type: text/html; charset=UTF-8\r\n\r\n\
    <br />\n<b>Fatal error</b>:  Uncaught Error: Call to undefined function prices() in \
    /srv/shop/index.php:12\nStack trace:\n#0 {main}\n  thrown in <b>/srv/shop/index.php</b> \
    on line <b>12</b><br />\n";
const WORDPRESS: &[u8] = b"Status: 500 Internal Server Error\r\nX-Powered-By: PHP/8.2.7\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n\
    <!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n\
    <meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\" />\n\
    <title>Database Error</title>\n</head>\n<body id=\"error-page\">\n\
    <div class=\"wp-die-message\"><h1>Error establishing a database connection</h1></div>\n\
    </body>\n</html>\n";

const EXTENSION: &str = "Access to the script '/srv/shop/report.txt' has been denied \
    (see security.limit_extensions)";
const UNREADABLE: &str = "PHP message: PHP Warning:  PHP Request Startup: Failed to open stream: \
    Permission denied in Unknown on line 0; Unable to open primary script: /srv/shop/index.php \
    (Permission denied)";
const FATAL: &str = "PHP message: PHP Fatal error:  Uncaught Error: Call to undefined function \
    prices() in /srv/shop/index.php:12\nStack trace:\n#0 {main}\n  thrown in \
    /srv/shop/index.php on line 12";
const PARSE: &str = "PHP message: PHP Parse error:  syntax error, unexpected token \"}\", \
    expecting \";\" in /srv/shop/index.php on line 12";
const MEMORY: &str = "PHP message: PHP Fatal error:  Allowed memory size of 134217728 bytes \
    exhausted (tried to allocate 20480 bytes) in /srv/shop/export.php on line 40";
const TIME: &str = "PHP message: PHP Fatal error:  Maximum execution time of 30 seconds exceeded \
    in /srv/shop/export.php on line 41";
const DATABASE: &str = "PHP message: PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] \
    [2002] Connection refused in /srv/shop/db.php:7\nStack trace:\n#0 /srv/shop/db.php(7): \
    PDO->__construct()\n#1 {main}\n  thrown in /srv/shop/db.php on line 7";
