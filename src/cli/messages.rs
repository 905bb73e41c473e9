//! Carries our own messages off the threads that have something to say.
//!
//! A journal that is frozen, or a terminal that was stopped, must hold nobody up: messages wait in
//! a queue for a thread that writes them, and where that is full they are counted and left out.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::field::{DisplayValue, Field, Value, Visit, display};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Messages that wait to be written.
const QUEUE: usize = 1024;
/// How long the end of the program waits for the last ones.
const FLUSH_WAIT: Duration = Duration::from_secs(2);
/// As many fields as tracing lets an event have.
const FIELDS_MAX: usize = 32;

/// The queue of this process, for its end.
static PENDING: OnceLock<SyncSender<Order>> = OnceLock::new();

/// Hands every event to the thread that writes.
#[derive(Debug)]
pub struct Aside {
    queue: SyncSender<Order>,
    lost: Arc<AtomicU64>,
}

enum Order {
    Tell(Message),
    Flush(mpsc::Sender<()>),
}

/// One event, kept.
struct Message {
    metadata: &'static Metadata<'static>,
    values: Vec<(Field, Kept)>,
}

/// A value, as far as it matters for how it is shown.
enum Kept {
    Text(String),
    Shown(String),
}

impl Aside {
    /// Starts the thread; `sink` is where the messages go.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(sink: Dispatch) -> io::Result<Aside> {
        let (queue, orders) = mpsc::sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        std::thread::Builder::new()
            .name("messages".to_owned())
            .spawn(move || write_all(&orders, &sink, &counted))?;
        let _ = PENDING.set(queue.clone());
        Ok(Aside { queue, lost })
    }
}

/// Waits, within bounds, until everything said so far is written.
pub fn flush() {
    let Some(queue) = PENDING.get() else { return };
    let (done, flushed) = mpsc::channel();
    if queue.try_send(Order::Flush(done)).is_ok() {
        let _ = flushed.recv_timeout(FLUSH_WAIT);
    }
}

impl<S: Subscriber> Layer<S> for Aside {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message { metadata: event.metadata(), values: Vec::new() };
        event.record(&mut message);
        if self.queue.try_send(Order::Tell(message)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.values.push((field.clone(), Kept::Text(value.to_owned())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.values.push((field.clone(), Kept::Shown(format!("{value:?}"))));
    }
}

fn write_all(orders: &Receiver<Order>, sink: &Dispatch, lost: &AtomicU64) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Tell(message) => message.tell(sink),
            Order::Flush(done) => drop(done.send(())),
        }
        let gone = lost.swap(0, Ordering::Relaxed);
        if gone > 0 {
            tracing::dispatcher::with_default(sink, || {
                tracing::warn!(messages = gone, "messages could not be written fast enough");
            });
        }
    }
}

impl Message {
    fn tell(&self, sink: &Dispatch) {
        let Some((first, _)) = self.values.first() else { return };
        let shown = self.values.iter().map(|(_, kept)| match kept {
            Kept::Text(text) | Kept::Shown(text) => display(text),
        });
        let shown: Vec<DisplayValue<&String>> = shown.collect();
        let mut values: [(&Field, Option<&dyn Value>); FIELDS_MAX] = [(first, None); FIELDS_MAX];
        for ((slot, (field, kept)), shown) in values.iter_mut().zip(&self.values).zip(&shown) {
            let value: &dyn Value = match kept {
                Kept::Text(text) => text,
                Kept::Shown(_) => shown,
            };
            *slot = (field, Some(value));
        }
        // The same fields, as the macros of tracing put them together.
        let values = self.metadata.fields().value_set(&values);
        sink.event(&Event::new(self.metadata, &values));
    }
}
