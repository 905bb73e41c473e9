//! Services whose start comes to nothing, or which are not there to start: a mistake in their
//! configuration, a port that somebody else has, a package that was removed; and those that run
//! into a limit or are reloaded. The page names the root and its first fix, the doctor the root.

use super::doctor::is_named;
use super::roots::{finding, first_fix, is_fixed_by, rooted, running};
use super::support::sandbox::Sandbox;
use super::unit::{FILE, drop_in};

const PORTS: &str = "/etc/apache2/ports.conf";

/// Says what no web server does, at the port of Apache.
const OTHER: &str = "use IO::Socket::INET; my $listener = IO::Socket::INET->new( \
    LocalAddr => '127.0.0.1:8081', Listen => 9, ReuseAddr => 1) or die; \
    while (my $client = $listener->accept) { print $client \"SSH-2.0-OpenSSH_9.2\\r\\n\" }";

/// Holds more connections of Apache's than it may have descriptors, each with half a request.
const HOLD: &str = "use IO::Socket::INET; while (1) { my @held = map { \
    my $one = IO::Socket::INET->new('127.0.0.1:8081'); print $one 'GET /' if $one; $one } 1..20; \
    sleep 15 }";

/// Runs a program as a unit of its own.
fn beside(sandbox: &Sandbox, name: &str, program: &str) {
    let file = format!("/usr/local/bin/{name}");
    sandbox.write(&file, program);
    sandbox.sh(&format!("systemd-run --quiet --unit={name} perl {file}"));
}

#[test]
fn a_mistake_in_a_services_configuration_is_named() {
    let (sandbox, php) = running();
    let pool = sandbox.sh("ls /etc/php/*/fpm/pool.d/www.conf");
    let site = "/etc/apache2/sites-enabled/000-default.conf";
    for (unit, host, file, mistake, said, test) in [
        ("apache2.service", "apache.test", site, "Bogus on", "AH00526", "apachectl configtest"),
        (&php, "php.test", &pool, "pm.max_childern = 4", "failed to load", "-t && systemctl"),
    ] {
        sandbox.sh(&format!("cp {file} /root/before; echo '{mistake}' >>{file}"));
        assert!(!sandbox.ask(&format!("systemctl restart {unit}")).status.success());
        let problem = rooted(&sandbox, host, "configuration_invalid");
        assert_eq!(problem["root_certainty"], "certain", "{problem}");
        assert_eq!(finding(&problem, "unit"), unit);
        assert_eq!(finding(&problem, "unit_state"), "failed (failed)");
        assert!(problem["root_evidence"].to_string().contains(said), "{problem}");
        is_fixed_by(&problem, "mend_configuration", test);
        is_named(&sandbox, "configuration_invalid");
        // Mended, it is a start like any other.
        sandbox.sh(&format!("cp /root/before {file}; systemctl restart {unit}"));
        let line = format!("curl -s -H 'Host: {host}' http://127.0.0.1/ok.php");
        sandbox.until(&line, |said| said.contains("ok"));
        sandbox.sh(&format!("systemctl stop {unit}"));
        rooted(&sandbox, host, "service_stopped");
        sandbox.sh(&format!("systemctl start {unit}"));
    }
}

#[test]
fn a_port_that_another_program_has_is_named() {
    let (sandbox, _) = running();
    // One that we have ourselves: Apache then does not listen at its other one either.
    sandbox.sh(&format!("echo 'Listen 80' >>{PORTS}"));
    assert!(!sandbox.ask("systemctl restart apache2").status.success());
    let problem = rooted(&sandbox, "apache.test", "address_in_use");
    assert_eq!(problem["cause"], "connection_refused");
    assert_eq!(finding(&problem, "unit"), "apache2.service");
    assert!(problem["root_evidence"].to_string().contains("could not bind"), "{problem}");
    is_fixed_by(&problem, "free_address", "ss -ltnp");
    is_named(&sandbox, "address_in_use");

    sandbox.sh(&format!("sed -i '/^Listen 80$/d' {PORTS}"));
    beside(&sandbox, "other", OTHER);
    sandbox.until("ss -ltnH 'sport = :8081'", |said| !said.is_empty());
    assert!(!sandbox.ask("systemctl start apache2").status.success());
    let problem = rooted(&sandbox, "apache.test", "address_in_use");
    assert_eq!(problem["cause"], "peer_is_other_protocol");
    assert_eq!(finding(&problem, "listener"), "root, other.service");
    is_fixed_by(&problem, "free_address", "ss -ltnp");
    is_named(&sandbox, "address_in_use");
}

/// As packages leave it: of Apache its configuration stays, of PHP-FPM nothing.
#[test]
fn a_service_that_was_removed_is_named() {
    let (sandbox, php) = running();
    let package = php.trim_end_matches(".service");
    sandbox.sh(&format!(
        "systemctl stop apache2 {php}; export DEBIAN_FRONTEND=noninteractive; \
         dpkg --force-depends --remove apache2; dpkg --force-depends --purge {package}; \
         systemctl daemon-reload"
    ));
    for (unit, host) in [("apache2.service", "apache.test"), (&php, "php.test")] {
        let problem = rooted(&sandbox, host, "service_not_installed");
        assert_eq!(problem["root_certainty"], "likely", "{problem}");
        assert_eq!(finding(&problem, "unit"), unit);
        assert_eq!(first_fix(&problem)["id"], "install_service", "{problem}");
    }
    is_named(&sandbox, "service_not_installed");
}

#[test]
fn a_server_without_descriptors_is_named() {
    let (sandbox, _) = running();
    sandbox.sh(&format!(
        "sed -i 's/^hosts = ..apache.test..$/&\\ntimeouts.first_byte = \"1s\"/' {FILE}; \
         systemctl reload causeway"
    ));
    // One process, which has a dozen for itself.
    sandbox.write("/etc/apache2/conf-enabled/one.conf", "ServerLimit 1\nMaxRequestWorkers 25\n");
    drop_in(&sandbox, "apache2.service", "[Service]\nLimitNOFILE=24\n");
    sandbox.sh("systemctl restart apache2");
    beside(&sandbox, "hold", HOLD);
    let problem = rooted(&sandbox, "apache.test", "fd_limit");
    assert_eq!(problem["root_certainty"], "certain", "{problem}");
    assert!(problem["root_evidence"].to_string().contains("(24)Too many open files"), "{problem}");
    is_fixed_by(&problem, "raise_unit_limits", "LimitNOFILE");
}

/// PHP-FPM ends the requests under way at a reload, where nothing tells it to wait.
#[test]
fn a_reload_is_named() {
    let (sandbox, php) = running();
    sandbox.sh(&format!("sed -i '/first_byte/d' {FILE}; systemctl reload causeway"));
    sandbox.write("/var/www/html/ok.php", "<?php sleep(3); echo 'ok';");
    sandbox.write(
        "/usr/local/bin/reload-often",
        &format!("while (1) {{ sleep 2; system 'systemctl', 'reload', '{php}' }}"),
    );
    sandbox.sh("systemd-run --quiet --unit=often perl /usr/local/bin/reload-often");
    let problem = rooted(&sandbox, "php.test", "reload_or_restart");
    assert_eq!(problem["cause"], "fcgi_worker_died");
    assert_eq!(finding(&problem, "unit_state"), "active (running)");
    assert_eq!(first_fix(&problem)["id"], "wait_for_start");
}
