//! MATCHING: the fixes of a cause, ranked by what the evidence and this host show.
//!
//! `fixes` has the order where nothing but the cause is known, `rules` what puts another fix in
//! front or leaves one out, `root` the operator's first, `commands` what to type. Pure.

use std::net::IpAddr;
use std::path::Path;

use crate::config::{Server, ServerAddress};

use super::around::Around;
use super::cause::Cause;
use super::commands::{Command, Kind, commands};
use super::dns::{Named, named_rows};
use super::fixes::{self, Audience, FixId};
use super::layout::Layout;
use super::look::look;
use super::root::Rooted;
use super::rules::{Rule, Rules};

/// What the fixes of one failure depend on beside its cause.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The server that failed; `None` when none was chosen.
    pub server: Option<&'a Server>,
    /// Those of its block.
    pub servers: &'a [Server],
    /// The name that its certificate has to carry.
    pub server_name: &'a str,
    /// The server's name leads elsewhere than when it was last reached.
    pub moved: bool,
    /// What its name led to.
    pub named: Option<&'a Named>,
    /// The server's address is one of this host's; without meaning for Unix sockets.
    pub is_here: bool,
    /// The upstream block; empty when none was chosen.
    pub upstream: &'a str,
    /// The folder of its files, as the backend sees it.
    pub root: Option<&'a Path>,
    /// The configuration's file, from the root of the file system.
    pub config: Option<&'a Path>,
    /// Our own process; of no process where there is none.
    pub process: Option<u32>,
    pub layout: &'a Layout,
    pub around: Option<&'a Around>,
}

/// One fix as it applies to one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    pub id: FixId,
    pub audience: Audience,
    /// For operators.
    pub commands: Vec<Command>,
    /// The evidence that ranked it, by key and printable value; for operators.
    pub because: Vec<(&'static str, String)>,
    /// The backend's host, where commands are for that one and not for this.
    pub other_host: Option<String>,
    /// How many more of its workers the memory bears.
    pub workers_fit: Option<u64>,
}

impl<'a> Site<'a> {
    /// A site of which nothing is known but the server.
    pub fn of(server: Option<&'a Server>) -> Site<'a> {
        static UNKNOWN: Layout = Layout::UNKNOWN;
        Site {
            server,
            servers: &[],
            server_name: "",
            moved: false,
            named: None,
            is_here: false,
            upstream: "",
            root: None,
            config: None,
            process: None,
            layout: &UNKNOWN,
            around: None,
        }
    }

    /// Whether the backend runs on another host than this.
    pub fn is_elsewhere(&self) -> bool {
        match self.server.map(|server| &server.address) {
            None | Some(ServerAddress::Unix(_)) => false,
            Some(ServerAddress::Ip(address)) => {
                !self.is_here && !is_own(address.ip().to_canonical())
            }
            // A container is reached by its name, and handled from the host that runs it.
            Some(ServerAddress::Name { host, .. }) => {
                !self.is_here && !self.layout.container && !host.eq_ignore_ascii_case("localhost")
            }
        }
    }

    /// What ranks fixes, beside the cause's own evidence.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = self.named.map(named_rows).unwrap_or_default();
        rows.extend(self.around.map(Around::rows).unwrap_or_default());
        rows
    }
}

