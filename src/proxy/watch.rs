//! Questions to the servers of an upstream that are asked beside the requests, once one of them has
//! failed: when the next may be asked, and what the last answers were.
//!
//! For all workers together: one question at a time, and none sooner than a second after the one
//! before, whoever failed and however often. Which question fits a failure, and whether its server
//! may be asked at all, is `look`'s to say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::config::ServerAddress;
use crate::diagnose::{Port, Probed, Protocol};
use crate::probe;

/// From the end of one question to the beginning of the next.
const REST: Duration = Duration::from_secs(1);
/// Answers that are kept: an upstream has few servers, and each fails in few ways at a time.
const ANSWERS_MAX: usize = 64;

/// What the workers have found out together about one upstream's servers.
#[derive(Debug, Default)]
pub struct Watch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A question is under way.
    busy: bool,
    /// When the last one was over.
    last: Option<Instant>,
    /// The last one of each that found something, the latest at the end.
    answers: Vec<Answer>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    at: Instant,
    to: Asked,
    found: Found,
}

/// A question to one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub question: Question,
    /// The server's position.
    pub server: usize,
    /// Where it was reached or missed, if it has an address.
    pub address: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Does it take a FastCGI question?
    FastCgi,
    /// What does it speak, as it hangs up on HTTP, or what does it want before?
    Speaks,
    /// What does it speak in the open, as it does not answer to TLS?
    SpeaksPlain,
    /// Does anybody listen at its port by the other family?
    OtherFamily,
    /// Does its port take connections, as it keeps us waiting?
    Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    FastCgi(Probed),
    Speaks(Protocol),
    /// It waits for the line of the PROXY protocol.
    ExpectsProxyHeader,
    /// Somebody listens here.
    Listening(SocketAddr),
    Port(Port),
}

impl Watch {
    /// Asks, unless somebody does or did a moment ago. The question goes on when nobody waits for
    /// it.
    pub fn look(self: &Arc<Watch>, asked: Asked, server: &ServerAddress) -> Option<JoinHandle<()>> {
        let turn = self.turn()?;
        let server = server.clone();
        Some(tokio::task::spawn_local(async move {
            let found = asked.ask(&server).await;
            turn.0.note(asked, found, Instant::now());
        }))
    }

    /// What was found, if that was lately enough to count.
    pub fn known(&self, asked: Asked) -> Option<Found> {
        let now = Instant::now();
        let state = self.state();
        let mut answers = state.answers.iter();
        let answer = answers.find(|answer| answer.to == asked)?;
        (now < answer.at + asked.question.counts()).then_some(answer.found)
    }

    fn turn(self: &Arc<Watch>) -> Option<Turn> {
        let now = Instant::now();
        let mut state = self.state();
        if state.busy || state.last.is_some_and(|last| now < last + REST) {
            return None;
        }
        state.busy = true;
        Some(Turn(self.clone()))
    }

    fn note(&self, asked: Asked, found: Option<Found>, at: Instant) {
        let mut state = self.state();
        let answers = &mut state.answers;
        answers.retain(|answer| answer.to != asked);
        if let Some(found) = found {
            if answers.len() == ANSWERS_MAX {
                answers.remove(0);
            }
            answers.push(Answer { at, to: asked, found });
        }
    }

    /// A panic of one that held it leaves it whole: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask; given back when dropped, also by a question that panicked or was cut short.
#[derive(Debug)]
struct Turn(Arc<Watch>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy = false;
        state.last = Some(Instant::now());
    }
}

impl Question {
    /// How long its answer counts: a pool may be mended at any time, a protocol is rarely changed.
    fn counts(self) -> Duration {
        match self {
            Question::FastCgi | Question::OtherFamily | Question::Port => Duration::from_secs(3),
            Question::Speaks | Question::SpeaksPlain => Duration::from_secs(10),
        }
    }
}

impl Asked {
    async fn ask(self, server: &ServerAddress) -> Option<Found> {
        match self.question {
            Question::FastCgi => probe::fastcgi(server, self.address).await.map(Found::FastCgi),
            Question::Speaks => {
                let address = self.address?;
                match probe::speaks(address).await {
                    Some(protocol) => (!is_http(protocol)).then_some(Found::Speaks(protocol)),
                    None => {
                        let expects = probe::expects_proxy_header(address).await;
                        expects.then_some(Found::ExpectsProxyHeader)
                    }
                }
            }
            Question::SpeaksPlain => probe::speaks_plain(self.address?).await.map(Found::Speaks),
            Question::Port => probe::port(self.address?).await.map(Found::Port),
            Question::OtherFamily => {
                let other = probe::other_loopback(self.address?)?;
                probe::connects(other).await.then_some(Found::Listening(other))
            }
        }
    }
}

fn is_http(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Http | Protocol::Html | Protocol::Cgi)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEAKS: Asked = Asked { question: Question::Speaks, server: 0, address: None };

    #[test]
    fn one_asks_at_a_time_and_rests_afterwards() {
        let watch = Arc::new(Watch::default());
        let turn = watch.turn().unwrap();
        assert!(watch.turn().is_none(), "somebody asks");
        drop(turn);
        assert!(watch.turn().is_none(), "somebody did a moment ago");
        watch.state().last = Some(Instant::now() - REST);
        assert!(watch.turn().is_some());
    }

    #[test]
    fn an_answer_is_that_of_its_question_and_counts_for_a_while() {
        let watch = Watch::default();
        let now = Instant::now();
        let long_ago = now - Duration::from_secs(10);
        let redis = Some(Found::Speaks(Protocol::Redis));
        watch.note(SPEAKS, redis, now);
        assert_eq!(watch.known(SPEAKS), redis);
        assert_eq!(watch.known(Asked { server: 1, ..SPEAKS }), None);
        assert_eq!(watch.known(Asked { question: Question::FastCgi, ..SPEAKS }), None);
        watch.note(SPEAKS, Some(Found::Speaks(Protocol::Tls)), now);
        assert_eq!(watch.known(SPEAKS), Some(Found::Speaks(Protocol::Tls)));
        watch.note(SPEAKS, redis, long_ago);
        assert_eq!(watch.known(SPEAKS), None, "found too long ago");
        watch.note(SPEAKS, redis, now);
        watch.note(SPEAKS, None, now);
        assert_eq!(watch.known(SPEAKS), None, "a later look found nothing");
        for server in 0..2 * ANSWERS_MAX {
            watch.note(Asked { server, ..SPEAKS }, redis, now);
        }
        assert_eq!(watch.state().answers.len(), ANSWERS_MAX);
    }
}
