//! The binary of the edge tier: its defaults, then a node.

use std::process::ExitCode;

/// See docs/performance.md for what it is worth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    weir_node::binary::main(weir_edge::defaults())
}
