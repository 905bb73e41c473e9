//! Exit code and nothing else.

use std::process::ExitCode;

// Half the memory of the alternatives under many connections.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    causeway::cli::main()
}
