//! What the unit takes from the service, and what it leaves: the evidence that pages show.

use super::unit::{configure, installed};

/// What the service is to read, each by a command that fails if it cannot.
const READ: [(&str, &str); 21] = [
    ("TCP sockets", "grep -q . /proc/net/tcp && grep -q . /proc/net/tcp6"),
    ("Unix sockets", "grep -q . /proc/net/unix"),
    ("listen queues", "ss --tcp --listening --no-header | grep -q ."),
    ("TCP's counters", "grep -q ListenOverflows /proc/net/netstat"),
    ("memory", "grep -q MemAvailable /proc/meminfo"),
    ("load", "grep -q . /proc/loadavg"),
    ("pressure", "grep -q some /proc/pressure/cpu"),
    ("a unit's state", "systemctl show -P ActiveState php-fpm-of-this-host | grep -q ^active"),
    ("a unit's result", "systemctl show -P Result apache2 | grep -q ."),
    (
        "a unit's control group",
        "grep -q usage_usec \
        /sys/fs/cgroup/system.slice/php-fpm-of-this-host.service/cpu.stat",
    ),
    (
        "the numbers of a unit's processes",
        "grep -q . /sys/fs/cgroup/system.slice/php-fpm-of-this-host.service/cgroup.procs",
    ),
    ("units' files", "grep -q . /etc/systemd/system/probe.service"),
    ("what packages were changed", "test -r /var/log/dpkg.log"),
    ("the pools of PHP-FPM", "grep -q ^listen /etc/php/*/fpm/pool.d/www.conf"),
    ("the journal", "journalctl --no-pager -u apache2 | grep -q 'Apache HTTP Server'"),
    ("Apache's log", "test -r /var/log/apache2/error.log && grep -q . /var/log/apache2/error.log"),
    ("PHP-FPM's socket", "test -w /run/php/php-fpm-of-this-host.sock"),
    ("resolvers", "grep -q . /etc/hosts && test -r /etc/resolv.conf -o ! -e /etc/resolv.conf"),
    ("sites", "grep -q . /var/www/html/index.html"),
    ("sites of users", "grep -q . /home/somebody/site/index.html"),
    ("the mount table", "grep -q . /proc/self/mountinfo"),
];

/// What the service is not to do, and root can.
const REFUSED: [(&str, &str); 9] = [
    ("write a site", "touch /var/www/html/x"),
    ("write to a home", "touch /home/somebody/x"),
    ("write to /etc", "touch /etc/causeway/x"),
    ("write to the kernel", "echo 1 >/proc/sys/net/ipv4/ip_forward"),
    ("write to control groups", "mkdir /sys/fs/cgroup/probe"),
    ("see others' processes", "test -d /proc/1"),
    ("make a namespace", "unshare --user true"),
    ("change the network", "ip route replace blackhole 203.0.113.0/24"),
    ("restart a unit", "systemctl restart apache2"),
];

/// Where the service is to write.
const WRITTEN: [&str; 4] = ["/var/lib/causeway", "/var/log/causeway", "/run/causeway", "/tmp"];

#[test]
fn the_evidence_stays_readable() {
    let sandbox = installed();
    // Names that do not depend on the version.
    sandbox.sh(
        "cd /etc/systemd/system && unit=$(basename /lib/systemd/system/php*-fpm.service) && \
         ln -s /lib/systemd/system/$unit /etc/systemd/system/php-fpm-of-this-host.service; \
         systemctl daemon-reload; systemctl start $unit apache2; \
         ln -s $(echo /run/php/php*.*-fpm.sock) /run/php/php-fpm-of-this-host.sock; \
         umask 022; dpkg --configure --pending; touch /var/log/dpkg.log; \
         mkdir -p /etc/causeway /home/somebody/site; echo site >/home/somebody/site/index.html; \
         curl -s http://127.0.0.1/missing >/dev/null; echo 127.0.0.53 >/etc/resolv.conf",
    );
    for (what, line) in REFUSED {
        let said = sandbox.ask(line);
        assert!(said.status.success(), "root cannot {what}, so it proves nothing: {said:?}");
    }
    sandbox.sh("rmdir /sys/fs/cgroup/probe");
    // The unit as it is, with a shell in the program's place.
    let mut script = String::from("#!/bin/sh\n");
    let mut probe = |what: &str, line: &str| {
        let unit = "$(basename /lib/systemd/system/php*-fpm.service .service)";
        let line = line.replace("php-fpm-of-this-host.service", &format!("{unit}.service"));
        let line = line.replace("ActiveState php-fpm-of-this-host", &format!("ActiveState {unit}"));
        script.push_str(&format!("if {{ {line}; }} >/dev/null 2>&1; then echo \"can {what}\"; "));
        script.push_str(&format!("else echo \"cannot {what}\"; fi\n"));
    };
    READ.iter().chain(&REFUSED).for_each(|(what, line)| probe(what, line));
    WRITTEN.iter().for_each(|path| probe(path, &format!("touch {path}/probe")));
    sandbox.write("/usr/local/bin/probe", &script);
    sandbox.sh("chmod 755 /usr/local/bin/probe; sed -e 's/^Type=.*/Type=oneshot/' \
         -e 's,^ExecStart=.*,ExecStart=/usr/local/bin/probe,' -e '/^WatchdogSec/d' \
         -e '/^Restart=/d' -e '/^ConditionP/d' -e 's/^ExecReload=.*//' \
         /usr/lib/systemd/system/causeway.service >/etc/systemd/system/probe.service; \
         systemctl daemon-reload; systemctl start probe");
    let said = sandbox.sh("journalctl --no-pager --output=cat -u probe");
    println!("{said}");
    let says = |line: String| {
        assert!(said.lines().any(|one| one == line), "no {line:?} in\n{said}");
    };
    READ.iter().for_each(|(what, _)| says(format!("can {what}")));
    WRITTEN.iter().for_each(|path| says(format!("can {path}")));
    REFUSED.iter().for_each(|(what, _)| says(format!("cannot {what}")));
}

#[test]
fn the_units_are_right_and_tight() {
    let sandbox = installed();
    configure(&sandbox, "");
    let units = "/usr/lib/systemd/system/causeway.service \
        /usr/lib/systemd/system/causeway.socket /usr/lib/systemd/system/causeway-https.socket";
    let said = sandbox.ask(&format!("systemd-analyze verify --man=no {units}"));
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "{said:?}");
    // Tenths: 15 is 1.5.
    let unit = "/usr/lib/systemd/system/causeway.service";
    let said =
        sandbox.ask(&format!("systemd-analyze security --offline=yes --threshold=15 {unit}"));
    let last = said.out.lines().last().unwrap_or_default();
    println!("{last}");
    let score =
        last.split(": ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f32>().ok());
    assert!(score.is_some_and(|score| score <= 1.5), "{}", said.out);
    assert!(said.status.success(), "{last}");
    // A group that a host lacks is made, and does not keep the service from starting.
    sandbox.sh(
        "groupdel --force www-data 2>/dev/null; sed -i '/^www-data:/d' /etc/group /etc/gshadow",
    );
    sandbox.sh("systemd-sysusers && systemctl start causeway && id causeway | grep www-data");
}
