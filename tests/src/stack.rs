//! A stack of nodes in this process, from a single edge to three full tiers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::task::JoinHandle;
use weir_cache::{HostPattern, Profile, format_http_date};
use weir_node::config::{NodeConfig, SiteConfig, TierDefaults, UpstreamAddr};
use weir_node::{
    AdminToken, Clock, Components, LogHome, ManualClock, RunningNode, TierSecret, start,
};
use weir_origin_mock::{OriginMock, Script};

use crate::{Metrics, NatsServer, Reply, Request, soon};

/// The admin token of every node here.
pub const TOKEN: &str = "token-for-tests";
/// The secret that the nodes of a stack share.
pub const SECRET: &str = "a tier secret for tests";

type Edit<T> = Box<dyn Fn(&mut T) + Send + Sync>;

/// What a stack is made of.
pub struct Shape {
    edges: usize,
    regionals: usize,
    shield: bool,
    profile: Profile,
    site: Edit<SiteConfig>,
    node: Edit<NodeConfig>,
}

impl Shape {
    /// One edge that asks the origin itself.
    #[must_use]
    pub fn single() -> Self {
        Self {
            edges: 1,
            regionals: 0,
            shield: false,
            profile: Profile::Default,
            site: Box::new(|_| {}),
            node: Box::new(|_| {}),
        }
    }

    /// Edges, regionals and a shield.
    #[must_use]
    pub fn tiers(edges: usize, regionals: usize) -> Self {
        Self { edges, regionals, shield: true, ..Self::single() }
    }

    /// The caching profile of the site.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Changes the site, on every node.
    #[must_use]
    pub fn site(mut self, edit: impl Fn(&mut SiteConfig) + Send + Sync + 'static) -> Self {
        self.site = Box::new(edit);
        self
    }

    /// Changes every node's configuration.
    #[must_use]
    pub fn node(mut self, edit: impl Fn(&mut NodeConfig) + Send + Sync + 'static) -> Self {
        self.node = Box::new(edit);
        self
    }

    /// Has every node follow the purge log on this server.
    #[must_use]
    pub fn log_on(self, server: &NatsServer) -> Self {
        let url = server.url();
        self.node(move |node| {
            node.purge.nats.server = Some(url.clone());
            // The first purges wait for leases that nobody can know of.
            node.purge.lease = Duration::from_secs(3);
        })
    }

    /// Starts the stack with an origin of its own.
    pub async fn start(self) -> Stack {
        let origin = OriginMock::start().await;
        let clock = Arc::new(ManualClock::new());
        let folder = Folder::new();
        let making = Making { shape: &self, origin: &origin, clock: &clock, folder: &folder };
        let mut shields = Vec::new();
        if self.shield {
            shields.push(making.node(weir_shield::defaults(), "shield".to_owned(), &[]).await);
        }
        let mut regionals = Vec::new();
        for index in 0..self.regionals {
            let name = format!("regional-{index}");
            regionals.push(making.node(weir_regional::defaults(), name, &shields).await);
        }
        let parents = if regionals.is_empty() { &shields } else { &regionals };
        let mut edges = Vec::new();
        for index in 0..self.edges {
            edges.push(making.node(weir_edge::defaults(), format!("edge-{index}"), parents).await);
        }
        let stack =
            Stack { origin, clock, edges, regionals, shield: shields.pop(), _folder: folder };
        for node in stack.nodes() {
            node.ready().await;
        }
        stack
    }
}

struct Making<'a> {
    shape: &'a Shape,
    origin: &'a OriginMock,
    clock: &'a Arc<ManualClock>,
    folder: &'a Folder,
}

impl Making<'_> {
    async fn node(&self, defaults: TierDefaults, name: String, parents: &[TestNode]) -> TestNode {
        let mut site = SiteConfig::new("www", self.shape.profile);
        site.hosts = vec![HostPattern::Any];
        site.origins = vec![upstream(self.origin.addr()).into()];
        (self.shape.site)(&mut site);
        let mut config = config(&defaults, &name);
        config.parents = parents.iter().map(|parent| upstream(parent.addr())).collect();
        config.data_dir = Some(self.folder.path.join(&config.name));
        config.sites = vec![site];
        (self.shape.node)(&mut config);
        TestNode::start(config, Arc::clone(self.clock)).await
    }
}

