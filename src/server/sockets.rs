//! Which socket serves which listener: bound here, or handed over by whoever started us.
//!
//! Handed sockets are systemd's own (socket activation), or ours from before a restart, which it
//! stored. Nothing is taken out of force here: a plan is made whole, and then committed.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};

use crate::config::{Config, ListenAddress};

use super::StartError;
use super::listener::{self, Bound};
use super::worker::LAST_CALL;

/// A listener that is not wanted any more has closed after so long.
const CLOSED_AFTER: Duration = LAST_CALL.saturating_mul(3);

/// A listening socket that this process did not open.
#[derive(Debug)]
pub struct Handed {
    /// By the unit that made it; `None`: one of our own, from before a restart.
    pub name: Option<String>,
    pub socket: Socket,
}

impl Handed {
    /// The address of one of our own that a configuration does not listen on any more. It has to be
    /// closed everywhere before anything is bound: `127.0.0.1:80` keeps `0.0.0.0:80` from us.
    pub fn unwanted(&self, config: &Config) -> Option<ListenAddress> {
        let address = self.socket.local_addr().ok().and_then(|address| address_of(&address))?;
        let is_wanted = config.listeners.iter().any(|listener| listener.address == address);
        (self.name.is_none() && !is_wanted).then_some(address)
    }
}

/// One address as a worker is to listen on it.
#[derive(Debug)]
pub struct Wanted {
    /// The listener's position in the configuration.
    pub number: usize,
    /// As bound.
    pub address: ListenAddress,
    /// None where the worker listens already.
    pub sockets: Vec<Bound>,
    /// Another process has the socket too, and whatever waits at it.
    pub elsewhere: bool,
}

/// What a store of sockets outside of this process is to be told, once.
#[derive(Debug, Default)]
pub struct Changes {
    /// New sockets of our own, with their address.
    pub bound: Vec<(ListenAddress, OwnedFd)>,
    /// Addresses that are not listened on any more.
    pub gone: Vec<ListenAddress>,
}

impl Changes {
    /// Adds what came later.
    pub fn add(&mut self, later: Changes) {
        self.bound.extend(later.bound);
        self.gone.extend(later.gone);
    }
}

/// Every socket that is listened on, and those of systemd that a later reload may ask for.
#[derive(Debug, Default)]
pub struct Sockets {
    held: Vec<Held>,
    handed: Vec<Passed>,
    /// Of our own, and out of everybody's reach: their file is gone.
    lost: Vec<ListenAddress>,
    /// Not listened on since then; whoever waits there is still served.
    closing: Vec<(ListenAddress, Instant)>,
}

/// One listener of the configuration with what it stands for.
#[derive(Debug, Clone)]
struct Held {
    configured: ListenAddress,
    bound: Vec<Place>,
}

/// One address, as bound.
#[derive(Debug, Clone)]
struct Place {
    address: ListenAddress,
    elsewhere: bool,
}

/// A handed socket that was looked at.
#[derive(Debug)]
struct Passed {
    name: Option<String>,
    address: ListenAddress,
    socket: Socket,
}

/// The sockets of a configuration that is not in force yet.
#[derive(Debug)]
pub struct Plan {
    held: Vec<Held>,
    /// For each worker.
    pub workers: Vec<Vec<Wanted>>,
    changes: Changes,
}

impl Sockets {
    /// Takes over what was handed to this process.
    ///
    /// # Errors
    /// The first that nothing can be accepted from.
    pub fn new(handed: Vec<Handed>) -> Result<Sockets, StartError> {
        let looked_at: Vec<Passed> = handed.into_iter().map(looked_at).collect::<Result<_, _>>()?;
        let is_lost = |passed: &Passed| match &passed.address {
            ListenAddress::Unix(path) => passed.name.is_none() && !path.exists(),
            ListenAddress::Tcp(_) | ListenAddress::Systemd(_) => false,
        };
        let (lost, handed): (Vec<Passed>, Vec<Passed>) = looked_at.into_iter().partition(is_lost);
        let lost = lost.into_iter().map(|passed| passed.address).collect();
        Ok(Sockets { handed, lost, ..Sockets::default() })
    }

