//! What scenarios are made of: a stack of real nodes in this process, a scripted origin, clients.
//!
//! Ports are always chosen by the system, every stack has its own folder, and everything stops when
//! it is dropped. Cache time moves only when a scenario moves it; network time is real and short.
//! Waiting is always for a condition, with a deadline after which the scenario fails.

#![expect(clippy::missing_panics_doc, reason = "helpers of tests panic to fail them")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

pub mod frames;

mod client;
mod echo;
mod metrics;
mod mmdb;
mod nats;
mod process;
mod raw;
mod secure;
mod stack;
mod tls;

pub use client::{Reply, Request, Transfer, raw_exchange, raw_exchange_from};
pub use echo::EchoOrigin;
pub use metrics::Metrics;
pub use mmdb::{Mmdb, Record};
pub use nats::NatsServer;
pub use process::{Ended, Process, Program, free_base_port, until_so};
pub use raw::{Raw, RawReply};
pub use secure::{Arrived, Authority, Issued, SecureOrigin};
pub use stack::{Folder, SECRET, Shape, Stack, TOKEN, TestNode, config, free_addr, upstream};
pub use tls::{TlsClient, TlsConnection};

use std::time::Duration;

/// How long anything may take before a scenario fails. Generous: machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `what`, and fails the scenario when it takes too long.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {DEADLINE:?}"),
    }
}

/// Waits until `condition` holds, and fails the scenario when it takes too long.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