/// The configuration of a node called `name` on free ports of the loopback address, without sites
/// and parents.
#[must_use]
pub fn config(defaults: &TierDefaults, name: &str) -> NodeConfig {
    let mut config = NodeConfig::with_defaults(defaults);
    name.clone_into(&mut config.name);
    config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.admin = config.listen;
    // Health follows cache time here, which stands still; scenarios about checks turn them on.
    config.upstream.parent_check_interval = Duration::ZERO;
    config
}

/// The address of a server as a configuration has it.
#[must_use]
pub fn upstream(address: SocketAddr) -> UpstreamAddr {
    UpstreamAddr::plain(address.ip().to_string(), address.port())
}

/// An address of this machine that nobody listens on.
///
/// For what must know its address before it starts; the system hands the port to nobody else for a
/// while.
#[must_use]
pub fn free_addr() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// A running stack and its origin.
pub struct Stack {
    /// The origin.
    pub origin: OriginMock,
    /// The cache time of every node.
    pub clock: Arc<ManualClock>,
    /// The edges.
    pub edges: Vec<TestNode>,
    /// The regionals.
    pub regionals: Vec<TestNode>,
    /// The shield, where there is one.
    pub shield: Option<TestNode>,
    _folder: Folder,
}

impl Stack {
    /// The first edge.
    #[must_use]
    pub fn edge(&self) -> &TestNode {
        &self.edges[0]
    }

    /// Every node, edges first.
    pub fn nodes(&self) -> impl Iterator<Item = &TestNode> {
        self.edges.iter().chain(&self.regionals).chain(&self.shield)
    }

    /// An answer of the origin with this status, made at the present cache time.
    ///
    /// The origin's own clock does not move with the nodes': without this Date, what it says after
    /// cache time has moved would have aged on arrival (RFC 9111 §4.2.3, `apparent_age`).
    pub fn answer(&self, path: &str, status: u16) -> Script<'_> {
        let date = format_http_date(self.clock.now().wall);
        self.origin.script(path).status(status).header("date", date)
    }

    /// Makes the origin answer `path` with 200, this Cache-Control and this body.
    pub fn serve(&self, path: &str, cache_control: &str, body: impl Into<Bytes>) {
        self.answer(path, 200).header("cache-control", cache_control).body(body).set();
    }

    /// The node that asks the origin.
    #[must_use]
    pub fn top(&self) -> &TestNode {
        self.shield.as_ref().unwrap_or(&self.edges[0])
    }

    /// Moves cache time on every node.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Restarts the first edge at the same address; what it has on disk it keeps.
    pub async fn restart_edge(&mut self) {
        self.edge_while_stopped(|| {}).await;
    }

    /// The same, with something done while it does not run.
    pub async fn edge_while_stopped(&mut self, doing: impl FnOnce()) {
        let edge = self.edges.remove(0);
        let again = edge.restart_after(doing).await;
        self.edges.insert(0, again);
    }

    /// Restarts the shield at the same address; what it has in memory is gone.
    pub async fn restart_shield(&mut self) {
        let shield = self.shield.take().unwrap();
        self.shield = Some(shield.restart().await);
    }
}

/// One running node.
pub struct TestNode {
    running: RunningNode,
    config: NodeConfig,
    clock: Arc<ManualClock>,
}

impl TestNode {
    /// Starts a node with `config` and the cache time of `clock`.
    pub async fn start(config: NodeConfig, clock: Arc<ManualClock>) -> Self {
        Self::start_with(config, clock, TierSecret::new(SECRET)).await
    }

    /// The same with a tier secret of its own, or none.
    pub async fn start_with(
        config: NodeConfig,
        clock: Arc<ManualClock>,
        secret: Option<TierSecret>,
    ) -> Self {
        let shared: Arc<ManualClock> = Arc::clone(&clock);
        let components = Components {
            clock: shared,
            secret,
            token: AdminToken::new(TOKEN).unwrap(),
            log_home: LogHome::OneProcess,
        };
        let running = start(config.clone(), components).await.unwrap();
        Self { running, config, clock }
    }