/// This host by whatever name: loopback, or no address in particular.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// The fixes for a cause, visitors' first, each group with the likeliest help in front: for the
/// operator what follows from the root, where that is known and he may see it.
pub fn fixes(cause: &Cause, site: &Site<'_>, rooted: Option<&Rooted>) -> Vec<Fix> {
    // Where nobody was asked, the first of the block stands for all.
    let stand_in = Site { server: site.server.or(site.servers.first()), ..*site };
    let rules = Rules::of(cause, site);
    let (visitor, operator) = fixes::table(cause.code());
    let evidence = match rules.is_empty() {
        true => Vec::new(),
        false => [cause.evidence(), site.rows()].concat(),
    };
    let (visitor, mut operator) = (rank(visitor, rules), rank(operator, rules));
    let led = rooted.map(|rooted| (rooted.fix(cause, site), &rooted.because));
    if let Some((id, _)) = led {
        operator.retain(|(listed, _)| *listed != id);
        operator.insert(0, (id, None));
    }
    let first = operator.first().map(|(id, _)| *id);
    let of = |(id, rule): (FixId, Option<&'static Rule>)| Fix {
        commands: with_look(id, cause, site, first == Some(id)),
        because: match led {
            Some((led, because)) if led == id => because.clone(),
            Some(_) | None => because(rule, &evidence),
        },
        ..Fix::new(id)
    };
    let mut list: Vec<Fix> = visitor.into_iter().chain(operator).map(of).collect();
    for fix in &mut list {
        if fix.commands.iter().any(|command| command.elsewhere) {
            fix.other_host = host(&stand_in);
        }
        if matches!(fix.id, FixId::FpmCapacity | FixId::CheckMemory) {
            let memory = site.around.and_then(|around| around.host.memory);
            fix.workers_fit = memory.and_then(|memory| memory.workers_fit());
        }
    }
    list
}

/// A fix's commands; the operator's first opens with the look that confirms the diagnosis. One that
/// follows from a root alone has a look of its own.
fn with_look(id: FixId, cause: &Cause, site: &Site<'_>, is_first: bool) -> Vec<Command> {
    let own = commands(id, cause, site);
    if id.is_of_a_root() && own.first().is_some_and(|command| command.kind == Kind::Look) {
        return own;
    }
    let look = if is_first { look(cause, site) } else { None };
    let Some(line) = look else { return own };
    // Logs are read where they are written.
    let elsewhere = site.is_elsewhere() && line.starts_with("tail ");
    let opening = Command { kind: Kind::Look, line, elsewhere };
    let others = own
        .into_iter()
        .filter(|command| command.kind != Kind::Look || command.line != opening.line);
    let others: Vec<_> = others.collect();
    [vec![opening], others].concat()
}

fn host(site: &Site<'_>) -> Option<String> {
    match &site.server?.address {
        ServerAddress::Unix(_) => None,
        ServerAddress::Ip(address) => Some(address.ip().to_string()),
        ServerAddress::Name { host, .. } => Some(host.clone()),
    }
}

/// The fixes of one audience in the order that the rules want, each with the rule that put it in
/// front.
fn rank(listed: &[FixId], rules: Rules) -> Vec<(FixId, Option<&'static Rule>)> {
    let audience = listed.first().map(|id| id.audience());
    let mut ranked: Vec<(FixId, Option<&'static Rule>)> = Vec::with_capacity(listed.len() + 1);
    let add = |ranked: &mut Vec<_>, id: FixId, rule| {
        let known = ranked.iter().any(|(known, _): &(FixId, _)| *known == id);
        if !known && !rules.leaves_out(id) {
            ranked.push((id, rule));
        }
    };
    for rule in rules.iter() {
        let own = rule.first.iter().filter(|id| Some(id.audience()) == audience);
        own.for_each(|id| add(&mut ranked, *id, Some(rule)));
    }
    listed.iter().for_each(|id| add(&mut ranked, *id, None));
    ranked
}

/// The rows that decided, in the order of the evidence.
fn because(
    rule: Option<&Rule>,
    evidence: &[(&'static str, String)],
) -> Vec<(&'static str, String)> {
    let Some(rule) = rule else { return Vec::new() };
    evidence.iter().filter(|(key, _)| rule.because.contains(key)).cloned().collect()
}

impl Fix {
    /// A fix without commands or evidence.
    pub fn new(id: FixId) -> Fix {
        Fix {
            id,
            audience: id.audience(),
            commands: Vec::new(),
            because: Vec::new(),
            other_host: None,
            workers_fit: None,
        }
    }

    /// The commands that show whether it worked.
    pub fn checks(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter().filter(|command| command.kind == Kind::Check)
    }

    /// The first command that changes nothing.
    pub fn look(&self) -> Option<&str> {
        let look = self.commands.iter().find(|command| command.kind == Kind::Look)?;
        Some(&look.line)
    }
}
