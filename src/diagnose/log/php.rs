//! What PHP-FPM writes of its workers (sapi/fpm/fpm) and PHP of scripts (main/main.c, Zend), each
//! with a sample. Pure.

use crate::diagnose::around::Sign;

use super::Program;
use super::table::Row;
use super::table::Says::Of;

pub(super) const ROWS: [Row; 49] = [
    (
        Program::Fpm,
        "[pool *] server reached pm.max_children setting (#), consider raising it",
        Of(Sign::PoolExhausted),
        "[pool www] server reached pm.max_children setting (5), consider raising it",
    ),
    (
        Program::Fpm,
        "[pool *] server reached max_children setting (#), consider raising it",
        Of(Sign::PoolExhausted),
        "[pool www] server reached max_children setting (5), consider raising it",
    ),
    (
        Program::Fpm,
        "[pool *] seems busy (*",
        Of(Sign::PoolExhausted),
        "[pool www] seems busy (you may need to increase pm.start_servers, or \
        pm.min/max_spare_servers), spawning 8 children, there are 0 idle, and 24 total children",
    ),
    (
        Program::Fpm,
        "[pool *] child #, script '*' (request: \"*\") execution timed out (* sec), terminating",
        Of(Sign::TimeLimit),
        "[pool www] child 7, script '/var/www/shop/index.php' (request: \"GET /index.php?id=7\") \
        execution timed out (30.021437 sec), terminating",
    ),
    (
        Program::Fpm,
        "[pool *] child #, script '*' (request: \"*\") executing too slow (* sec), logging",
        Of(Sign::SlowScript),
        "[pool www] child 7, script '/var/www/shop/index.php' (request: \"GET /index.php\") \
        executing too slow (5.012345 sec), logging",
    ),
    (
        Program::Fpm,
        "script_filename = *",
        Of(Sign::SlowScript),
        "script_filename = /var/www/shop/index.php",
    ),
    (
        Program::Fpm,
        "[pool *] child # exited on signal 11 (*) after * seconds from start",
        Of(Sign::Segfault),
        "[pool www] child 7 exited on signal 11 (SIGSEGV - core dumped) after 12.345678 seconds \
        from start",
    ),
    (
        Program::Fpm,
        "[pool *] child # exited on signal 7 (*) after * seconds from start",
        Of(Sign::Segfault),
        "[pool www] child 7 exited on signal 7 (SIGBUS) after 12.345678 seconds from start",
    ),
    (
        Program::Fpm,
        "[pool *] child # exited on signal 4 (*) after * seconds from start",
        Of(Sign::Segfault),
        "[pool www] child 7 exited on signal 4 (SIGILL) after 12.345678 seconds from start",
    ),
    (
        Program::Fpm,
        "[pool *] child # exited on signal 6 (*) after * seconds from start",
        Of(Sign::Segfault),
        "[pool www] child 7 exited on signal 6 (SIGABRT) after 12.345678 seconds from start",
    ),
    (
        Program::Fpm,
        "[pool *] child # exited on signal 9 (*) after * seconds from start",
        Of(Sign::Killed),
        "[pool www] child 7 exited on signal 9 (SIGKILL) after 12.345678 seconds from start",
    ),
    (
        Program::Fpm,
        "unable to bind listening socket for address '*': Address already in use (98)",
        Of(Sign::AddressInUse),
        "unable to bind listening socket for address '127.0.0.1:9000': Address already in use \
        (98)",
    ),
    (
        Program::Fpm,
        "An another FPM instance seems to already listen on *",
        Of(Sign::AddressInUse),
        "An another FPM instance seems to already listen on /run/php/php8.2-fpm.sock",
    ),
    (
        Program::Fpm,
        "[*:#] unknown entry '*'",
        Of(Sign::ConfigurationInvalid),
        "[/etc/php/8.2/fpm/pool.d/www.conf:12] unknown entry 'pm.max_childern'",
    ),
    (
        Program::Fpm,
        "failed to load configuration file '*'",
        Of(Sign::ConfigurationInvalid),
        "failed to load configuration file '/etc/php/8.2/fpm/php-fpm.conf'",
    ),
    (
        Program::Fpm,
        "failed to post process the configuration",
        Of(Sign::ConfigurationInvalid),
        "failed to post process the configuration",
    ),
    (
        Program::Fpm,
        "[pool *] cannot get uid for user '*'",
        Of(Sign::ConfigurationInvalid),
        "[pool www] cannot get uid for user 'shop'",
    ),
    (
        Program::Fpm,
        "[pool *] cannot get gid for group '*'",
        Of(Sign::ConfigurationInvalid),
        "[pool www] cannot get gid for group 'shop'",
    ),
    (
        Program::Fpm,
        "* Too many open files (24)",
        Of(Sign::DescriptorLimit),
        "failed to accept() an incoming connection: Too many open files (24)",
    ),
    (
        Program::Fpm,
        "* No space left on device (28)",
        Of(Sign::DiskFull),
        "unable to write to the slow log: No space left on device (28)",
    ),
    (
        Program::Fpm,
        "* Read-only file system (30)",
        Of(Sign::DiskReadOnly),
        "failed to open error_log (/var/log/php8.2-fpm.log): Read-only file system (30)",
    ),
    (Program::Fpm, "Reloading in progress ...", Of(Sign::Restarted), "Reloading in progress ..."),
    (Program::Fpm, "Terminating ...", Of(Sign::Stopped), "Terminating ..."),
    (Program::Fpm, "exiting, bye-bye!", Of(Sign::Stopped), "exiting, bye-bye!"),
    (Program::Fpm, "ready to handle connections", Of(Sign::Started), "ready to handle connections"),
    (
        Program::Php,
        "PHP * Allowed memory size of # bytes exhausted*",
        Of(Sign::MemoryLimit),
        "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate \
        20480 bytes) in /var/www/shop/index.php on line 3",
    ),
    (
        Program::Php,
        "PHP * Maximum execution time of # second*",
        Of(Sign::ExecutionTime),
        "PHP Fatal error:  Maximum execution time of 30 seconds exceeded in \
        /var/www/shop/index.php on line 3",
    ),
    (
        Program::Php,
        "PHP * Uncaught mysqli_sql_exception: Connection refused in *",
        Of(Sign::HelperUnreachable),
        "PHP Fatal error:  Uncaught mysqli_sql_exception: Connection refused in \
        /var/www/shop/db.php:3",
    ),
    (
        Program::Php,
        "PHP * Uncaught mysqli_sql_exception: No such file or directory in *",
        Of(Sign::HelperUnreachable),
        "PHP Fatal error:  Uncaught mysqli_sql_exception: No such file or directory in \
        /var/www/shop/db.php:3",
    ),
    (
        Program::Php,
        "PHP * (HY000/2002): *",
        Of(Sign::HelperUnreachable),
        "PHP Warning:  mysqli_real_connect(): (HY000/2002): Connection refused in \
        /var/www/wp-includes/class-wpdb.php on line 1982",
    ),
    (
        Program::Php,
        "PHP * SQLSTATE[HY000] [2002] *",
        Of(Sign::HelperUnreachable),
        "PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] [2002] Connection refused in \
        /var/www/shop/db.php:3",
    ),
    (
        Program::Php,
        "PHP * MySQL server has gone away*",
        Of(Sign::HelperUnreachable),
        "PHP Warning:  mysqli::query(): MySQL server has gone away in /var/www/shop/db.php on \
        line 9",
    ),
    (
        Program::Php,
        "PHP * Uncaught RedisException: *",
        Of(Sign::HelperUnreachable),
        "PHP Fatal error:  Uncaught RedisException: Connection refused in \
        /var/www/shop/cache.php:5",
    ),
    (
        Program::Php,
        "PHP * connection to server * failed: Connection refused*",
        Of(Sign::HelperUnreachable),
        "PHP Warning:  pg_connect(): Unable to connect to PostgreSQL server: connection to server \
        at \"127.0.0.1\", port 5432 failed: Connection refused",
    ),
    (
        Program::Php,
        "PHP * connection to server * failed: No such file or directory*",
        Of(Sign::HelperUnreachable),
        "PHP Fatal error:  Uncaught PDOException: SQLSTATE[08006] [7] connection to server on \
        socket \"/run/postgresql/.s.PGSQL.5432\" failed: No such file or directory",
    ),
    (
        Program::Php,
        "PHP * connection to server * failed: FATAL:  sorry, too many clients already*",
        Of(Sign::HelperFull),
        "PHP Fatal error:  Uncaught PDOException: SQLSTATE[08006] [7] connection to server at \
        \"127.0.0.1\", port 5432 failed: FATAL:  sorry, too many clients already in \
        /var/www/shop/db.php:3",
    ),
    (
        Program::Php,
        "PHP * connection to server * failed: FATAL:  remaining connection slots are reserved *",
        Of(Sign::HelperFull),
        "PHP Warning:  pg_connect(): Unable to connect to PostgreSQL server: connection to server \
        at \"127.0.0.1\", port 5432 failed: FATAL:  remaining connection slots are reserved for \
        non-replication superuser connections in /var/www/shop/db.php on line 3",
    ),
    (
        Program::Php,
        "PHP * Uncaught mysqli_sql_exception: Too many connections in *",
        Of(Sign::HelperFull),
        "PHP Fatal error:  Uncaught mysqli_sql_exception: Too many connections in \
        /var/www/shop/db.php:3",
    ),
    (
        Program::Php,
        "PHP * (HY000/1040): Too many connections*",
        Of(Sign::HelperFull),
        "PHP Warning:  mysqli_real_connect(): (HY000/1040): Too many connections in \
        /var/www/wp-includes/class-wpdb.php on line 1982",
    ),
    (
        Program::Php,
        "PHP * SQLSTATE[HY000] [1040] Too many connections*",
        Of(Sign::HelperFull),
        "PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] [1040] Too many connections in \
        /var/www/shop/db.php:3",
    ),
    (
        Program::Php,
        "WordPress database error *gone away*",
        Of(Sign::HelperUnreachable),
        "WordPress database error MySQL server has gone away for query SELECT option_value FROM \
        wp_options made by require('wp-blog-header.php')",
    ),
    (
        Program::Php,
        "PHP * No space left on device*",
        Of(Sign::DiskFull),
        "PHP Warning:  file_put_contents(): Write of 12 bytes failed with errno=28 No space left \
        on device in /var/www/shop/cache.php on line 4",
    ),
    (
        Program::Php,
        "PHP * Read-only file system*",
        Of(Sign::DiskReadOnly),
        "PHP Warning:  file_put_contents(/var/www/shop/cache/a): Failed to open stream: Read-only \
        file system in /var/www/shop/cache.php on line 4",
    ),
    (
        Program::Php,
        "PHP * Too many open files*",
        Of(Sign::DescriptorLimit),
        "PHP Warning:  include(/var/www/shop/a.php): Failed to open stream: Too many open files \
        in /var/www/shop/index.php on line 3",
    ),
    (
        Program::Php,
        "PHP *ailed to open stream: Permission denied in *",
        Of(Sign::PermissionDenied),
        "PHP Warning:  file_put_contents(/var/www/shop/cache/a): Failed to open stream: \
        Permission denied in /var/www/shop/cache.php on line 4",
    ),
    (
        Program::Php,
        "PHP * failed: Permission denied (13) in *",
        Of(Sign::PermissionDenied),
        "PHP Warning:  session_start(): open(/var/lib/php/sessions/sess_a, O_RDWR) failed: \
        Permission denied (13) in /var/www/shop/index.php on line 2",
    ),
    (
        Program::Php,
        "PHP Parse error:  *",
        Of(Sign::PhpFatal),
        "PHP Parse error:  syntax error, unexpected token \"}\" in /var/www/shop/index.php on \
        line 7",
    ),
    (
        Program::Php,
        "PHP Fatal error:  *",
        Of(Sign::PhpFatal),
        "PHP Fatal error:  Uncaught Error: Call to undefined function shop_total() in \
        /var/www/shop/cart.php:12",
    ),
    (
        Program::Php,
        "PHP Recoverable fatal error:  *",
        Of(Sign::PhpFatal),
        "PHP Recoverable fatal error:  Object of class Cart could not be converted to string in \
        /var/www/shop/cart.php on line 12",
    ),
];
