//! What the rows of the table go by: the cause, the site, and what was found around. Pure.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::ServerAddress;
use crate::diagnose::around::{
    Around, Helper, HelperKind, HelperState, KnownBy, Line, LogSource, PoolStatus, Sign, State,
    Unit, UnitResult, Workers,
};
use crate::diagnose::cause::{Cause, Code};
use crate::diagnose::log::{self, Program, Says};
use crate::diagnose::matching::Site;
use crate::diagnose::report::Certainty;
use crate::diagnose::said::is_wordless;
use crate::diagnose::unreached::IcmpSender;

/// Nobody takes the connection.
pub const DOWN: &[Code] =
    &[Code::ConnectionRefused, Code::UnixSocketMissing, Code::UnixSocketRefused];
/// The server ended the exchange, or itself.
pub const ENDED: &[Code] = &[
    Code::RequestWriteFailed,
    Code::StaleKeepalive,
    Code::ClosedBeforeResponse,
    Code::ResetBeforeResponse,
    Code::ClosedMidHeaders,
    Code::BodyClosedShort,
    Code::ChunkedTruncated,
    Code::BodyReset,
    Code::H2Goaway,
    Code::FcgiConnectionDropped,
    Code::FcgiWorkerDied,
    Code::FcgiWorkerDiedMidResponse,
];
/// The server does not come to the request, or not to its end.
pub const SLOW: &[Code] = &[
    Code::ConnectTimeout,
    Code::UnixSocketBacklogFull,
    Code::TlsHandshakeTimeout,
    Code::RequestWriteTimeout,
    Code::FirstByteTimeout,
    Code::HeaderStallTimeout,
    Code::BodyStallTimeout,
    Code::FcgiPoolSaturated,
    Code::FcgiRejected,
    Code::QueueFull,
];
/// The application answers that it failed, or what it answers is none.
pub const FAULTY: &[Code] = &[
    Code::UpstreamErrorStatus,
    Code::UpstreamUnavailable,
    Code::UpstreamGatewayError,
    Code::FcgiNoOutput,
    Code::FcgiBadCgiHeaders,
    Code::PhpFatalError,
    Code::HelperServicesDown,
];
/// The packets come to nothing.
pub const AWAY: &[Code] = &[Code::ConnectTimeout, Code::HostUnreachable, Code::NetworkUnreachable];

/// What looks of our own may have left at a listener whose program does not accept.
const OWN_LOOKS: u32 = 4;
/// Percent of the last seconds in which somebody waited for memory.
const WAITING_MEMORY: f64 = 10.0;

/// One failure.
pub struct Scene<'a> {
    pub cause: &'a Cause,
    /// The cause's; that which every server of the block has in common, where each failed before.
    pub code: Code,
    pub site: &'a Site<'a>,
    pub around: &'a Around,
}

impl<'a> Scene<'a> {
    /// None where nobody has looked around.
    pub fn of(cause: &'a Cause, site: &'a Site<'a>) -> Option<Scene<'a>> {
        let shared = match cause {
            Cause::NoHealthyUpstream { servers } => shared(servers),
            other => Some(other.code()),
        };
        let code = shared.unwrap_or(cause.code());
        Some(Scene { cause, code, site, around: site.around? })
    }

    /// A certainty that rests on a unit is no better than what says that it is the server's.
    pub fn of_unit(&self, certainty: Certainty) -> Certainty {
        match self.around.units.server.found().map(|unit| unit.known_by) {
            Some(KnownBy::Guess) => Certainty::Possible,
            Some(KnownBy::Version) if certainty == Certainty::Certain => Certainty::Likely,
            Some(KnownBy::Listens | KnownBy::Configured | KnownBy::Version) | None => certainty,
        }
    }

    /// The rows of the page's evidence.
    pub fn evidence(&self) -> Vec<(&'static str, String)> {
        let mut rows = self.cause.evidence();
        rows.extend(self.site.rows());
        rows
    }

    /// What is scarce on this host is scarce for the server.
    pub fn is_here(&self) -> bool {
        !self.site.is_elsewhere()
    }

    /// Hardly any memory is left on this host, and that is felt.
    pub fn waits_for_memory(&self) -> bool {
        let host = &self.around.host;
        let Some(memory) = host.memory else { return false };
        let felt = host.pressure.is_some_and(|pressure| pressure.memory >= WAITING_MEMORY);
        memory.available_bytes < memory.total_bytes / 10 && (felt || memory.swap_is_full())
    }

    pub fn unit(&self) -> Option<&'a Unit> {
        self.around.units.server.found()
    }

