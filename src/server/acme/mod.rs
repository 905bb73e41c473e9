//! Certificates by ACME: a thread of its own that has each when it is due, and nothing else.
//!
//! What workers see of it: files that change, a shelf that is read anew, and the proofs while an
//! authority looks for them. Certificates are had one after another; after a failure the next
//! attempt waits, also across restarts. A listener never waits for an authority: until the first
//! certificate is there, one that vouches for itself stands in.

mod order;
mod schedule;
mod store;
mod validation;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use instant_acme::Account;
use tokio::sync::mpsc;

use crate::config::Acme;
use crate::proxy::Challenges;

pub use validation::Validations;

use super::certificates::{Leaf, Shelf};
use super::tls::Terminator;
use order::{Failure, Proofs};
use schedule::{Attempts, Cost};
use store::Standing;

/// The longest sleep: a clock that jumps, or a host that slept, is noticed by then.
const NAP: Duration = Duration::from_secs(600);
/// How often an authority is asked when it wants a certificate renewed: at least and at most
/// (RFC 9773 section 4.3).
const ASKED_EVERY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(3600)..=Duration::from_secs(24 * 3600);
/// How long it may take to say so.
const INFORMATION_LIMIT: Duration = Duration::from_secs(30);

/// The thread; it ends with this value.
#[derive(Debug)]
pub struct Keeper {
    orders: Option<mpsc::UnboundedSender<Option<Acme>>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts it with nothing to do.
    ///
    /// # Errors
    /// The system denies a thread, or a runtime in it.
    pub fn start(http: Arc<Challenges>, terminator: Arc<Terminator>) -> io::Result<Keeper> {
        let proofs = Proofs { http, tls: terminator.validations.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, inbox) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("acme".to_owned()).spawn(move || {
            runtime.block_on(Work::new(proofs, terminator).run(inbox));
            // A name that is still being resolved is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Keeper { orders: Some(orders), thread: Some(thread) })
    }

    /// Keeps these certificates from now on.
    pub fn apply(&self, acme: Option<Acme>) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(acme);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes the files that the listeners need before there is a certificate.
///
/// # Errors
/// They cannot be written.
pub fn prepare(acme: &Acme) -> io::Result<()> {
    for host in store::prepare(acme)? {
        tracing::warn!(host, "a self-signed certificate stands in until there is one by ACME");
    }
    Ok(())
}

/// The thread's own.
struct Work {
    proofs: Proofs,
    terminator: Arc<Terminator>,
    account: Option<Account>,
    /// What the authority last said of each certificate, by its first host's file.
    told: HashMap<Vec<String>, Told>,
}

/// When an authority wants a certificate renewed.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// A moment of its window; `None`: it does not say.
    moment: Option<SystemTime>,
    /// When to ask again.
    again: SystemTime,
}

/// What comes next for one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Obtain,
    Ask,
}

impl Work {
    fn new(proofs: Proofs, terminator: Arc<Terminator>) -> Work {
        Work { proofs, terminator, account: None, told: HashMap::new() }
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Option<Acme>>) {
        let mut current: Option<Acme> = None;
        loop {
            let order = {
                let working = async {
                    match &current {
                        Some(acme) => self.keep(acme).await,
                        None => std::future::pending().await,
                    }
                };
                // Every reload sends one; what is under way goes on if it says nothing new.
                let changed = async {
                    loop {
                        match inbox.recv().await {
                            Some(order) if order == current => {}
                            order => break order,
                        }
                    }
                };
                tokio::select! {
                    order = changed => order,
                    () = working => continue,
                }
            };
            let Some(order) = order else { return };
            // What was said of an account holds for one authority.
            self.account = None;
            self.told.clear();
            current = order;
        }
    }

    /// Does what is due, or sleeps until something is.
    async fn keep(&mut self, acme: &Acme) {
        let now = SystemTime::now();
        let plans = acme.certificates.iter().map(|hosts| {
            let (next, at) = self.plan(acme, hosts, now);
            (at, hosts, next)
        });
        let Some((at, hosts, next)) = plans.min_by_key(|(at, ..)| *at) else { return };
        match at.duration_since(now) {
            Ok(wait) if !wait.is_zero() => tokio::time::sleep(wait.min(NAP)).await,
            Ok(_) | Err(_) => match next {
                Next::Obtain => self.obtain(acme, hosts).await,
                Next::Ask => self.ask(acme, hosts).await,
            },
        }
    }

    /// What comes next for a certificate, and when.
    fn plan(&self, acme: &Acme, hosts: &[String], now: SystemTime) -> (Next, SystemTime) {
        let told = self.told.get(hosts);
        let due = match store::standing(acme, hosts) {
            Some(Standing { is_whole: true, lifetime, .. }) => {
                lifetime.renewal(told.and_then(|told| told.moment))
            }
            Some(_) | None => now,
        };
        let allowed = now + store::attempts(acme, hosts).wait(now);
        let obtain = due.max(allowed);
        match told.map_or(now, |told| told.again) {
            // There is no use in asking of what is had anew at once, nor while the authority is
            // left in peace.
            ask if ask < obtain && due > now => (Next::Ask, ask.max(allowed)),
            _ => (Next::Obtain, obtain),
        }
    }

