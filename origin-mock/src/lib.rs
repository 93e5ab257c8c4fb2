//! A scriptable origin: the server behind a CDN, which also misbehaves when it is told to.
//!
//! It speaks HTTP/1.1 over plain sockets, without an HTTP library, because it must be able to do
//! what a library prevents: cut bodies, reset connections, lie about lengths, send interim
//! responses and malformed heads. Three ways to use it:
//!
//! - A test starts an [`OriginMock`], tells paths what to do with [`OriginMock::script`] and looks
//!   at what arrived. Nothing needs a sleep: [`Hold`] and [`OriginMock::hits_reach`] wait for
//!   conditions.
//! - A user with curl adds parameters to any URL, such as `?size=1000000&cut=5000`. The help text
//!   of the binary lists them.
//! - The `weir` command calls [`run`] for its demo.
//!
//! ```
//! use weir_origin_mock::OriginMock;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let origin = OriginMock::start().await;
//! // The head promises 1,000 bytes, 400 go out, then the connection is reset.
//! let hold = origin.script("/film").ok().content_length(1000).send(400).hold().then_reset().set();
//! // ... a client asks for /film; `hold.reached().await` returns once the 400 bytes are out ...
//! hold.release();
//! assert_eq!(origin.hits("/film"), 0);
//! # });
//! ```
//!
//! Connections are tasks on the runtime that started the origin; the path of a request through the
//! files is `server`, `connection`, `request` and `body`, `route`, `deliver`.

mod answer;
mod body;
mod config;
mod connection;
mod content_type;
mod control;
mod deliver;
mod fields;
mod files;
mod gate;
mod origin;
mod pattern;
mod percent;
mod query;
mod represent;
mod request;
mod route;
mod script;
mod server;
mod source;
mod state;
mod stats;
mod wire;

pub use config::{CACHE_CONTROL_DEFAULT, Config, StartError};
pub use gate::Hold;
pub use origin::{Builder, OriginMock, run, url};
pub use pattern::{pattern, pattern_bytes};
pub use script::Script;
pub use stats::SeenRequest;
