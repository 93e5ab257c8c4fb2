//! `weir up`: the whole stack in one process.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use weir_cache::{HostPattern, Profile};
use weir_node::config::{self, ByteSize, LogConfig, NodeConfig, OriginServer, SiteConfig};
use weir_node::{
    AdminToken, Components, LogHome, RunningNode, Signals, SystemClock, TIER_SECRET, TierSecret,
    admin_token_from_env, random_text, telemetry, tier_secret_from_env,
};
use weir_origin_mock::OriginMock;

use crate::development::Development;
use crate::failure::{Failure, usage};
use crate::output;
use crate::topology::{Shape, Topology, asked_at, disk_size};

/// How long all nodes together may take until they answer.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Runs a shield, regionals and edges in one process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir up                                  two edges, two regionals, a shield, a demo origin
  weir up --origin http://127.0.0.1:3000   the same in front of your own server
  weir up --sites sites.toml --json        sites of your own; addresses as one line of JSON
  weir up --data-dir d --disk 10GiB        what is stored outlives the stack
  weir up --tls --data-dir d               the edges speak TLS too; curl --cacert d/tls/certificate.pem

  curl -i http://127.0.0.1:8080/hello      ask an edge: see Age, Cache-Status and X-Cache

Ports: edge i at PORT+i, regional j at PORT+100+j, shield at PORT+200, demo origin at PORT+300,
TLS of edge i at PORT+400+i;
the admin API of each node is 1000 above its data port. SIGTERM and SIGINT end everything.

Environment: WEIR_ADMIN_TOKEN (made up and printed when unset), WEIR_TIER_SECRET (made up when unset).")]
pub(crate) struct Arguments {
    #[command(flatten)]
    shape: Shape,
    /// The origin of every site; without it a demo origin is started.
    #[arg(long, value_name = "URL")]
    origin: Option<OriginServer>,
    /// The address that everything listens on.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// The folder for the nodes' files; without it the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What each node keeps on disk of stored responses, for example 10GiB; they then outlive the stack.
    #[arg(long, value_name = "SIZE", requires = "data_dir", value_parser = disk_size)]
    disk: Option<ByteSize>,
    /// Let the edges listen for TLS too, at PORT+400+i, with a certificate made for this machine.
    #[arg(long)]
    tls: bool,
    /// A further host that the certificate is for; may be given several times.
    #[arg(long, value_name = "HOST", requires = "tls")]
    tls_name: Vec<String>,
    /// A TOML file of site tables; without it one site serves any host.
    #[arg(long, value_name = "FILE")]
    sites: Option<PathBuf>,
    /// Print the addresses as one line of JSON on standard output, and nothing else there.
    #[arg(long)]
    json: bool,
    /// Write one log line for each request to standard error.
    #[arg(long)]
    access_log: bool,
}

/// Runs the stack until a signal ends it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let _logging = telemetry::start(&LogConfig::default());
    weir_node::descriptors::ask_for_all();
    runtime.block_on(stack(arguments))
}

async fn stack(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen().context("signals cannot be taken over")?;
    let sites = sites(arguments)?;
    let demo = start_demo_origin(arguments, &sites).await?;
    let sites = with_origins(sites, arguments, demo.as_ref());
    let mut topology = arguments.shape.topology(arguments.listen, &sites).map_err(usage)?;
    if let Some(folder) = &arguments.data_dir {
        topology.keep_data_in(folder, arguments.disk);
    }
    let development = development(arguments)?;
    if let Some(certificate) = &development {
        topology.listen_for_tls(certificate.files()).map_err(usage)?;
    }
    let stack = tokio::select! {
        started = start(&topology, arguments.access_log) => started?,
        // A signal before the stack is ready ends it all the same.
        () = signals.end() => return Ok(ExitCode::SUCCESS),
    };
    let origin = shown_origin(&sites, demo.as_ref());
    let certificate = development.as_ref().map(|made| made.files().certificate.as_path());
    let text = || stack.text(&origin, certificate);
    output::out(&if arguments.json { stack.json(&origin) } else { text() })?;
    signals.end().await;
    tokio::select! {
        () = stack.shutdown() => Ok(ExitCode::SUCCESS),
        // Whoever asks twice does not want to wait for the grace time.
        () = signals.end() => Ok(ExitCode::FAILURE),
    }
}

/// The certificate of the edges, where they are to listen for TLS.
fn development(arguments: &Arguments) -> Result<Option<Development>, Failure> {
    if !arguments.tls {
        return Ok(None);
    }
    let made = match &arguments.data_dir {
        Some(folder) => Development::kept_in(&folder.join("tls"), &arguments.tls_name),
        None => Development::for_this_run(&arguments.tls_name),
    };
    Ok(Some(made?))
}

/// The sites asked for: those of the file, or one for any host.
fn sites(arguments: &Arguments) -> Result<Vec<SiteConfig>, Failure> {
    if let Some(path) = &arguments.sites {
        return config::load_sites(path).map_err(usage);
    }
    let mut site = SiteConfig::new("default", Profile::Default);
    site.hosts = vec![HostPattern::Any];
    Ok(vec![site])
}

