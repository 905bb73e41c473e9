//! The look at the host after a failure, each look bounded; when one is taken and how long it is
//! good for is the caller's. The only part of this room that opens anything.

mod connects;
mod fastcgi;
mod neighbor;
mod proxy_header;
mod queue;
mod speaks;

pub use connects::{connects, other_loopback, port};
pub use fastcgi::fastcgi;
pub use neighbor::neighbor_is_silent;
pub use proxy_header::expects_proxy_header;
pub use queue::accept_queue;
#[cfg(any(fuzzing, test))]
pub use queue::rows;
pub use speaks::{speaks, speaks_plain};
