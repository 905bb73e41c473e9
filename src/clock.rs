//! A coarse clock for each worker thread, and the deadlines that hang on it.
//!
//! A timer a request would cost more than the request's own head. One ticker a thread wakes ten
//! times a second, and wakes whoever's deadline has passed: a deadline is late by at most two
//! [`TICK`]s, never early. Below every room; imports nothing of the project.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The resolution of every deadline.
pub const TICK: Duration = Duration::from_millis(100);

thread_local! {
    static SLOTS: RefCell<Slots> =
        const { RefCell::new(Slots { list: Vec::new(), free: Vec::new() }) };
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

struct Slots {
    list: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Default)]
struct Slot {
    at: Option<Instant>,
    waker: Option<Waker>,
}

/// A point in time that a task of this thread waits for. Not to be moved to another thread.
#[derive(Debug)]
pub struct Deadline {
    slot: usize,
    /// Whether the slot holds a time: most questions are answered without a look at it.
    armed: bool,
    /// Keeps it on its thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Deadline {
    /// A deadline that is not set: it never comes.
    pub fn unset() -> Deadline {
        let slot = SLOTS.with_borrow_mut(|slots| match slots.free.pop() {
            Some(slot) => slot,
            None => {
                slots.list.push(Slot::default());
                slots.list.len() - 1
            }
        });
        Deadline { slot, armed: false, _not_send: std::marker::PhantomData }
    }

    /// A deadline that comes after `wait`.
    pub fn after(wait: Duration) -> Deadline {
        let mut deadline = Deadline::unset();
        deadline.set(wait);
        deadline
    }

    /// Moves it to `wait` from now.
    pub fn set(&mut self, wait: Duration) {
        // The coarse now may be a tick old; the tick on top keeps the deadline from coming early.
        let at = now().checked_add(wait + TICK);
        SLOTS.with_borrow_mut(|slots| slots.list[self.slot].at = at);
        self.armed = true;
    }

    /// Takes it back and lets go of the task that waited, which may be over.
    pub fn rest(&mut self) {
        SLOTS.with_borrow_mut(|slots| slots.list[self.slot] = Slot::default());
        self.armed = false;
    }

    /// Takes it back: it never comes.
    pub fn clear(&mut self) {
        if self.armed {
            SLOTS.with_borrow_mut(|slots| slots.list[self.slot].at = None);
            self.armed = false;
        }
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.armed
    }

    /// Ready once it has come; registers the task otherwise.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.armed {
            return Poll::Pending;
        }
        SLOTS.with_borrow_mut(|slots| {
            let slot = &mut slots.list[self.slot];
            match slot.at {
                None => Poll::Pending,
                Some(at) if at <= now() => Poll::Ready(()),
                Some(_) => {
                    match &mut slot.waker {
                        Some(waker) => waker.clone_from(cx.waker()),
                        none => *none = Some(cx.waker().clone()),
                    }
                    Poll::Pending
                }
            }
        })
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // At a thread's end the slots may be gone before the last task; then there is nothing to
        // free.
        let _ = SLOTS.try_with(|slots| {
            if let Ok(mut slots) = slots.try_borrow_mut() {
                slots.list[self.slot] = Slot::default();
                slots.free.push(self.slot);
            }
        });
    }
}

/// The time of this thread's last tick: late by up to [`TICK`], and free of a system call.
pub fn now() -> Instant {
    NOW.get().unwrap_or_else(Instant::now)
}

/// One thread that ticks for all workers: a timer in each worker's runtime would have to be looked
/// at, and armed in the kernel, each time a worker waits for its sockets.
#[derive(Debug, Default)]
pub struct Ticker {
    listeners: Vec<Weak<Notify>>,
}

impl Ticker {
    /// A tick for one more worker; it goes on for as long as somebody holds it.
    pub fn subscribe(&mut self) -> Arc<Notify> {
        let ticks = Arc::new(Notify::new());
        self.listeners.push(Arc::downgrade(&ticks));
        ticks
    }

    /// Starts ticking; ends when nobody listens any more.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self) -> io::Result<()> {
        let tick = move || {
            let mut listeners = self.listeners;
            while !listeners.is_empty() {
                std::thread::sleep(TICK);
                listeners.retain(|ticks| {
                    let ticks = ticks.upgrade();
                    ticks.inspect(|ticks| ticks.notify_one()).is_some()
                });
            }
        };
        std::thread::Builder::new().name("clock".to_owned()).spawn(tick).map(drop)
    }
}

/// A worker's ticks: at each, runs `each` and wakes what is due, for ever.
pub async fn tick(ticks: Arc<Notify>, mut each: impl FnMut()) {
    let mut due = Vec::new();
    loop {
        let now = Instant::now();
        NOW.set(Some(now));
        sweep(now, &mut due);
        // Woken outside the borrow: a waker may run code of ours.
        for waker in due.drain(..) {
            Waker::wake(waker);
        }
        each();
        ticks.notified().await;
    }
}

fn sweep(now: Instant, due: &mut Vec<Waker>) {
    SLOTS.with_borrow_mut(|slots| {
        for slot in &mut slots.list {
            if slot.at.is_some_and(|at| at <= now) {
                due.extend(slot.waker.take());
            }
        }
    });
}

/// Runs a future until it is done or `limit` has passed: `None` then. Cancel safe if the future is.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut deadline = Deadline::after(limit);
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        deadline.poll(cx).map(|()| None)
    })
    .await
}