    pub fn unit_is(&self, states: &[State]) -> bool {
        self.unit().is_some_and(|unit| states.contains(&unit.state))
    }

    /// The unit is down, or between two starts of systemd's, and this is how it came to be.
    pub fn ended_by(&self, results: &[UnitResult]) -> bool {
        self.has_failed() && self.unit().is_some_and(|unit| results.contains(&unit.result))
    }

    /// The unit does not run, and not by anybody's wish.
    pub fn has_failed(&self) -> bool {
        self.unit().is_some_and(|unit| match unit.state {
            State::Failed => true,
            State::Activating => unit.sub_state.starts_with("auto-restart"),
            State::Inactive => !matches!(unit.result, UnitResult::Success | UnitResult::Unknown),
            State::Active
            | State::Reloading
            | State::Deactivating
            | State::Maintenance
            | State::NotFound
            | State::Masked
            | State::Frozen => false,
        })
    }

    /// The unit's processes, or the pool's.
    pub fn workers(&self) -> Option<Workers> {
        // The unit's are those of other pools too.
        let of_pool = self.around.php.workers.found();
        of_pool.or_else(|| self.unit()?.workers.found()).copied()
    }

    /// A log has a line of this kind in the failure's seconds.
    pub fn says(&self, sign: Sign) -> bool {
        self.around.lines.lines.iter().any(|line| self.is_ours(line, sign))
    }

    /// The same, where the answer itself does not say how the script ended.
    pub fn says_instead(&self, sign: Sign) -> bool {
        if let Cause::PhpFatalError { message } = self.cause
            && !is_wordless(message)
        {
            return false;
        }
        self.says(sign)
    }

    /// A log says so, or PHP itself in the error that ended this request.
    pub fn tells(&self, sign: Sign) -> bool {
        self.says_instead(sign) || self.own_words() == Some(sign)
    }

    fn own_words(&self) -> Option<Sign> {
        let (Cause::PhpFatalError { message } | Cause::HelperServicesDown { message }) = self.cause
        else {
            return None;
        };
        // As it would stand in PHP's log.
        match log::says(Program::Php, &format!("PHP Fatal error:  {message}"))? {
            Says::Of(sign) => Some(sign),
            Says::Cause(_) => None,
        }
    }

    /// A line of this kind; of pools without a free worker none that names another pool than the
    /// server's, where its name is known.
    fn is_ours(&self, line: &Line, sign: Sign) -> bool {
        let names_ours = || {
            let pool = self.around.php.settings.found().filter(|pool| !pool.name.is_empty());
            pool.is_none_or(|pool| line.text.contains(&format!("[pool {}]", pool.name)))
        };
        line.sign == Some(sign) && (sign != Sign::PoolExhausted || names_ours())
    }

    /// The same in a log of the server's own, not in the kernel's, which speaks of all processes.
    pub fn says_itself(&self, sign: Sign) -> bool {
        let own = |line: &Line| line.sign == Some(sign) && line.source != LogSource::Kernel;
        self.around.lines.lines.iter().any(own)
    }

    /// The last line of this kind, as evidence.
    pub fn line(&self, sign: Sign) -> Option<(&'static str, String)> {
        let last = self.around.lines.lines.iter().rev().find(|line| self.is_ours(line, sign))?;
        Some(("log", last.text.clone()))
    }