    /// Every address as bound, in the configuration's order.
    pub fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.held.iter().flat_map(|held| &held.bound).map(|place| &place.address)
    }

    /// The files of the Unix sockets that this process made, or one before it.
    pub fn files(&self) -> impl Iterator<Item = &std::path::Path> {
        let places = self.held.iter().flat_map(|held| &held.bound);
        places.filter(|place| !place.elsewhere).filter_map(|place| match &place.address {
            ListenAddress::Unix(path) => Some(path.as_path()),
            ListenAddress::Tcp(_) | ListenAddress::Systemd(_) => None,
        })
    }

    /// Finds or binds a socket for each listener of a configuration and each worker.
    ///
    /// # Errors
    /// The first listener for which there is none; what was bound is closed again.
    pub fn plan(&self, config: &Config, workers: usize) -> Result<Plan, StartError> {
        let mut plan = Plan {
            held: Vec::new(),
            workers: (0..workers).map(|_| Vec::new()).collect(),
            changes: Changes::default(),
        };
        let named = |passed: &&Passed| {
            let name = passed.name.clone().map(ListenAddress::Systemd);
            name.is_some_and(|name| config.listeners.iter().any(|asked| asked.address == name))
        };
        for (number, listener) in config.listeners.iter().enumerate() {
            let wanted = &listener.address;
            let kept = self.held.iter().find(|held| {
                held.configured == *wanted || held.bound.iter().any(|at| at.address == *wanted)
            });
            if let Some(held) = kept {
                let bound = held.bound.iter();
                let bound: Vec<Place> = match held.configured == *wanted {
                    true => bound.cloned().collect(),
                    false => bound.filter(|at| at.address == *wanted).cloned().collect(),
                };
                plan.keep(number, wanted, bound);
                continue;
            }
            let found: Vec<&Passed> = match wanted {
                ListenAddress::Systemd(name) => {
                    self.handed.iter().filter(|passed| passed.name.as_ref() == Some(name)).collect()
                }
                // A socket that goes by its name is not found by its address too.
                address => {
                    let same = self.handed.iter().filter(|passed| passed.address == *address);
                    same.filter(|passed| !named(passed)).collect()
                }
            };
            plan.listen(self, number, wanted, &found)?;
        }
        plan.changes.gone = self.gone(&plan.held);
        Ok(plan)
    }

    /// Whether it is our own last connections that an address is taken by.
    fn is_closing(&self, address: &ListenAddress) -> bool {
        self.closing.iter().any(|(closing, at)| closing == address && at.elapsed() < CLOSED_AFTER)
    }

    /// Whether an address is listened on.
    pub fn is_held(&self, address: &ListenAddress) -> bool {
        self.addresses().any(|held| held == address)
    }

    /// What of our own is listened on now, or was stored, and will not be.
    fn gone(&self, held: &[Held]) -> Vec<ListenAddress> {
        let stays = |address: &ListenAddress| {
            held.iter().flat_map(|held| &held.bound).any(|place| place.address == *address)
        };
        let places = self.held.iter().flat_map(|held| &held.bound);
        let own = places.filter(|place| !place.elsewhere).map(|place| &place.address);
        let stored = self.handed.iter().filter(|passed| passed.name.is_none());
        let mut gone: Vec<ListenAddress> = self.lost.clone();
        for address in own.chain(stored.map(|passed| &passed.address)) {
            if !stays(address) && !gone.contains(address) {
                gone.push(address.clone());
            }
        }
        gone
    }

    /// Puts a plan into force, and gives what changes by it.
    pub fn commit(&mut self, plan: Plan) -> Changes {
        let Plan { held, changes, .. } = plan;
        let first = self.held.is_empty();
        self.held = held;
        self.lost.clear();
        let now = Instant::now();
        self.closing.retain(|(_, at)| now.duration_since(*at) < CLOSED_AFTER);
        // One whose file was gone was stored under an address that is listened on anew.
        for address in &changes.gone {
            if !self.is_held(address) {
                tracing::info!("no longer listening on {address}");
                self.closing.push((address.clone(), now));
            }
        }
        let is_held = |address: &ListenAddress| {
            let mut places = self.held.iter().flat_map(|held| &held.bound);
            places.any(|place| place.address == *address)
        };
        // The workers have copies of our own. Systemd's stay for as long as it may start us by
        // them: a reload may want them again.
        self.handed.retain(|passed| match &passed.name {
            None => false,
            Some(_) if is_held(&passed.address) || !first => true,
            Some(name) => {
                tracing::warn!(
                    "no listener wants {}, which was passed as `{name}`; it is closed",
                    passed.address
                );
                false
            }
        });
        changes
    }
}

