//! Starts a node, says where it listens, and ends it cleanly.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin;
use crate::admin_audit::{Audit, Entry};
use crate::admin_audit_file::AuditFile;
use crate::admin_listener;
use crate::admin_tokens::AdminToken;
use crate::clock::Clock;
use crate::config::{NodeConfig, Scheme};
use crate::disk;
use crate::inner::TierSecret;
use crate::listener::{self, Door};
use crate::node::{LogHome, MakeError, Node};
use crate::purge::{self, KeepingStep};
use crate::reload::Reload;
use crate::telemetry;
use crate::tls::follow;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// What a node is given beside its configuration.
#[derive(Clone)]
pub struct Components {
    /// The source of cache time.
    pub clock: Arc<dyn Clock>,
    /// What the tiers prove themselves with; `None` only for a node without parents that no node
    /// asks.
    pub secret: Option<TierSecret>,
    /// Who may do everything by way of the admin API; the configuration may name others.
    pub token: AdminToken,
    /// Where the purge log lies, on a node that keeps it.
    pub log_home: LogHome,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot listen on {address} for {purpose}: {source}; {hint}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What it was for.
        purpose: &'static str,
        /// What the user can do.
        hint: String,
        /// What the system said.
        source: io::Error,
    },
    /// A node that other nodes must know has nothing to prove itself with.
    #[error(
        "{name} is one of several nodes and has no tier secret; set WEIR_TIER_SECRET to the same text of at least \
         {} characters on every node, or give each a certificate (tier_ca, tier_certificate and tier_key in [tls]) and \
         ask only https parents",
        TierSecret::BYTES_MIN
    )]
    NoSecret {
        /// The node.
        name: String,
    },
    /// The audit log of the admin API cannot be written.
    #[error("the audit log cannot be written ([admin] audit_file)")]
    Audit(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The node could not be put together.
    #[error(transparent)]
    Make(#[from] MakeError),
}

/// A node that is running.
pub struct RunningNode {
    node: Arc<Node>,
    audit: Arc<Audit>,
    data: SocketAddr,
    tls: Option<SocketAddr>,
    admin: SocketAddr,
    stop: watch::Sender<bool>,
    /// One for each listener.
    serving: Vec<JoinHandle<()>>,
    following: JoinHandle<()>,
    administering: JoinHandle<()>,
    keeping_step: KeepingStep,
}

/// Starts a node in the present runtime; it answers from the moment this returns.
///
/// # Errors
///
/// [`StartError`]; nothing is left running.
pub async fn start(config: NodeConfig, components: Components) -> Result<RunningNode, StartError> {
    start_with(config, components, None).await
}

/// The same for a node whose sites can be read again.
pub(crate) async fn start_with(
    config: NodeConfig,
    components: Components,
    reload: Option<Reload>,
) -> Result<RunningNode, StartError> {
    let Components { clock, secret, token, log_home } = components;
    if secret.is_none() && needs_secret(&config) {
        return Err(StartError::NoSecret { name: config.name });
    }
    let data_listener = bind(config.listen, "data", "[node] listen (WEIR__NODE__LISTEN)")?;
    let tls_listener = config
        .tls
        .listen
        .map(|address| bind(address, "TLS", "[tls] listen (WEIR__TLS__LISTEN)"))
        .transpose()?;
    let admin_listener = bind(config.admin, "the admin API", "[node] admin (WEIR__NODE__ADMIN)")?;
    let (data, admin) =
        (local(&data_listener, config.listen), local(&admin_listener, config.admin));
    let audit = Arc::new(Audit::new(audit_file(&config)?));
    let tls = tls_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let port = tls.map(|address| address.port());
    let node = Node::new(config, clock, (secret, token), log_home, port)?;
    if let Some(tier) = node.store.disk() {
        disk::wait_open(Arc::clone(tier)).await;
    }
    node.begin_checks();
    let (stop, stopping) = watch::channel(false);
    let router = admin::router(Arc::clone(&node), Arc::clone(&audit), reload);
    let doors = std::iter::once((data_listener, Door::Plain))
        .chain(tls_listener.map(|listener| (listener, Door::Tls)));
    let serving = doors
        .map(|door| tokio::spawn(listener::serve(Arc::clone(&node), door, stopping.clone())))
        .collect();
    let interval = node.config.tls.reread_interval;
    let following = tokio::spawn(follow(Arc::clone(&node.tls), interval));
    let administering = tokio::spawn(admin_listener::serve(admin_listener, router));
    let keeping_step = purge::start(&node);
    let (name, tier) = (&node.config.name, node.config.tier.as_str());
    tracing::info!(%name, tier, %data, ?tls, %admin, "listening");
    let running = RunningNode {
        node,
        audit,
        data,
        tls,
        admin,
        stop,
        serving,
        following,
        administering,
        keeping_step,
    };
    Ok(running)
}

/// Whether the node asks others that could not know it otherwise.
fn needs_secret(config: &NodeConfig) -> bool {
    let (tls, purge) = (&config.tls, &config.purge);
    let mut asked = config.parents.iter().chain(&purge.authority);
    let shows_itself = tls.tier_ca.is_some() && tls.tier_certificate.is_some();
    let unknown = asked.any(|addr| addr.scheme == Scheme::Http || !shows_itself);
    unknown || (purge.nats.server.is_some() && tls.tier_ca.is_none())
}

/// The audit file, where one is wanted. A node that cannot write it does not start.
fn audit_file(config: &NodeConfig) -> Result<Option<AuditFile>, StartError> {
    let path = config.admin_api.audit_file.as_deref();
    path.map(AuditFile::open).transpose().map_err(|error| StartError::Audit(error.into()))
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Binds `address` for `purpose`, which the setting `chosen_by` decides.
fn bind(
    address: SocketAddr,
    purpose: &'static str,
    chosen_by: &str,
) -> Result<TcpListener, StartError> {
    listen_on(address).map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                format!("another process has that port: choose another with {chosen_by}, or --port for `weir up`")
            }
            io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need privileges: choose a higher one with {chosen_by}")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("this machine does not have that address: choose one it has, or 0.0.0.0, with {chosen_by}")
            }
            _ => format!("the address is chosen with {chosen_by}"),
        };
        StartError::Bind { address, purpose, hint, source }
    })
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for connections of the process before it to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl RunningNode {
    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.node.config.name
    }

    /// Where clients and children connect.
    #[must_use]
    pub fn data_url(&self) -> String {
        format!("http://{}", reachable(self.data))
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", reachable(self.admin))
    }

    /// The address that clients and children connect to.
    #[must_use]
    pub fn data_addr(&self) -> SocketAddr {
        self.data
    }

    /// Where clients connect over TLS; `None` where the node does not listen for TLS.
    #[must_use]
    pub fn tls_url(&self) -> Option<String> {
        self.tls.map(|address| format!("https://{}", reachable(address)))
    }

    /// The address that clients connect to over TLS.
    #[must_use]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// Waits until the node is in step with the purge log, for `within` at most; returns whether it is.
    ///
    /// Until then it answers, and reuses nothing that it stores.
    pub async fn in_step(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.node.purges.joined()).await.is_ok()
    }

    /// Reads sites and tokens again because the system said so, which is noted as any other change.
    ///
    /// # Errors
    ///
    /// Every problem with the file, one a line, or that it could not be noted. Nothing was changed.
    pub(crate) async fn reload(&self, reload: &Reload) -> Result<(), String> {
        let entry = Entry::by_system(&self.node, "SIGHUP", "/v1/config/reload");
        let begun = self.audit.begin(&self.node, entry).await;
        let open = begun.map_err(|error| telemetry::chain(&error).to_string())?;
        let read = reload.run(&self.node).await;
        let status = if read.is_ok() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        open.answered(status).await;
        read.map(drop)
    }

    /// Says that the node goes away, lets requests in flight finish within the grace time, and ends.
    pub async fn shutdown(mut self) {
        self.node.drain();
        self.stop.send_replace(true);
        for serving in &mut self.serving {
            if serving.await.is_err() {
                tracing::error!("the listener ended in a panic; please report this");
            }
        }
        self.following.abort();
        self.node.checks.end();
        self.keeping_step.end(&self.node).await;
        // The admin API ends last: readiness can be asked for until here. Aborting it is how it ends.
        self.administering.abort();
        drop((&mut self.administering).await);
        if let Some(tier) = self.node.store.disk() {
            let tier = Arc::clone(tier);
            // What still waits is written.
            drop(tokio::task::spawn_blocking(move || tier.close()).await);
        }
    }
}

impl Drop for RunningNode {
    /// Ends at once what [`RunningNode::shutdown`] has not ended in peace.
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.serving.iter().for_each(JoinHandle::abort);
        self.following.abort();
        self.administering.abort();
        self.node.checks.end();
        self.node.tunnels.cut();
    }
}

/// The address under which a listener on all addresses can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    }
}
