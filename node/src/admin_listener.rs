//! Serves the admin API on its own listener, with bounds of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::admin_gate::Client;
use crate::config::Bandwidth;
use crate::limits::Watch;
use crate::listener::{Guarded, Http1, Phase};
use crate::problem::Problem;

/// Connections at once; more are closed.
const CONNECTIONS_MAX: usize = 256;
/// Time for a request head, idle time included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time in which whoever asks takes no byte of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request head: a URL of `PUT /v1/objects`, and the fields of an object.
const HEAD_MAX: usize = 128 * 1024;
/// Header fields of a request.
const FIELDS_MAX: usize = 128;
/// How long accepting pauses when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` for ever. Dropping the future closes all connections.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, address)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
                let router = router.clone();
                connections.spawn(async move {
                    serve_connection(stream, address, router).await;
                    drop(permit);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, address: SocketAddr, router: Router) {
    let phase = Phase::new();
    let spoken = Http1::new(Arc::clone(&phase));
    let watch = Watch::new(WRITE_TIMEOUT, Bandwidth::ZERO);
    let io = Guarded::new(stream, spoken, Arc::clone(&phase), HEAD_TIMEOUT, watch);
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(Client(address));
        // The head is complete: what a slow route takes is not its client's slowness.
        let (answering, answer) = (phase.begin(), routes.call(request));
        async move {
            if let Some(fault) = answering.fault() {
                let refused =
                    Problem::new(StatusCode::BAD_REQUEST, "Not one request", fault.to_string());
                return Ok(refused.into_response());
            }
            let response = answer.await;
            drop(answering);
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .serve_connection(TokioIo::new(io), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "admin connection ended");
    }
}
