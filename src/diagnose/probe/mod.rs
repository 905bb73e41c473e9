//! The look at the host after a failure, each look bounded; when one is taken and how long it is
//! good for is the caller's. The only part of this room that opens anything.

mod around;
mod connects;
mod fastcgi;
mod layout;
mod neighbor;
mod proxy_header;
mod queue;
mod speaks;

pub use around::{capacity, elsewhere};
pub use connects::{connects, other_loopback, port};
pub use fastcgi::fastcgi;
pub use layout::layout;
pub use neighbor::neighbor_is_silent;
pub use proxy_header::expects_proxy_header;
#[cfg(any(fuzzing, test))]
pub use queue::rows;
pub use queue::{accept_queue, is_here};
pub use speaks::{speaks, speaks_plain};
