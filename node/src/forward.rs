//! Passes a request on without looking at the store.

use std::sync::Arc;

use http::Method;
use weir_cache::{ForwardReason, Now};

use crate::consequences::{Change, is_kept_for_gets, may_answer_later_gets};
use crate::fill::{self, FillWork, Lead, Progress};
use crate::limits::Upload;
use crate::lookup::{Asked, join};
use crate::node::Node;
use crate::outcome::Outcome;
use crate::tunnel;
use crate::upstream::request::forward_request;
use crate::upstream::{Answer, FillError, OutRequest};

/// Passes the request on, body and all.
pub(crate) async fn forward(
    node: &Arc<Node>,
    asked: Asked<'_>,
    body: Option<Upload>,
    why: ForwardReason,
    detail: Option<&'static str>,
) -> Outcome {
    let place = match asked.inbound.upgrade.is_some().then(|| tunnel::place(node)).transpose() {
        Ok(place) => place,
        Err(error) => return Outcome::failed(Arc::new(error), why),
    };
    let mut request = forward_request(asked.inbound, body, asked.keyed, asked.site, &node.hop);
    request.interim = asked.interim_sink();
    request.position = asked.position(node);
    let sent = node.clock.now();
    match send(node, asked, request).await {
        Ok(answer) if answers_later_gets(asked, &answer) => {
            keep_for_gets(node, asked, answer, sent).await
        }
        Ok(answer) => match place.filter(|_| answer.upgrade.is_some()) {
            Some(place) => {
                Outcome::switching(tunnel::open(node, asked, answer, place), why, detail)
            }
            None => Outcome::forwarded(answer, why, detail),
        },
        Err(error) => {
            note_failure(node, asked, &error);
            Outcome::failed(Arc::new(error), why)
        }
    }
}

/// Says that a request was not forwarded. What the client alone did wrong is nothing to warn of.
fn note_failure(node: &Node, asked: Asked<'_>, error: &FillError) {
    let (site, uri) = (&asked.site.name, asked.inbound.target.uri());
    let chain = crate::telemetry::chain(error).to_string();
    if let Some(reason) = error.limit() {
        node.metrics.note_limited(site, reason);
        let (client, id) = (asked.inbound.address, &asked.inbound.request_id);
        tracing::debug!(site, reason, target_uri = uri, %client, request_id = ?id, "given up");
        return;
    }
    tracing::warn!(site, target_uri = uri, error = chain, "not forwarded");
}

/// Sends the request and lets its answer take effect on what is stored.
///
/// A request that may change something is sent from a task of its own: what it changed is
/// invalidated also when its client leaves before the answer.
async fn send(
    node: &Arc<Node>,
    asked: Asked<'_>,
    request: OutRequest,
) -> Result<Answer, FillError> {
    if asked.inbound.method.is_safe() {
        return node.upstreams.send(&asked.site.upstream, request).await;
    }
    let (node, change) = (Arc::clone(node), Change::of(asked));
    let upstream = Arc::clone(&asked.site.upstream);
    let sending = tokio::spawn(async move {
        let answer = node.upstreams.send(&upstream, request).await?;
        change.take_effect(&node, &answer).await;
        Ok(answer)
    });
    sending.await.unwrap_or(Err(FillError::Abandoned))
}

/// Whether the answer is to be stored for later GETs of its target.
fn answers_later_gets(asked: Asked<'_>, answer: &Answer) -> bool {
    may_answer_later_gets(asked) && is_kept_for_gets(answer)
}

/// Streams the answer to a POST through a fill of its own, so that it is stored when it is whole.
async fn keep_for_gets(node: &Arc<Node>, asked: Asked<'_>, answer: Answer, sent: Now) -> Outcome {
    let why = ForwardReason::Method;
    let Lead { begun, ticket } = node.fills.begin_alone(&join(node, asked, None));
    let work = FillWork { method: Method::POST, ..asked.work(node) };
    fill::spawn_answered(node, begun, work, answer, sent);
    match ticket.progress().await {
        Progress::Shared(head) | Progress::Private(head) => Outcome::filling(head, ticket, why),
        Progress::Failed(error) => Outcome::failed(error, why),
        Progress::Pending | Progress::Settled(_) | Progress::Abandoned => {
            Outcome::failed(Arc::new(FillError::Abandoned), why)
        }
    }
}