    /// The address that was to be connected to.
    pub fn ip(&self) -> Option<IpAddr> {
        if let Cause::ConnectionRefused { address, .. }
        | Cause::TcpRejectedByFirewall { address, .. }
        | Cause::ConnectTimeout { address, .. }
        | Cause::HostUnreachable { address, .. }
        | Cause::NetworkUnreachable { address, .. } = self.cause
        {
            return Some(address.ip().to_canonical());
        }
        match &self.site.server?.address {
            ServerAddress::Ip(address) => Some(address.ip().to_canonical()),
            ServerAddress::Name { .. } | ServerAddress::Unix(_) => None,
        }
    }

    /// Who sent the ICMP error behind the cause.
    pub fn icmp_sender(&self) -> Option<IcmpSender> {
        if let Cause::TcpRejectedByFirewall { icmp, .. }
        | Cause::HostUnreachable { icmp: Some(icmp), .. }
        | Cause::NetworkUnreachable { icmp: Some(icmp), .. } = self.cause
        {
            return Some(icmp.sender);
        }
        None
    }

    /// How long was waited for the first byte, or for the next.
    pub fn waited(&self) -> Option<Duration> {
        if let Cause::FirstByteTimeout { waited, .. }
        | Cause::HeaderStallTimeout { waited, .. }
        | Cause::BodyStallTimeout { waited, .. } = self.cause
        {
            return Some(*waited);
        }
        None
    }

    /// Connections wait at the server's listener, other than our own.
    pub fn has_waiting(&self) -> bool {
        let full = matches!(self.cause, Cause::ConnectTimeout { queue: Some(_), .. });
        let queue = self.around.sockets.queue;
        full || queue.is_some_and(|queue| queue.pending > OWN_LOOKS)
    }

    pub fn pool(&self) -> Option<&'a PoolStatus> {
        self.around.php.status.found()
    }

    /// No worker of the pool is free, by its own count.
    pub fn pool_is_full(&self) -> bool {
        let busy = |pool: &PoolStatus| {
            // One of them answers the question for the status.
            pool.idle == 0 && pool.active > 0 && pool.active >= pool.total
        };
        self.pool().is_some_and(busy)
    }

    /// Those in this state, where the server is on the same host.
    pub fn helpers(&self, is: fn(&HelperState) -> bool) -> Vec<&'a Helper> {
        let all = self.around.helpers.list.iter().filter(|_| self.is_here());
        all.filter(|helper| is(&helper.state)).collect()
    }

    pub fn has_helper(&self, is: fn(&HelperState) -> bool) -> bool {
        !self.helpers(is).is_empty()
    }

    /// One of these helpers is what the failure speaks of: the site's settings name it, or what is
    /// said is of its kind. `surely`: not merely of no kind.
    pub fn blames(&self, helpers: &[&Helper], surely: bool) -> bool {
        let said = self.kinds_said();
        // An error that has words of its own, and none of a helper.
        if let Cause::PhpFatalError { message } = self.cause
            && said.is_empty()
            && !is_wordless(message)
        {
            return false;
        }
        helpers.iter().any(|helper| match said.is_empty() {
            true => helper.named || !surely,
            false => said.contains(&helper.kind),
        })
    }

    /// The kinds of helpers that the failure's message, and what logs say of helpers, speak of.
    fn kinds_said(&self) -> Vec<HelperKind> {
        let said = match self.cause {
            Cause::HelperServicesDown { message } | Cause::PhpFatalError { message } => {
                Some(message)
            }
            _ => None,
        };
        let message = said.map(String::as_str);
        let of_helpers = [Sign::HelperUnreachable, Sign::HelperFull];
        let lines = self.around.lines.lines.iter();
        let lines = lines.filter(|line| line.sign.is_some_and(|sign| of_helpers.contains(&sign)));
        let texts = message.into_iter().chain(lines.map(|line| line.text.as_str()));
        texts.filter_map(HelperKind::said).collect()
    }
}

/// The code that all have, where it is one.
fn shared(servers: &[(String, Code, Duration)]) -> Option<Code> {
    let (_, first, _) = servers.first()?;
    servers.iter().all(|(_, code, _)| code == first).then_some(*first)
}
