//! How does a test, or the `weir` command, hold an origin in its hands?

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    config::{Config, StartError},
    gate::{DEADLINE, Hold},
    script::Script,
    server::{Reserved, Server},
    state::State,
    stats::{SeenRequest, Stats},
};

/// A running origin. Dropping it closes its listener and all its connections.
#[derive(Debug)]
pub struct OriginMock {
    state: Arc<State>,
    addr: SocketAddr,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    Serving(Server),
    /// The port is kept for a restart, if the system let us.
    Stopped(Option<Reserved>),
}

/// Settings of an origin that is to start.
#[derive(Debug, Clone)]
#[must_use = "nothing starts before `start`"]
pub struct Builder {
    config: Config,
    keep_requests: bool,
}

impl Builder {
    /// Uses these settings.
    pub fn new(config: Config) -> Self {
        Self { config, keep_requests: true }
    }

    /// Serves a folder instead of generated pages.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.config.dir = Some(dir.into());
        self
    }

    /// Listens on `addr`; port 0 takes a free one. Default: a free port of 127.0.0.1.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.config.listen = addr;
        self
    }

    /// Cache-Control of successful answers. Default: [`crate::CACHE_CONTROL_DEFAULT`].
    pub fn cache_control(mut self, value: impl Into<String>) -> Self {
        self.config.cache_control = value.into();
        self
    }

    /// Whether requests are kept for [`OriginMock::requests`]. Default: yes. Without it they are
    /// only counted, which a load of many paths should ask for.
    pub fn keep_requests(mut self, keep: bool) -> Self {
        self.keep_requests = keep;
        self
    }

    /// Starts on the current tokio runtime, whose time and I/O must be enabled.
    ///
    /// # Errors
    ///
    /// [`StartError`] says which setting to change. It converts into [`io::Error`].
    pub async fn start(self) -> Result<OriginMock, StartError> {
        let Config { listen, dir, cache_control } = self.checked_config().await?;
        let state = Arc::new(State::new(dir, cache_control, Stats::new(self.keep_requests)));
        let server = Reserved::bind(listen)
            .and_then(|reserved| reserved.listen(Arc::clone(&state)))
            .map_err(|source| StartError::Bind { addr: listen, source })?;
        let addr = server.addr();
        Ok(OriginMock { state, addr, phase: Mutex::new(Phase::Serving(server)) })
    }

    async fn checked_config(&self) -> Result<Config, StartError> {
        let config = self.config.clone();
        let path = config.dir.clone().unwrap_or_default();
        spawn_blocking(|| config.check())
            .await
            .unwrap_or_else(|error| Err(StartError::Dir { path, source: io::Error::other(error) }))
    }
}

impl OriginMock {
    /// Starts with generated pages on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If the loopback address has no free port.
    pub async fn start() -> Self {
        Self::builder().start().await.expect("127.0.0.1 has a free port")
    }

    /// Settings to start with, all at their defaults.
    pub fn builder() -> Builder {
        Builder::new(Config::default())
    }

    /// The origin without a final slash, such as `http://127.0.0.1:8380`. An origin that listens on
    /// every address names the loopback one.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.addr)
    }

    /// The address listened on, also while stopped.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Describes what `path` does from then on, whatever the query. The path is compared as sent,
    /// escapes and all. Takes effect with [`Script::set`].
    pub fn script(&self, path: &str) -> Script<'_> {
        Script::new(&self.state.scripts, path)
    }

    /// Removes every script of `path`.
    pub fn clear_script(&self, path: &str) {
        self.state.scripts.clear(path);
    }

    /// The gate that `?hold=name` waits at. It is the same one before and after it is first named.
    #[must_use]
    pub fn gate(&self, name: &str) -> Hold {
        self.state.gates.named(name)
    }

    /// Requests for `path` (as sent, without query) whose body has been read.
    #[must_use]
    pub fn hits(&self, path: &str) -> u64 {
        self.state.stats.hits(path)
    }

    /// Requests for all paths.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.state.stats.total()
    }

    /// The latest 1,000 requests for `path`, oldest first. Empty if requests are not kept.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<SeenRequest> {
        self.state.stats.requests(path)
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.stats.connections()
    }

    /// Waits until `path` has at least `n` hits.
    ///
    /// # Panics
    ///
    /// If it has fewer after 10 s.
    pub async fn hits_reach(&self, path: &str, n: u64) {
        assert!(
            timeout(DEADLINE, self.state.stats.hits_reach(path, n)).await.is_ok(),
            "{path} has {} of {n} hits after {DEADLINE:?}",
            self.hits(path)
        );
    }

    /// Sets every count to 0 and forgets the requests seen.
    pub fn reset_stats(&self) {
        self.state.stats.reset();
    }

    /// The version that generated bodies and entity tags carry; starts at 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state.version()
    }

    /// Publishes a new version: every page and entity tag changes. Returns the new version.
    pub fn deploy(&self) -> u64 {
        self.state.deploy()
    }

    /// Dies: closes the listener and every connection. Connecting is refused until
    /// [`Self::restart`]. Scripts, counts and version stay. Does nothing if it is stopped.
    ///
    /// If this is dropped half way the origin stops all the same; a restart may then find the port
    /// still taken.
    pub async fn stop(&self) {
        let phase = std::mem::replace(&mut *self.phase.lock(), Phase::Stopped(None));
        let phase = match phase {
            Phase::Serving(server) => {
                server.stop().await;
                Phase::Stopped(Reserved::bind(self.addr).ok())
            }
            stopped @ Phase::Stopped(_) => stopped,
        };
        *self.phase.lock() = phase;
    }

    /// Listens on the same address again. Does nothing if it is serving.
    ///
    /// # Errors
    ///
    /// If another program has taken the port, which can happen only if it did so at the very moment
    /// of the stop.
    #[expect(
        clippy::unused_async,
        reason = "listening needs a runtime; `await` makes callers be in one"
    )]
    pub async fn restart(&self) -> io::Result<()> {
        let mut phase = self.phase.lock();
        if let Phase::Stopped(reserved) = &mut *phase {
            let reserved = reserved.take().map_or_else(|| Reserved::bind(self.addr), Ok)?;
            *phase = Phase::Serving(reserved.listen(Arc::clone(&self.state))?);
        }
        Ok(())
    }
}

/// Serves with `config` until `shutdown` is done; calls `ready` with the address once it listens.
///
/// Requests are counted and not kept. Answers under way at the shutdown are cut.
///
/// # Errors
///
/// [`StartError`] if it cannot start; `ready` is not called then.
pub async fn run(
    config: Config,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let origin = Builder::new(config).keep_requests(false).start().await?;
    ready(origin.addr());
    shutdown.await;
    origin.stop().await;
    Ok(())
}

/// Writes the URL under which `addr` is reached from this machine.
#[must_use]
pub fn url(mut addr: SocketAddr) -> String {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{addr}")
}