impl Plan {
    /// Every address as it will be bound.
    pub fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.held.iter().flat_map(|held| &held.bound).map(|place| &place.address)
    }

    fn keep(&mut self, number: usize, configured: &ListenAddress, bound: Vec<Place>) {
        for Place { address, elsewhere } in &bound {
            for worker in &mut self.workers {
                let (address, elsewhere) = (address.clone(), *elsewhere);
                worker.push(Wanted { number, address, sockets: Vec::new(), elsewhere });
            }
        }
        self.held.push(Held { configured: configured.clone(), bound });
    }

    /// Shares what was found among the workers, and binds what is missing.
    fn listen(
        &mut self,
        now: &Sockets,
        number: usize,
        configured: &ListenAddress,
        found: &[&Passed],
    ) -> Result<(), StartError> {
        let failed = |source| StartError::Bind { address: configured.clone(), source };
        let workers = self.workers.len();
        let mut bound: Vec<Place> = Vec::new();
        for passed in found {
            if !bound.iter().any(|place| place.address == passed.address) {
                let elsewhere = passed.name.is_some();
                bound.push(Place { address: passed.address.clone(), elsewhere });
            }
        }
        if let (true, ListenAddress::Systemd(name)) = (bound.is_empty(), configured) {
            return Err(StartError::NotPassed { name: name.clone() });
        }
        if bound.is_empty() {
            let bind = match now.is_closing(configured) {
                true => listener::bind_again,
                false => listener::bind,
            };
            let (address, sockets) = bind(configured, workers).map_err(failed)?;
            self.store(&address, &sockets).map_err(failed)?;
            let sockets = sockets.into_iter().map(|socket| vec![socket]).collect();
            let place = Place { address, elsewhere: false };
            self.give(number, &place, sockets);
            bound.push(place);
        } else {
            for place in bound.iter().filter(|place| !now.is_held(&place.address)) {
                let same = found.iter().filter(|passed| passed.address == place.address);
                let mut shares: Vec<Vec<Bound>> = (0..workers).map(|_| Vec::new()).collect();
                let mut own = 0;
                for passed in same {
                    match (&passed.name, &passed.address) {
                        // One of a group that share their port. More than there are workers: some
                        // serve several, since closing one would lose what waits at it.
                        (None, ListenAddress::Tcp(_)) => {
                            shares[own % workers].push(passed.copied().map_err(failed)?);
                            own += 1;
                        }
                        // The only one: every worker accepts from it.
                        (_, _) => {
                            for share in &mut shares {
                                share.push(passed.copied().map_err(failed)?);
                            }
                        }
                    }
                }
                let lacking = shares.iter_mut().filter(|share| share.is_empty());
                for share in lacking {
                    let ListenAddress::Tcp(address) = place.address else { break };
                    let socket = listener::join(address).map_err(failed)?;
                    self.store(&place.address, std::slice::from_ref(&socket)).map_err(failed)?;
                    share.push(socket);
                }
                self.give(number, place, shares);
            }
            for place in bound.iter().filter(|place| now.is_held(&place.address)) {
                let none = (0..workers).map(|_| Vec::new()).collect();
                self.give(number, place, none);
            }
        }
        self.held.push(Held { configured: configured.clone(), bound });
        Ok(())
    }

    fn give(&mut self, number: usize, place: &Place, shares: Vec<Vec<Bound>>) {
        for (worker, sockets) in self.workers.iter_mut().zip(shares) {
            let (address, elsewhere) = (place.address.clone(), place.elsewhere);
            worker.push(Wanted { number, address, sockets, elsewhere });
        }
    }

    /// Notes new sockets of our own. Those of a Unix listener are copies of one.
    fn store(&mut self, address: &ListenAddress, sockets: &[Bound]) -> std::io::Result<()> {
        let count = match address {
            ListenAddress::Tcp(_) => sockets.len(),
            ListenAddress::Unix(_) | ListenAddress::Systemd(_) => 1,
        };
        for socket in sockets.iter().take(count) {
            let copy = match socket {
                Bound::Tcp(tcp) => tcp.as_fd().try_clone_to_owned()?,
                Bound::Unix(unix) => unix.as_fd().try_clone_to_owned()?,
            };
            self.changes.bound.push((address.clone(), copy));
        }
        Ok(())
    }
}

impl Passed {
    fn copied(&self) -> std::io::Result<Bound> {
        let copy = self.socket.try_clone()?;
        Ok(match self.address {
            ListenAddress::Tcp(_) => Bound::Tcp(copy.into()),
            ListenAddress::Unix(_) | ListenAddress::Systemd(_) => {
                Bound::Unix(OwnedFd::from(copy).into())
            }
        })
    }
}

/// What a handed socket listens on. A flag of the socket itself, and so of every copy, is set: a
/// worker that is too late to accept must not be held up.
fn looked_at(handed: Handed) -> Result<Passed, StartError> {
    let Handed { name, socket } = handed;
    let shown = || name.clone().unwrap_or_else(|| "one of our own".to_owned());
    let failed = |source| StartError::Passed { name: shown(), source };
    if !socket.is_listener().map_err(failed)? {
        return Err(StartError::NotListening { name: shown() });
    }
    socket.set_nonblocking(true).map_err(failed)?;
    let address = address_of(&socket.local_addr().map_err(failed)?);
    let Some(address) = address else {
        return Err(StartError::NotListening { name: shown() });
    };
    Ok(Passed { name, address, socket })
}

fn address_of(address: &SockAddr) -> Option<ListenAddress> {
    let tcp = address.as_socket().map(ListenAddress::Tcp);
    tcp.or_else(|| address.as_pathname().map(|path| ListenAddress::Unix(path.to_owned())))
}
