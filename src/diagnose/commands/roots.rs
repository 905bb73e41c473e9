//! The commands of fixes that follow from a root. They name what was found on this host: units as
//! systemd calls them, directories above the configured socket, interfaces, and of clients an
//! address that was read as one. Pure.

use std::net::IpAddr;

use crate::config::ServerAddress;
use crate::diagnose::around::{Around, Helper, HelperKind, HelperState, Share, State};
use crate::diagnose::look::quote;

use super::Kind;
use super::list::List;
use super::rows::{CLIENTS, HELPERS_CHECK};

/// Our own user, by the unit.
const OWN_USER: &str = "\"$(systemctl show --value -p User causeway)\"";
/// What holds a process up: T and t are stopped, D waits for a disk (proc_pid_stat(5)).
const STOPPED: &str = "ps -eo pid,stat,cmd | awk '$2 ~ /^[Tt]/'";
const BLOCKED: &str = "ps -eo pid,stat,wchan:30,cmd | awk '$2 ~ /^D/'";
const LIMITS: &str = "-p MemoryMax -p MemoryCurrent -p CPUQuotaPerSecUSec -p TasksMax \
                      -p TasksCurrent -p LimitNOFILE";

impl List<'_> {
    /// The server's unit as a word of a shell; capitals where it is not known, or another host's.
    pub fn unit(&self) -> String {
        self.known_unit().unwrap_or_else(|| "UNIT".to_owned())
    }

    pub fn known_unit(&self) -> Option<String> {
        let found = self.here_around()?.units.server.found()?;
        Some(quote(&found.name))
    }

    pub fn journal(&mut self, lines: u32) {
        let unit = self.unit();
        self.there(Kind::Look, format!("journalctl -u {unit} -n {lines} --no-pager"));
    }

    pub fn wait_for_start(&mut self) {
        self.unit_status(Kind::Look);
        self.journal(50);
        let unit = self.unit();
        self.there(Kind::Check, format!("systemctl is-active {unit}"));
        self.listener(Kind::Check);
        self.curl(Kind::Check, "-I");
    }

    pub fn clear_start_limit(&mut self) {
        self.journal(100);
        let unit = self.unit();
        self.there(Kind::Run, format!("systemctl reset-failed {unit} && systemctl restart {unit}"));
        self.unit_status(Kind::Check);
        self.listener(Kind::Check);
    }

    pub fn unmask_service(&mut self) {
        let unit = self.unit();
        self.there(Kind::Look, format!("systemctl show {unit} -p LoadState -p FragmentPath"));
        self.there(Kind::Run, format!("systemctl unmask {unit} && systemctl start {unit}"));
        self.unit_status(Kind::Check);
        self.listener(Kind::Check);
    }

    pub fn enable_service(&mut self) {
        let unit = self.unit();
        self.there(Kind::Look, format!("systemctl is-enabled {unit}; uptime -s"));
        self.there(Kind::Run, format!("systemctl enable --now {unit}"));
        self.unit_status(Kind::Check);
        self.listener(Kind::Check);
    }

    pub fn install_service(&mut self) {
        let units = "'php*fpm*' 'apache2*' 'httpd*' 'nginx*'";
        self.there(Kind::Look, format!("systemctl list-unit-files --no-pager {units}"));
        self.there(Kind::Look, self.layout.package_history());
        self.servers();
        self.listener(Kind::Check);
    }

    pub fn mend_configuration(&mut self) {
        match self.service() {
            Some(service) => {
                self.there(Kind::Look, service.test.clone());
                self.journal(30);
                self.there(Kind::Run, format!("{} && {}", service.test, service.restart));
            }
            None => {
                self.journal(30);
                let unit = self.unit();
                self.there(Kind::Run, format!("systemctl restart {unit}"));
            }
        }
        self.unit_status(Kind::Check);
        self.listener(Kind::Check);
    }

    pub fn free_address(&mut self) {
        self.listener(Kind::Look);
        self.journal(30);
        let unit = self.unit();
        self.there(Kind::Run, format!("systemctl restart {unit}"));
        self.unit_status(Kind::Check);
        self.curl(Kind::Check, "-I");
    }

    pub fn raise_unit_limits(&mut self) {
        let unit = self.unit();
        self.there(Kind::Look, format!("systemctl show {unit} {LIMITS}"));
        let keys = "[Service] MemoryMax=, CPUQuota=, TasksMax=, LimitNOFILE=";
        self.there(Kind::Edit, format!("systemctl edit {unit}: {keys}"));
        self.there(Kind::Run, format!("systemctl restart {unit}"));
        self.unit_status(Kind::Check);
    }

    pub fn directory_access(&mut self) {
        let Some(ServerAddress::Unix(socket)) = self.site.server.map(|server| &server.address)
        else {
            return;
        };
        let socket = quote(&socket.to_string_lossy());
        let way = self.site.around.and_then(|around| around.sockets.path.found());
        // The last that was come to is the one that is closed.
        let closed = way.and_then(|way| way.components.last());
        let closed = closed.map(|component| quote(&component.path.to_string_lossy()));
        let folder = closed.unwrap_or_else(|| "DIRECTORY".to_owned());
        self.here(Kind::Look, format!("namei -l {socket}; ls -ld {folder}"));
        self.here(Kind::Run, format!("setfacl -m u:{OWN_USER}:x {folder}"));
        self.here(Kind::Check, format!("sudo -u {OWN_USER} test -w {socket} && echo writable"));
    }

    pub fn resume_workers(&mut self) {
        let around = self.here_around();
        let helper = self.helper(&HelperState::Frozen);
        let is_frozen = around
            .and_then(|around| around.units.server.found())
            .is_some_and(|unit| unit.state == State::Frozen);
        let unit = helper.map_or_else(|| self.unit(), |helper| helper_unit(Some(helper)));
        self.there(Kind::Look, STOPPED);
        if is_frozen {
            self.there(Kind::Run, format!("systemctl thaw {unit}"));
        }
        self.there(Kind::Run, format!("systemctl kill --signal=SIGCONT {unit}"));
        self.there(Kind::Check, format!("systemctl status --no-pager {unit}"));
        self.curl(Kind::Check, "-I");
    }

    pub fn free_session_lock(&mut self) {
        let lock = self.here_around().and_then(|around| around.php.session_lock.found());
        let holder = lock.and_then(|lock| lock.holder);
        self.there(Kind::Look, "lslocks -u -o PID,COMMAND,TYPE,MODE,BLOCKER,PATH");
        if let Some(pid) = holder {
            self.there(Kind::Look, format!("ps -o pid,etime,stat,cmd -p {pid}"));
            self.there(Kind::Run, format!("kill {pid}"));
        }
        self.there(Kind::Check, "lslocks -u -n -o BLOCKER,PATH | grep sess_");
    }

    pub fn start_helper(&mut self) {
        let unit = helper_unit(self.helper(&HelperState::Gone));
        self.there(Kind::Look, format!("systemctl status --no-pager {unit}"));
        self.there(Kind::Look, format!("journalctl -u {unit} -n 50 --no-pager"));
        self.there(Kind::Run, format!("systemctl restart {unit} && systemctl enable {unit}"));
        self.there(Kind::Check, HELPERS_CHECK);
    }

    pub fn helper_capacity(&mut self) {
        // Where the application alone says so, it speaks of the one in its settings.
        let named = || self.here_around()?.helpers.list.iter().find(|helper| helper.named);
        let helper = self.helper(&HelperState::Full).or_else(named);
        let kind = helper.map_or(HelperKind::Mysql, |helper| helper.kind);
        let (look, edit) = match kind {
            HelperKind::Mysql => {
                ("mysqladmin extended-status processlist", "my.cnf max_connections")
            }
            HelperKind::Postgresql => (
                "sudo -u postgres psql -c 'TABLE pg_stat_activity'",
                "postgresql.conf max_connections",
            ),
            HelperKind::Redis => ("redis-cli info clients", "redis.conf maxclients"),
            HelperKind::Memcached => {
                ("printf 'stats\\nquit\\n' | nc -w 2 127.0.0.1 11211", "memcached.conf -c")
            }
        };
        self.there(Kind::Look, look);
        self.there(Kind::Edit, edit);
        self.pool("pm.max_children");
        self.there(Kind::Check, HELPERS_CHECK);
    }

    pub fn block_client(&mut self) {
        self.here(Kind::Look, CLIENTS);
        let traffic = self.site.around.map(|around| &around.traffic);
        let shares = traffic.map(|traffic| [&traffic.client, &traffic.network]);
        let most = shares.into_iter().flatten().flatten().find(|share| is_half(share));
        let Some(who) = most.and_then(|share| network(&share.who)) else { return };
        self.here(Kind::Run, format!("ip route add blackhole {who}"));
        self.here(Kind::Check, format!("ss -Htn state established 'dst {who}' | wc -l"));
    }

    pub fn check_storage(&mut self) {
        self.there(Kind::Look, "findmnt --real -o TARGET,SOURCE,FSTYPE,OPTIONS");
        self.there(Kind::Look, "journalctl -k -p err -n 30 --no-pager");
        self.there(Kind::Look, BLOCKED);
        self.there(Kind::Check, "vmstat 1 5");
    }

    pub fn start_host(&mut self) {
        let Some((host, port)) = self.target() else { return };
        self.here(Kind::Look, format!("ping -c 3 -W 2 {host}; ip neigh show"));
        self.block("", "servers");
        self.here(Kind::Check, format!("nc -vz -w 5 {host} {port}"));
    }

    pub fn restore_link(&mut self) {
        let route = self.site.around.and_then(|around| around.network.route.found());
        let interface = route.map(|route| quote(&route.interface));
        let interface = interface.unwrap_or_else(|| "INTERFACE".to_owned());
        self.here(Kind::Look, "ip -br link; ip -br address");
        self.here(Kind::Run, format!("ip link set dev {interface} up"));
        self.here(Kind::Check, format!("ip -br link show dev {interface}"));
    }

    pub fn free_ports(&mut self) {
        self.here(Kind::Look, "ss -s; sysctl net.ipv4.ip_local_port_range");
        if let Some((_, port)) = self.target() {
            // How many are in which state.
            let towards = format!("ss -Htan 'dport = :{port}'");
            self.here(Kind::Look, format!("{towards} | awk '{{print $1}}' | sort | uniq -c"));
        }
        self.block(".limits", "idle_connections");
        self.here(Kind::Check, "ss -s");
    }

    fn unit_status(&mut self, kind: Kind) {
        let unit = self.unit();
        self.there(kind, format!("systemctl status --no-pager {unit}"));
    }

    fn helper(&self, state: &HelperState) -> Option<&Helper> {
        self.here_around()?.helpers.list.iter().find(|helper| helper.state == *state)
    }

    /// What was found around, where the server is of this host.
    fn here_around(&self) -> Option<&Around> {
        self.site.around.filter(|_| !self.site.is_elsewhere())
    }
}

/// A helper's unit as a word of a shell.
fn helper_unit(helper: Option<&Helper>) -> String {
    let unit = helper.and_then(|helper| helper.unit.as_deref()?.split_whitespace().next());
    unit.map_or("UNIT".to_owned(), quote)
}

fn is_half(share: &Share) -> bool {
    share.requests * 2 >= share.of
}

/// An address or a prefix, read and written anew; none of this host itself.
fn network(who: &str) -> Option<String> {
    let (ip, length) = match who.split_once('/') {
        Some((ip, length)) => (ip, Some(length.parse::<u8>().ok()?)),
        None => (who, None),
    };
    let ip = ip.parse::<IpAddr>().ok()?;
    if ip.to_canonical().is_loopback() || ip.is_unspecified() {
        return None;
    }
    Some(match length {
        Some(length) => format!("{ip}/{length}"),
        None => ip.to_string(),
    })
}
