//! The admin API: is the node alive, ready, and how is it doing; drain it; read its sites again.
//! Purges: `admin_purges`. Preloads: `admin_preloads`, `admin_objects`. Who may: `admin_gate`.
//!
//! Served on a listener of its own. Whatever changes something, or tells what clients ask for, needs
//! a token; liveness, readiness and metrics do not.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use weir_store::DiskStats;

use crate::admin_attempts::Attempts;
use crate::admin_audit::Audit;
use crate::config::{ByteSize, NodeConfig};
use crate::node::Node;
use crate::problem::Problem;
use crate::reload::Reload;
use crate::{admin_gate, admin_objects, admin_preloads, admin_purges};

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) node: Arc<Node>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) audit: Arc<Audit>,
    reload: Option<Reload>,
}

/// The routes of `node`.
pub(crate) fn router(node: Arc<Node>, audit: Arc<Audit>, reload: Option<Reload>) -> Router {
    let admin = Admin { node, attempts: Arc::new(Attempts::new()), audit, reload };
    let guarded = Router::new()
        .route("/v1/nodes", get(nodes))
        .route("/v1/stats", get(stats))
        .route("/v1/purges", post(admin_purges::create).get(admin_purges::list))
        .route("/v1/purges/{id}", get(admin_purges::show))
        .route("/v1/preloads", post(admin_preloads::create).get(admin_preloads::list))
        .route("/v1/preloads/{id}", get(admin_preloads::show).delete(admin_preloads::cancel))
        .route("/v1/objects", put(admin_objects::put))
        .route("/v1/drain", post(drain))
        .route("/v1/config/reload", post(reload_sites))
        .route_layer(middleware::from_fn_with_state(admin.clone(), admin_gate::guard))
        .layer(DefaultBodyLimit::max(admin_purges::BODY_BYTES_MAX));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(guarded)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(admin.clone(), admin_gate::take_purge))
        .with_state(admin)
}

async fn unknown_route(request: Request) -> Problem {
    let detail = format!("there is no {}; see the admin API in the manual", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "No such route", detail)
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!("{} does not take {}", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Wrong method", detail)
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.node.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    if !admin.node.purges.has_joined() {
        let text = "waiting for the purge log: no parent leads to it yet\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let text = admin.node.metrics.render(&admin.node.readings().await);
    let mut response = text.into_response();
    let open_metrics =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, open_metrics);
    response
}

async fn nodes(State(admin): State<Admin>) -> Json<Value> {
    let node = &admin.node;
    let upstreams: Vec<Value> = node
        .upstream_sights()
        .into_iter()
        .map(|upstream| {
            json!({
                "address": upstream.address,
                "healthy": upstream.state.is_usable(),
                "state": upstream.state.as_str(),
                "since_secs": upstream.since.as_secs(),
                "failures": upstream.failures,
                "outstanding": upstream.outstanding,
                "waiting": upstream.waiting,
                "backup": upstream.backup,
            })
        })
        .collect();
    Json(json!({
        "name": node.config.name,
        "tier": node.config.tier.as_str(),
        "version": env!("CARGO_PKG_VERSION"),
        "draining": node.is_draining(),
        "sites": node.site_names(),
        "upstreams": upstreams,
        "purge": {
            "keeps_log": node.keeps_log,
            "applied": node.purges.as_of().map(|as_of| as_of.seq),
            "epoch": node.purges.as_of().map(|as_of| as_of.epoch.to_string()),
            "fenced": node.purges.is_fenced(),
        },
    }))
}

async fn stats(State(admin): State<Admin>) -> Json<Value> {
    let node = &admin.node;
    let readings = node.readings().await;
    let mut outcomes = serde_json::Map::new();
    for (cache, requests, bytes) in node.metrics.totals(&node.site_names()) {
        outcomes.insert(cache.as_str().to_owned(), json!({"requests": requests, "bytes": bytes}));
    }
    Json(json!({
        "node": node.config.name,
        "tier": node.config.tier.as_str(),
        "outcomes": outcomes,
        "fills": {"active": readings.fills_active, "waiters": readings.fill_waiters},
        "store": {
            "bytes": readings.store_bytes,
            "bytes_max": node.config.store.memory.as_u64(),
            "keys": readings.store_keys,
            "evictions": readings.evictions,
            "rejected": readings.rejected,
        },
        "disk": readings.disk.map(|disk| disk_json(&node.config, &disk)),
    }))
}

/// The disk tier as `/v1/stats` shows it.
fn disk_json(config: &NodeConfig, disk: &DiskStats) -> Value {
    json!({
        "open": disk.open,
        "writes_off": disk.writes_off,
        "bytes": disk.bytes,
        "bytes_max": config.store.disk.map(ByteSize::as_u64),
        "keys": disk.keys,
        "files": disk.files,
        "files_max": config.store.on_disk.files_max,
        "index_bytes": disk.index_bytes,
        "free_bytes": disk.free_bytes,
        "waiting_bytes": disk.waiting_bytes,
        "evictions": disk.evictions,
        "rejected": disk.rejected,
        "hits": disk.hits,
        "misses": disk.misses,
        "faults": disk.damaged.saturating_add(disk.missing).saturating_add(disk.unreadable),
    })
}

async fn drain(State(admin): State<Admin>) -> Json<Value> {
    admin.node.drain();
    tracing::info!("draining on request: /readyz fails from now on");
    Json(json!({"draining": true}))
}

async fn reload_sites(State(admin): State<Admin>) -> Result<Json<Value>, Problem> {
    let Some(reload) = &admin.reload else {
        let detail = "this node was started without a configuration file";
        return Err(Problem::new(StatusCode::CONFLICT, "Nothing to read again", detail));
    };
    match reload.run(&admin.node).await {
        Ok(sites) => Ok(Json(json!({"sites": sites}))),
        Err(problems) => {
            let title = "The configuration is wrong; nothing was changed";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title, problems))
        }
    }
}