    /// Waits until the node says that it is ready, if its parents let it.
    pub async fn ready(&self) {
        soon("a node's readiness", async {
            while Request::get("/readyz").send(self.admin_addr()).await.status != 200 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// What the node was told.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Ends the node and starts it again at the same address; what it has in memory is gone.
    pub async fn restart(self) -> Self {
        self.restart_after(|| {}).await
    }

    /// The same, with something done while it does not run.
    pub async fn restart_after(self, doing: impl FnOnce()) -> Self {
        let mut config = self.config.clone();
        config.listen = self.addr();
        config.admin = self.admin_addr();
        let clock = Arc::clone(&self.clock);
        self.shutdown().await;
        doing();
        Self::start(config, clock).await
    }

    /// Where clients and children connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.running.data_addr()
    }

    /// Where clients connect over TLS.
    #[must_use]
    pub fn tls_addr(&self) -> SocketAddr {
        self.running.tls_addr().unwrap()
    }

    /// GETs `path` and waits for the whole response.
    pub async fn get(&self, path: &str) -> Reply {
        Request::get(path).send(self.addr()).await
    }

    /// Sends `request` and waits for the whole response.
    pub async fn send(&self, request: &Request) -> Reply {
        request.send(self.addr()).await
    }

    /// GETs `path` in the background.
    #[must_use]
    pub fn spawn_get(&self, path: &str) -> JoinHandle<Reply> {
        self.spawn(Request::get(path))
    }

    /// Sends `request` in the background.
    #[must_use]
    pub fn spawn(&self, request: Request) -> JoinHandle<Reply> {
        let to = self.addr();
        tokio::spawn(async move { request.send(to).await })
    }

    /// Sends a request to the admin API, with the token.
    pub async fn admin(&self, method: Method, path: &str) -> Reply {
        let token = format!("Bearer {TOKEN}");
        Request::new(method, path).header("authorization", &token).send(self.admin_addr()).await
    }

    /// Sends a body of JSON to the admin API, with the token.
    pub async fn admin_json(&self, method: Method, path: &str, body: &serde_json::Value) -> Reply {
        let token = format!("Bearer {TOKEN}");
        let request = Request::new(method, path).header("authorization", &token);
        request.body(body.to_string()).send(self.admin_addr()).await
    }

    /// Purges what `wish` names, by way of this node, and waits until it holds everywhere.
    pub async fn purge(&self, wish: &serde_json::Value) -> serde_json::Value {
        let reply = self.admin_json(Method::POST, "/v1/purges?wait=10s", wish).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Where the admin API listens.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.running.admin_url().trim_start_matches("http://").parse().unwrap()
    }

    /// What the node counts at this moment.
    pub async fn metrics(&self) -> Metrics {
        let reply = Request::get("/metrics").send(self.admin_addr()).await;
        Metrics::new(String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Waits until the node's counters satisfy `condition`.
    pub async fn metrics_reach(&self, condition: impl Fn(&Metrics) -> bool) {
        soon("a condition on the metrics", async {
            while !condition(&self.metrics().await) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until something is on disk and nothing waits to be written there.
    pub async fn written(&self) {
        self.metrics_reach(|metrics| {
            metrics.get("weir_disk_waiting_keys") == 0.0 && metrics.get("weir_disk_keys") > 0.0
        })
        .await;
    }

    /// Ends the node as a signal would.
    pub async fn shutdown(self) {
        soon("a shutdown", self.running.shutdown()).await;
    }
}

/// A folder of one stack, removed with it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// A name nobody else uses; the folder is made by who writes to it first.
    #[must_use]
    pub fn new() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Relaxed);
        let name = format!("weir-tests-{}-{serial}", std::process::id());
        Self { path: std::env::temp_dir().join(name) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left for the system to clean up.
        drop(std::fs::remove_dir_all(&self.path));
    }
}
