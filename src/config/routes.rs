//! Which listener reaches which upstream, and which two upstreams take the same requests.
//!
//! Pure. Two blocks collide only when listener, host and path are all the same; overlapping ones
//! are decided per request by the longest prefix and the most exact host.

use std::collections::HashMap;

use super::error::{Fault, line_of};
use super::reader::Mistakes;
use super::tls::Listen;
use super::upstream::Block;
use super::{HostPattern, ListenAddress, Listener};

/// Gives every listener the blocks that it reaches.
///
/// `global` are the addresses of the top-level `listen`, `None` if the file has none; then
/// `default` takes their place, unless every block has listeners of its own, or there are `secure`
/// ones, those of `[tls]`, which reach what the global ones reach.
pub fn listeners(
    global: Option<Vec<ListenAddress>>,
    secure: &[Listen],
    default: ListenAddress,
    blocks: &[Block],
) -> Vec<Listener> {
    let unreached = blocks.is_empty() || blocks.iter().any(|block| block.listen.is_none());
    let wanted = unreached && secure.is_empty();
    let global = global.unwrap_or_else(|| if wanted { vec![default] } else { Vec::new() });
    let mut listeners: Vec<Listener> = Vec::new();
    for address in &global {
        reach(&mut listeners, address, None);
    }
    for (position, block) in blocks.iter().enumerate() {
        for address in block.listen.as_ref().unwrap_or(&global) {
            reach(&mut listeners, address, Some(position));
        }
    }
    let positions = 0..blocks.len();
    let everywhere: Vec<usize> =
        positions.filter(|position| blocks[*position].listen.is_none()).collect();
    for (address, _) in secure {
        let known = |listener: &Listener| listener.tls && listener.address == *address;
        if !listeners.iter().any(known) {
            let (address, upstreams) = (address.clone(), everywhere.clone());
            listeners.push(Listener { address, tls: true, upstreams });
        }
    }
    listeners
}

/// Notes each address that is to be plain and TLS at once.
pub fn note_both(mistakes: &Mistakes<'_>, listeners: &[Listener], secure: &[Listen]) {
    for (address, span) in secure {
        let is_plain = |listener: &Listener| !listener.tls && listener.address == *address;
        if listeners.iter().any(is_plain) {
            let fault = Fault::new(format!("`{address}` is a listener without TLS too"));
            let expected = "an address that stands in no other `listen`, e.g. \"0.0.0.0:443\"";
            mistakes.note(fault.expected(expected), span.clone());
        }
    }
}

fn reach(listeners: &mut Vec<Listener>, address: &ListenAddress, upstream: Option<usize>) {
    let known = listeners.iter().position(|listener| listener.address == *address);
    let position = known.unwrap_or_else(|| {
        listeners.push(Listener { address: address.clone(), tls: false, upstreams: Vec::new() });
        listeners.len() - 1
    });
    let reached = &mut listeners[position].upstreams;
    reached.extend(upstream.filter(|upstream| !reached.contains(upstream)));
}

/// Notes each pair of blocks that take the same requests, at the second of them.
pub fn note_collisions(mistakes: &Mistakes<'_>, listeners: &[Listener], blocks: &[Block]) {
    let mut told: Vec<(usize, usize)> = Vec::new();
    for listener in listeners {
        let mut taken: HashMap<(Option<&HostPattern>, &str), usize> = HashMap::new();
        for &position in &listener.upstreams {
            let block = &blocks[position];
            if !block.routes_whole {
                continue;
            }
            for route in routes(block) {
                let first = *taken.entry(route).or_insert(position);
                if first != position && !told.contains(&(first, position)) {
                    told.push((first, position));
                    let fault = collision(mistakes, &blocks[first], block, listener, route);
                    mistakes.note(fault, block.name_span.clone());
                }
            }
        }
    }
}

/// Every host and path of a block; no host stands for all.
fn routes(block: &Block) -> impl Iterator<Item = (Option<&HostPattern>, &str)> {
    let upstream = &block.upstream;
    let every = upstream.hosts.is_empty().then_some(None);
    let hosts = upstream.hosts.iter().map(Some).chain(every);
    hosts.flat_map(|host| upstream.paths.iter().map(move |path| (host, path.as_str())))
}

fn collision(
    mistakes: &Mistakes<'_>,
    first: &Block,
    second: &Block,
    listener: &Listener,
    (host, path): (Option<&HostPattern>, &str),
) -> Fault {
    let host = host.map_or("every host".to_owned(), |host| format!("host `{host}`"));
    Fault::new(format!(
        "`{}` takes the same requests as `{}` on line {}: listener `{}`, {host}, path `{path}`",
        second.upstream.name,
        first.upstream.name,
        line_of(mistakes.source, first.name_span.start),
        listener.address,
    ))
    .expected("blocks that differ in listener, host or path")
}
