//! The library that sets a program's clocks (package libfaketime).

use std::path::Path;

const FAKETIME: &str = "/usr/lib/*/faketime/libfaketime.so.1";

/// Where it is; without it the test fails.
pub fn faketime() -> String {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|triplet| FAKETIME.replace('*', triplet))
        .into_iter()
        .find(|path| Path::new(path).exists());
    found.unwrap_or_else(|| {
        panic!(
            "{FAKETIME} is missing: apt-get install libfaketime, or tests/run, which installs it"
        )
    })
}
