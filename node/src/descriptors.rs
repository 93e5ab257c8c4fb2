//! How many files and connections may the process have open?
//!
//! Systems start a process with 1,024 as a rule, for programs that wait with `select`, and let it have far
//! more for the asking. What the process runs out of all the same is the matter of the listeners.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks the system for as many descriptors as the process may have. Where it says no, the process goes on with
/// those that it has.
pub fn ask_for_all() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(?current, ?maximum, "more descriptors"),
        Err(error) => tracing::warn!(%error, ?current, "no more descriptors are to be had"),
    }
}