/// The demo origin, where a site has no other.
async fn start_demo_origin(
    arguments: &Arguments,
    sites: &[SiteConfig],
) -> Result<Option<OriginMock>, Failure> {
    if arguments.origin.is_some() || sites.iter().all(|site| !site.origins.is_empty()) {
        return Ok(None);
    }
    let address = arguments.shape.origin(arguments.listen).map_err(usage)?;
    let origin = OriginMock::builder().listen(address).keep_requests(false).start().await;
    let origin = origin.context("the demo origin does not start; --port moves all ports")?;
    Ok(Some(origin))
}

/// Puts the origin that was asked for, or the demo, where it belongs.
fn with_origins(
    mut sites: Vec<SiteConfig>,
    arguments: &Arguments,
    demo: Option<&OriginMock>,
) -> Vec<SiteConfig> {
    let demo = demo.map(|origin| OriginServer::from(asked_at(origin.addr())));
    for site in &mut sites {
        if let Some(origin) = &arguments.origin {
            site.origins = vec![origin.clone()];
        } else if site.origins.is_empty() {
            site.origins.extend(demo.clone());
        }
    }
    sites
}

/// The origin that is named in the output: that of the first site.
fn shown_origin(sites: &[SiteConfig], demo: Option<&OriginMock>) -> String {
    let first = sites.iter().find_map(|site| site.origins.first()).map(ToString::to_string);
    first.or_else(|| demo.map(OriginMock::url)).unwrap_or_default()
}

/// Starts every node, parents first, and waits until all are ready.
async fn start(topology: &Topology, access_log: bool) -> Result<Stack, Failure> {
    let components = components()?;
    let mut running = Vec::new();
    for node in topology.parents_first() {
        running.push(start_node(node, &components, access_log).await?);
    }
    tokio::time::timeout(READY_WITHIN, all_ready(&running))
        .await
        .context("the nodes did not get ready in time")??;
    let mut nodes = running.into_iter();
    let shield = nodes.next().context("the shield is started first")?;
    let regionals = nodes.by_ref().take(topology.regionals.len()).collect();
    Ok(Stack { shield, regionals, edges: nodes.collect() })
}

fn components() -> Result<Components, Failure> {
    let secret = match tier_secret_from_env().map_err(usage)? {
        Some(secret) => secret,
        // All nodes are in this process, so nobody else needs to know it.
        None => TierSecret::new(&random_text().map_err(anyhow::Error::new)?)
            .with_context(|| format!("no tier secret could be made up; set {TIER_SECRET}"))?,
    };
    let token: AdminToken = admin_token_from_env().map_err(anyhow::Error::new)?;
    let clock = Arc::new(SystemClock::new());
    Ok(Components { clock, secret: Some(secret), token, log_home: LogHome::OneProcess })
}

async fn start_node(
    node: &NodeConfig,
    components: &Components,
    access_log: bool,
) -> Result<RunningNode, Failure> {
    let mut node = node.clone();
    node.log.access = access_log;
    let name = node.name.clone();
    let running = weir_node::start(node, components.clone()).await;
    Ok(running.with_context(|| format!("{name} does not start"))?)
}

/// Asks every node's `/readyz` until it answers 200.
pub(crate) async fn all_ready(nodes: &[RunningNode]) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(READY_WITHIN).build()?;
    for node in nodes {
        let url = format!("{}/readyz", node.admin_url());
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            let answer = client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status() == reqwest::StatusCode::OK) {
                break;
            }
        }
    }
    Ok(())
}

/// A running stack.
struct Stack {
    edges: Vec<RunningNode>,
    regionals: Vec<RunningNode>,
    shield: RunningNode,
}

impl Stack {
    fn json(&self, origin: &str) -> String {
        let all = |nodes: &[RunningNode]| nodes.iter().map(node_json).collect::<Vec<_>>();
        let line = json!({
            "edges": all(&self.edges),
            "regionals": all(&self.regionals),
            "shield": node_json(&self.shield),
            "origin": origin,
        });
        format!("{line}\n")
    }

    fn text(&self, origin: &str, certificate: Option<&Path>) -> String {
        let mut text = String::from("Weir is up.\n\n");
        let nodes = self.edges.iter().chain(&self.regionals).chain(std::iter::once(&self.shield));
        for node in nodes {
            let line =
                format!("  {:<12} {}   admin {}\n", node.name(), node.data_url(), node.admin_url());
            text.push_str(&line);
        }
        for edge in &self.edges {
            if let Some(url) = edge.tls_url() {
                text.push_str(&format!("  {:<12} {url}\n", format!("{} tls", edge.name())));
            }
        }
        let first = self.edges.first().map(RunningNode::data_url).unwrap_or_default();
        text.push_str(&format!("  {:<12} {origin}\n\nTry: curl -i {first}/hello\n", "origin"));
        let secure = self.edges.first().and_then(RunningNode::tls_url);
        if let Some((url, path)) = secure.zip(certificate) {
            text.push_str(&format!("     curl -i --cacert {} {url}/hello\n", path.display()));
        }
        text.push_str("Stop with Ctrl-C.\n");
        text
    }

    /// Ends the nodes, children first, so that none asks a parent that is gone.
    async fn shutdown(self) {
        for node in self.edges.into_iter().chain(self.regionals) {
            node.shutdown().await;
        }
        self.shield.shutdown().await;
    }
}

fn node_json(node: &RunningNode) -> Value {
    let mut shown =
        json!({"name": node.name(), "data": node.data_url(), "admin": node.admin_url()});
    if let (Some(url), Some(fields)) = (node.tls_url(), shown.as_object_mut()) {
        fields.insert("tls".to_owned(), url.into());
    }
    shown
}