    async fn obtain(&mut self, acme: &Acme, hosts: &[String]) {
        let mut attempts = store::attempts(acme, hosts);
        // Counted before it begins: a program that dies in it, again and again, must not ask again
        // and again.
        let unfinished = "interrupted".to_owned();
        let mut begun = attempts.clone();
        begun.failed(Cost::Unreached, unfinished, SystemTime::now(), random());
        if let Err(error) = store::keep_attempts(acme, hosts, &begun) {
            tracing::error!(%error, "attempts at a certificate cannot be kept: none is made");
            tokio::time::sleep(NAP).await;
            return;
        }
        let names = hosts.join(", ");
        tracing::info!(hosts = names, directory = acme.directory, "ordering a certificate");
        let outcome = self.order(acme, hosts).await;
        let now = SystemTime::now();
        match &outcome {
            Ok(_) => {
                attempts = Attempts::default();
                self.told.remove(hosts);
                if self.plan(acme, hosts, now).1 <= now {
                    // A clock that runs ahead: the next would be no better.
                    let why = "due again on arrival".to_owned();
                    attempts.failed(Cost::Refused, why, now, random());
                }
            }
            Err(failure) => {
                if order::is_forgotten(failure) {
                    store::forget_account(acme);
                }
                self.account = None;
                attempts.failed(failure.cost(), failure.to_string(), now, random());
            }
        }
        // Kept before it is told: whoever restarts us on hearing of it must find it.
        if let Err(error) = store::keep_attempts(acme, hosts, &attempts) {
            tracing::error!(%error, "attempts at a certificate cannot be kept");
        }
        match outcome {
            Ok(ends) => {
                install(&self.terminator, &acme.file(hosts));
                let until = httpdate::fmt_http_date(ends);
                tracing::info!(hosts = names, until, "a certificate by ACME is in force");
            }
            Err(failure) => tracing::error!(
                hosts = names,
                host = failure.host().unwrap_or("not said"),
                problem = failure.problem(),
                failures = attempts.failures,
                again_in_s = attempts.wait(now).as_secs(),
                "no certificate by ACME: {failure}"
            ),
        }
    }

    async fn order(&mut self, acme: &Acme, hosts: &[String]) -> Result<SystemTime, Failure> {
        let account = self.account(acme).await?;
        // Only an authority that gives renewal information knows what is replaced.
        let speaks = self.told.get(hosts).is_some_and(|told| told.moment.is_some());
        let standing = store::standing(acme, hosts).filter(|standing| standing.is_whole && speaks);
        let replaces = standing.and_then(|standing| standing.id);
        let pem = order::obtain(&account, acme, hosts, replaces, &self.proofs).await?;
        Ok(store::keep(acme, hosts, &pem)?)
    }

    async fn account(&mut self, acme: &Acme) -> Result<Account, Failure> {
        if let Some(account) = &self.account {
            return Ok(account.clone());
        }
        let account = order::account(acme).await?;
        self.account = Some(account.clone());
        Ok(account)
    }

    /// Asks the authority when it wants a certificate renewed.
    async fn ask(&mut self, acme: &Acme, hosts: &[String]) {
        let told = match tokio::time::timeout(INFORMATION_LIMIT, self.told(acme, hosts)).await {
            Ok(Some(told)) => told,
            Ok(None) | Err(_) => {
                Told { moment: None, again: SystemTime::now() + *ASKED_EVERY.end() }
            }
        };
        self.told.insert(hosts.to_vec(), told);
    }

    /// `None`: it does not answer such questions, or not this one.
    async fn told(&mut self, acme: &Acme, hosts: &[String]) -> Option<Told> {
        let id = store::standing(acme, hosts)?.id?;
        let account = self.account(acme).await.ok()?;
        let (information, again) = match account.renewal_info(&id).await {
            Ok(said) => said,
            Err(error) => {
                tracing::debug!(%error, "no renewal information");
                return None;
            }
        };
        let window = information.suggested_window;
        let time = |seconds: i64| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        };
        let (start, end) = (time(window.start.unix_timestamp()), time(window.end.unix_timestamp()));
        let moment = schedule::moment(start, end, random());
        let again = SystemTime::now() + again.clamp(*ASKED_EVERY.start(), *ASKED_EVERY.end());
        Some(Told { moment: Some(moment), again })
    }
}

/// Has the listeners show what now stands in a file.
fn install(terminator: &Terminator, file: &Path) {
    loop {
        let shelf = terminator.shelf();
        let mut leaves = shelf.leaves().to_vec();
        for leaf in leaves.iter_mut().filter(|leaf| leaf.files.chain == file) {
            match Leaf::read(&leaf.files, &terminator.suite, shelf.offer) {
                Ok(fresh) => *leaf = Arc::new(fresh),
                // It was proven before it was put there: somebody else has written it since.
                Err(_) => tracing::warn!(file = %file.display(), "not what was kept there"),
            }
        }
        // A reload in the meantime has its own shelf, which may have been read before.
        if terminator.replace_these(&shelf, Shelf::of(leaves, shelf.offer)) {
            return;
        }
    }
}

/// From 0 to 1.
fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
