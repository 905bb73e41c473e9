//! ROOM: the look at this host, and the questions to a server, after a failure. The only room that
//! does either.
//!
//! `look` runs all that may take a while, each lane on a thread of its own, within a deadline; the
//! other files are what a lane does, or small looks of their own whose time is the caller's. Every
//! look is bounded in time and bytes, survives whatever it finds, follows no path or name that came
//! from a client or an upstream, and says of what it may not read what would allow it. When one is
//! taken, and how long it counts, is `proxy`'s to say. Imports `clock`, `config`,
//! `upstream` and `diagnose`.

mod allowed;
mod bounds;
mod certificate;
mod certificates;
mod changes;
mod connects;
mod diag;
mod disks;
mod fastcgi;
mod helpers;
mod host;
mod layout;
mod logs;
mod look;
mod netlink;
mod network;
mod owner;
mod php;
mod ping;
mod places;
mod processes;
mod proxy_header;
mod queue;
mod read;
mod routes;
mod sockets;
mod speaks;
mod units;
mod way;

pub use allowed::may_be_asked;
pub use certificate::certificate_end;
pub use connects::{connects, other_loopback, port};
#[cfg(any(fuzzing, test))]
pub use diag::rows;
pub use disks::disks;
pub use fastcgi::fastcgi;
pub use host::synchronized;
pub use layout::layout;
pub use look::{DEADLINE, Question, look};
pub use proxy_header::expects_proxy_header;
pub use queue::{accept_queue, is_here};
pub use routes::neighbor_is_silent;
#[cfg(any(fuzzing, test))]
pub use routes::route_rows;
pub use speaks::{speaks, speaks_plain};
pub use units::show;
