//! A row a fix: what to look at, run, edit and check for it. Pure.

use crate::config::ServerAddress;
use crate::diagnose::cause::{Cause, Code};
use crate::diagnose::dns;
use crate::diagnose::fixes::FixId;
use crate::diagnose::layout::Family;
use crate::diagnose::look::{self, quote};
use crate::diagnose::matching::Site;

use super::Kind;
use super::list::List;

const OUT_OF_MEMORY: &str = "journalctl -k -g 'oom|Out of memory' -n 20 --no-pager";
const LARGEST: &str = "ps -eo rss,cmd --sort=-rss | head -n 15";
pub const CLIENTS: &str =
    "ss -Htn state established | awk '{print $4}' | sort | uniq -c | sort -rn | head -n 15";
/// What keeps the state that a page is made from.
pub const HELPERS_CHECK: &str = "mysqladmin ping; redis-cli ping";

impl List<'_> {
    /// One row a fix.
    pub fn of(&mut self, id: FixId, cause: &Cause) {
        use FixId as F;
        match id {
            F::Reload
            | F::SiteStatus
            | F::OtherSite
            | F::CheckConnection
            | F::NewSession
            | F::OtherBrowser
            | F::PrivateMode
            | F::ClearCache
            | F::ClearCookies
            | F::UpdateBrowser
            | F::OtherDevice
            | F::RestartNetwork
            | F::FlushDns
            | F::ChangeDns
            | F::CheckProxyVpn
            | F::CachedCopy
            | F::ContactSite
            | F::ContactIsp
            | F::CheckAddress
            | F::UseHttps
            | F::SmallerUpload
            | F::ComeBack => {}

            F::BackendStatus => self.backend_status(),
            F::StartBackend => self.start_backend(),
            F::MatchPort | F::SocketPath => self.match_address(),
            F::CheckDns => self.check_dns(cause),
            F::CheckConnectivity | F::AddRoute => self.way(),
            F::CheckFirewall => self.check_firewall(),
            F::RaiseHeaderLimit => self.header_limit(cause),
            F::RestartProxy => self.restart_proxy(),
            F::FpmCapacity => self.fpm_capacity(),
            F::FpmTimeouts => self.fpm_timeouts(),
            F::CheckMemory => self.check_memory(),
            F::FreeDisk => self.free_disk(cause),
            F::CheckLogs => self.check_logs(),
            F::WpDebug => self.wp_debug(),
            F::PluginsOff => self.plugins_off(),
            F::UpdateSoftware => self.update_software(),
            F::HelperServices => self.helper_services(),
            F::BypassCdn => self.curl(Kind::Look, "-v -o /dev/null"),
            F::MoreResources => self.more_resources(),
            F::LimitTraffic => self.here(Kind::Look, CLIENTS),
            F::RollBack => self.roll_back(),
            F::SlowQueries => self.slow_queries(),
            F::ProtocolAgree => self.protocol_agree(),
            // Done with people, in a browser, or on another system.
            F::DebugCode | F::ContactHost | F::AskExpert | F::Seo | F::Monitor | F::FixRequest => {}

            F::RenewCertificate => self.renew_certificate(),
            F::MatchCertificateName => self.certificate_name(),
            F::TrustCertificate => self.trust_certificate(),
            F::CheckClock => self.check_clock(),
            F::TlsVersions => self.openssl(Kind::Check, "</dev/null"),
            F::WaiveClientCertificate | F::DropProxyProtocol => self.servers(),
            F::SocketPermissions => self.socket_permissions(),
            F::AllowConnect => self.allow_connect(),
            F::KeepaliveTimeouts => self.keepalive(cause),
            F::RaiseTimeouts => self.raise_timeouts(cause),
            F::RaiseConnectionLimit => self.connection_limit(cause),
            F::RaiseFdLimit => self.fd_limit(),
            F::AddHost => self.configure("upstream.NAME", "hosts"),
            F::AddUpstream => self.configure("upstream.NAME", "servers"),
            F::BreakLoop => self.break_loop(),
            F::FixFraming => self.curl(Kind::Check, "-si --raw"),
            F::FixUpgrade => self.fix_upgrade(),
            F::CheckTruncation => self.curl(Kind::Check, "-so /dev/null -w '%{size_download}\\n'"),
            F::ReportBug => self.report_bug(),
            F::ScriptPath => self.script_path(),
            F::FilePermissions => self.file_permissions(),
            F::RunnableExtensions => self.pool("security.limit_extensions"),
            F::AllowedClients => self.allowed_clients(),
            F::HeadersFirst => self.headers_first(),
            F::FindCrash => self.find_crash(),
            F::MemoryLimit => self.php(|fpm| &fpm.ini, "memory_limit"),
            F::FilePath => self.file_path(),
            F::DenyRules => self.block("", "deny"),
            F::SiteLinks => self.site_links(),
            F::RaiseBodyLimit => self.body_limit(),
            F::EndMaintenance => self.end_maintenance(cause),
            F::ForwardedProto => self.forwarded_proto(),
            F::ShrinkCookies => self.shrink_cookies(cause),

            F::WaitForStart => self.wait_for_start(),
            F::ClearStartLimit => self.clear_start_limit(),
            F::UnmaskService => self.unmask_service(),
            F::EnableService => self.enable_service(),
            F::InstallService => self.install_service(),
            F::MendConfiguration => self.mend_configuration(),
            F::FreeAddress => self.free_address(),
            F::RaiseUnitLimits => self.raise_unit_limits(),
            F::DirectoryAccess => self.directory_access(),
            F::ResumeWorkers => self.resume_workers(),
            F::FreeSessionLock => self.free_session_lock(),
            F::StartHelper => self.start_helper(),
            F::HelperCapacity => self.helper_capacity(),
            F::BlockClient => self.block_client(),
            F::CheckStorage => self.check_storage(),
            F::StartHost => self.start_host(),
            F::RestoreLink => self.restore_link(),
            F::FreePorts => self.free_ports(),
        }
    }

    fn backend_status(&mut self) {
        if let Some(service) = self.service() {
            self.there(Kind::Look, service.status);
        } else {
            self.there(Kind::Look, "systemctl list-units --type=service --state=failed --no-pager");
        }
        self.listener(Kind::Check);
        self.curl(Kind::Check, "-I");
    }

    fn start_backend(&mut self) {
        self.log(None);
        if let Some(service) = self.service() {
            self.there(Kind::Run, format!("{} && {}", service.test, service.restart));
            self.there(Kind::Check, service.status);
        } else {
            self.journal(30);
            let unit = self.unit();
            self.there(Kind::Run, format!("systemctl restart {unit}"));
        }
        self.listener(Kind::Check);
    }

    fn match_address(&mut self) {
        let unix = self.site.server.is_some_and(|server| match server.address {
            ServerAddress::Unix(_) => true,
            ServerAddress::Ip(_) | ServerAddress::Name { .. } => false,
        });
        self.there(Kind::Look, if unix { "ss -lxp" } else { "ss -ltnp" });
        self.servers();
        if let Some(found) = self.found() {
            // The page loads when what is found is what was meant.
            let site = Site { server: Some(&found), ..self.site };
            let mut meant = List::new(&site);
            meant.listener(Kind::Check);
            meant.curl(Kind::Check, "-I");
            self.commands.extend(meant.commands);
        } else {
            self.listener(Kind::Check);
        }
    }

    fn check_dns(&mut self, cause: &Cause) {
        let Some(ServerAddress::Name { host, .. }) = self.site.server.map(|server| &server.address)
        else {
            return;
        };
        self.here(Kind::Look, look::name_look(dns::lookup(cause), host));
        self.here(Kind::Look, format!("dig +trace {} A | tail -n 15", quote(host)));
        self.block("", "servers");
        self.here(Kind::Check, format!("getent ahosts {}", quote(host)));
    }

    fn way(&mut self) {
        let Some((host, port)) = self.target() else { return };
        if let Some(ServerAddress::Ip(address)) = self.site.server.map(|server| &server.address) {
            let ip = address.ip();
            self.here(Kind::Look, format!("ip route get {ip}; ip neigh show {ip}; ip -br address"));
        }
        self.here(Kind::Look, format!("mtr -n -r -c 10 {host}"));
        self.here(Kind::Check, format!("nc -vz -w 5 {host} {port}"));
    }

    fn check_firewall(&mut self) {
        self.here(Kind::Look, self.site.layout.firewall());
        self.there(Kind::Look, self.layout.firewall());
        self.there(Kind::Look, "fail2ban-client banned");
        if let Some((host, port)) = self.target() {
            self.here(Kind::Check, format!("nc -vz -w 5 {host} {port}"));
        }
    }

    fn header_limit(&mut self, cause: &Cause) {
        if cause.code() == Code::RequestHeaderTooLarge {
            return self.configure("client", "header_section");
        }
        self.curl(Kind::Look, "-s -o /dev/null -D -");
        let key = match cause.code() == Code::TooManyHeaders {
            true => "header_count",
            false => "header_section",
        };
        self.block(".limits", key);
    }

    fn restart_proxy(&mut self) {
        self.reload();
        if !self.site.layout.container {
            self.here(Kind::Check, "systemctl status --no-pager causeway");
        }
    }

    fn fpm_capacity(&mut self) {
        self.log(Some("max_children"));
        self.there(Kind::Look, LARGEST);
        self.there(Kind::Look, "free -m");
        self.pool("pm.max_children");
        self.listener(Kind::Check);
    }

    fn fpm_timeouts(&mut self) {
        self.log(Some("timed out|terminating"));
        self.pool("request_terminate_timeout, request_slowlog_timeout, slowlog");
        self.php(|fpm| &fpm.ini, "max_execution_time, max_input_time");
        self.block(".timeouts", "first_byte");
        self.log(Some("timed out|terminating"));
    }

    fn check_memory(&mut self) {
        self.there(Kind::Look, "free -m");
        self.there(Kind::Look, LARGEST);
        self.there(Kind::Look, OUT_OF_MEMORY);
        self.there(Kind::Check, "vmstat 1 5");
    }

    fn free_disk(&mut self, cause: &Cause) {
        let ours = cause.code() == Code::LocalStorageFailed;
        let elsewhere = !ours && self.site.is_elsewhere();
        self.add(Kind::Look, "df -h; df -i", elsewhere);
        self.add(
            Kind::Look,
            "du -xh / --max-depth=3 2>/dev/null | sort -rh | head -n 20",
            elsewhere,
        );
        self.add(Kind::Check, "df -h; df -i | tail -n +2", elsewhere);
    }

    fn check_logs(&mut self) {
        self.log(None);
        self.there(Kind::Look, "journalctl -p warning --since '-15 min' --no-pager");
    }

    fn wp_debug(&mut self) {
        let (Some(config), Some(log)) =
            (self.below_root("wp-config.php"), self.below_root("wp-content/debug.log"))
        else {
            return;
        };
        let keys = "WP_DEBUG = true, WP_DEBUG_LOG = true, WP_DEBUG_DISPLAY = false";
        self.there(Kind::Edit, format!("{config} {keys}"));
        self.there(Kind::Check, format!("tail -n 50 {log}"));
    }

    fn plugins_off(&mut self) {
        let (Some(folder), Some(away)) =
            (self.below_root("wp-content/plugins"), self.below_root("wp-content/plugins.off"))
        else {
            return;
        };
        self.there(Kind::Look, format!("ls -lt {folder}"));
        self.there(Kind::Run, format!("mv -nT {folder} {away}"));
    }

    fn update_software(&mut self) {
        if let Some(updates) = self.layout.updates() {
            self.there(Kind::Look, updates);
        }
        if let Some(fpm) = self.fpm()
            && let Some(update) = self.layout.update(&fpm.package)
        {
            self.there(Kind::Run, update);
        }
    }

    fn helper_services(&mut self) {
        self.there(Kind::Look, look::HELPERS);
        self.there(Kind::Look, "df -h");
        self.there(Kind::Check, HELPERS_CHECK);
    }

    fn more_resources(&mut self) {
        self.there(Kind::Look, "top -b -n 1 | head -n 20");
        self.there(Kind::Look, "vmstat 1 5");
        self.block("", "servers");
    }

    fn roll_back(&mut self) {
        self.there(Kind::Look, self.layout.package_history());
        if let Some(root) = self.below_root("") {
            let root = root.trim_end_matches('/');
            self.there(Kind::Look, format!("find {root} -type f -newermt '-1 day' | head -n 30"));
        }
    }

    fn slow_queries(&mut self) {
        self.curl(Kind::Look, "-so /dev/null -w '%{time_starttransfer}\\n'");
        self.pool("request_slowlog_timeout = 5s, slowlog");
        self.there(Kind::Check, "mysqladmin processlist");
    }

    fn protocol_agree(&mut self) {
        self.listener(Kind::Look);
        if let Some((host, port)) = self.target() {
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let url = |scheme| quote(&format!("{scheme}://{host}:{port}/"));
            self.here(Kind::Look, format!("curl -kvI {}", url("http")));
            self.here(Kind::Look, format!("curl -kvI {}", url("https")));
        }
        self.block("", "servers");
    }

    fn renew_certificate(&mut self) {
        let dates = "</dev/null | openssl x509 -noout -dates -issuer";
        self.openssl(Kind::Look, dates);
        self.there(Kind::Run, "certbot renew");
        if let Some(service) = self.service() {
            self.there(Kind::Run, service.restart);
        }
        self.openssl(Kind::Check, &format!("{dates} -subject"));
    }

    fn certificate_name(&mut self) {
        self.openssl(Kind::Look, "</dev/null | openssl x509 -noout -ext subjectAltName");
        self.block(".tls", "server_name");
    }

    fn trust_certificate(&mut self) {
        self.openssl(Kind::Look, "-showcerts </dev/null");
        self.block(".tls", "ca");
        self.openssl(Kind::Check, "-CAfile CA_FILE </dev/null");
    }

    fn check_clock(&mut self) {
        self.here(Kind::Look, "timedatectl");
        self.there(Kind::Look, "timedatectl; date -u");
        self.here(Kind::Run, "timedatectl set-ntp true");
        self.here(Kind::Check, "timedatectl show -p NTPSynchronized");
    }

    fn socket_permissions(&mut self) {
        let Some(ServerAddress::Unix(path)) = self.site.server.map(|server| &server.address) else {
            return;
        };
        let path = quote(&path.to_string_lossy());
        self.here(Kind::Look, format!("namei -l {path}; systemctl show causeway -p User -p Group"));
        self.pool("listen.owner, listen.group, listen.mode");
        let user = "\"$(systemctl show --value -p User causeway)\"";
        if let Some(group) = self.group_that_may() {
            let restart = "systemctl restart causeway";
            self.here(Kind::Run, format!("usermod -aG {group} {user} && {restart}"));
        }
        self.here(Kind::Check, format!("sudo -u {user} test -w {path} && echo writable"));
    }

    /// The group that the way to the socket is open to, where its name is one for a shell.
    fn group_that_may(&self) -> Option<&str> {
        let way = self.site.around?.sockets.path.found()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_name = |group: &&str| !group.starts_with('-') && group.bytes().all(plain);
        way.group_that_may.as_deref().filter(is_name)
    }

    fn allow_connect(&mut self) {
        self.here(Kind::Look, "ausearch -m avc -ts recent; journalctl -k -g apparmor -n 20");
        self.here(Kind::Look, "systemctl cat causeway");
        if self.site.layout.family == Family::Rhel {
            self.here(Kind::Run, "setsebool -P httpd_can_network_connect on");
        }
        self.here(Kind::Run, "systemctl edit causeway && systemctl restart causeway");
    }

    fn keepalive(&mut self, cause: &Cause) {
        if cause.code() == Code::LocalPortsExhausted {
            self.here(Kind::Look, "ss -s; sysctl net.ipv4.ip_local_port_range");
            return self.block(".limits", "idle_connections");
        }
        if self.service().is_some() && self.fpm().is_none() {
            self.there(Kind::Edit, "apache2.conf, httpd.conf KeepAliveTimeout");
        }
        self.block(".limits", "idle_connections");
    }

    fn raise_timeouts(&mut self, cause: &Cause) {
        /// The limits that are not about the first byte.
        const KEYS: [(Code, &str); 6] = [
            (Code::ConnectTimeout, "connect"),
            (Code::TlsHandshakeTimeout, "tls"),
            (Code::RequestWriteTimeout, "send"),
            (Code::RequestWriteFailed, "send"),
            (Code::HeaderStallTimeout, "idle"),
            (Code::BodyStallTimeout, "idle"),
        ];
        let code = cause.code();
        if code == Code::RequestHeaderTimeout {
            return self.configure("client", "header_timeout");
        } else if code == Code::RequestBodyTimeout {
            return self.configure("client", "body_timeout");
        }
        let key =
            KEYS.iter().find(|(known, _)| *known == code).map_or("first_byte", |(_, key)| key);
        self.curl(Kind::Look, "-so /dev/null -w '%{time_total}\\n'");
        self.block(".timeouts", key);
    }

    fn connection_limit(&mut self, cause: &Cause) {
        match cause.code() == Code::TooManyClientConnections {
            true => self.configure("client", "connections"),
            false => self.block(".limits", "connections, queue, queue_timeout"),
        }
    }

    fn fd_limit(&mut self) {
        let pid = "\"$(systemctl show --value -p MainPID causeway)\"";
        self.here(Kind::Look, format!("prlimit --nofile --pid {pid}; ls /proc/{pid}/fd | wc -l"));
        self.here(Kind::Edit, "systemctl edit causeway: [Service] LimitNOFILE=");
        self.here(Kind::Run, "systemctl restart causeway");
        self.here(Kind::Check, format!("prlimit --nofile --pid {pid}"));
    }

    fn break_loop(&mut self) {
        if let Some(ServerAddress::Name { host, .. }) =
            self.site.server.map(|server| &server.address)
        {
            self.here(Kind::Look, format!("getent ahosts {}; ip -br address", quote(host)));
        }
        self.block("", "servers");
    }

    fn fix_upgrade(&mut self) {
        self.curl(Kind::Look, "-v -H 'Connection: Upgrade' -H 'Upgrade: websocket'");
        self.block("", "paths");
    }

    fn report_bug(&mut self) {
        self.here(Kind::Look, "journalctl -u causeway -n 50 --no-pager");
        self.here(Kind::Look, "causeway --version");
    }

    fn script_path(&mut self) {
        if let Some(root) = self.below_root("index.php") {
            self.there(Kind::Look, format!("namei -l {root}"));
        }
        self.block("", "root");
        self.pool("chroot");
    }

    fn file_permissions(&mut self) {
        if let Some(root) = self.below_root("") {
            let root = root.trim_end_matches('/').to_owned();
            self.there(Kind::Look, format!("namei -l {root}; ls -lZ {root}"));
        }
        self.pool("user, group");
    }

    fn allowed_clients(&mut self) {
        self.log(Some("Connection disallowed"));
        self.pool("listen.allowed_clients");
    }

    fn headers_first(&mut self) {
        let keys = "display_errors = Off, display_startup_errors = Off, log_errors = On";
        self.php(|fpm| &fpm.ini, keys);
    }

    fn find_crash(&mut self) {
        self.log(Some("exited on signal|timed out|Terminating"));
        self.there(Kind::Look, "journalctl -k -g 'segfault|oom' -n 20 --no-pager");
        self.pool("catch_workers_output = yes");
    }

    fn file_path(&mut self) {
        if let Some(root) = self.below_root("") {
            self.here(Kind::Look, format!("ls -l {root}"));
        }
        self.block("", "root, try, index");
    }

    fn site_links(&mut self) {
        if let Some(root) = self.below_root("") {
            let root = root.trim_end_matches('/').to_owned();
            self.here(Kind::Look, format!("find {root} -type l -ls | head -n 30"));
        }
        self.block("", "symlinks");
    }

    fn body_limit(&mut self) {
        self.block(".limits", "spool");
        self.php(|fpm| &fpm.ini, "post_max_size, upload_max_filesize");
        self.here(Kind::Check, "df -h");
    }

    fn end_maintenance(&mut self, cause: &Cause) {
        if let Cause::Maintenance { file, .. } = cause {
            match file.as_ref().map(|file| quote(&file.to_string_lossy())) {
                Some(file) => {
                    self.here(Kind::Look, format!("ls -l {file}; cat {file}"));
                    self.here(Kind::Run, format!("rm {file}"));
                }
                None => self.block("", "maintenance"),
            }
            return;
        }
        if let Some(file) = self.below_root(".maintenance") {
            self.there(Kind::Look, format!("ls -l {file}"));
        }
        self.log(Some("MaxRequestWorkers|max_children|limit"));
    }

    fn forwarded_proto(&mut self) {
        self.curl(Kind::Look, "-sI");
        self.curl(Kind::Look, "-sI -H 'X-Forwarded-Proto: https'");
        self.configure("page", "trusted_proxies");
    }

    fn shrink_cookies(&mut self, cause: &Cause) {
        if cause.code() != Code::RequestHeaderRefused || self.fpm().is_some() {
            return self.curl(Kind::Look, "-s -o /dev/null -D -");
        }
        if self.service().is_some() {
            self.there(Kind::Edit, "apache2.conf, httpd.conf LimitRequestFieldSize 32768");
        }
    }
}
