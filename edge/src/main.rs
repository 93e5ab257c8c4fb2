//! The binary of the edge tier: its defaults, then a node.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_node::binary::main(weir_edge::defaults())
}
