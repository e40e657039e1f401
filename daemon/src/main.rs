//! The `followupd` binary: the allocator, and the way into the library.

use std::process::ExitCode;

/// Many small short-lived values over a long life: mimalloc keeps the heap of a million sleeping enrollments flat.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    followupd::main()
}
