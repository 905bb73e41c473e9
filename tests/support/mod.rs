//! What the tests with real servers share: the proxy as its users run it, a client that sees how
//! an answer ends, and the handling of a server's processes. Each crate includes it by path.

#![allow(dead_code, reason = "no crate uses all of it")]

pub mod causes;
pub mod client;
pub mod faketime;
pub mod load;
pub mod nginx;
pub mod proxy;
pub mod python;
pub mod readme;
pub mod roots;
pub mod sandbox;
pub mod streams;
pub mod tools;
