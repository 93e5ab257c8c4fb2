//! Which servers of a group are asked for one request, how often, and what is noted about each?

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Body;

use super::answer::Answer;
use super::group::{Group, Kind};
use super::member::Member;
use super::out::{OutBody, OutRequest};
use super::{FillError, Retry};
use crate::clock::Clock;
use crate::config::{NodeConfig, Tier, UpstreamConfig};
use crate::inner::TierSecret;
use crate::metrics::UpstreamMetrics;

/// How much longer a child waits than its parent does.
const PATIENCE: Duration = Duration::from_secs(1);

/// The node's way upstream.
pub(crate) struct Upstreams {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: UpstreamConfig,
    pub(super) secret: Option<TierSecret>,
    pub(super) node_name: String,
    /// How much longer a parent may take than an origin: it has an upstream of its own to wait for,
    /// and is to give up first, so that its answer says what failed.
    pub(super) patience: Duration,
    metrics: UpstreamMetrics,
}

impl Upstreams {
    /// The way upstream of a node. `secret` is needed where a group of parents is asked.
    pub(crate) fn new(
        node: &NodeConfig,
        clock: Arc<dyn Clock>,
        secret: Option<TierSecret>,
        metrics: UpstreamMetrics,
    ) -> Self {
        let config = node.upstream.clone();
        let patience = match node.tier {
            Tier::Edge => 2 * PATIENCE,
            Tier::Regional | Tier::Shield => PATIENCE,
        };
        Self { clock, config, secret, node_name: node.name.clone(), patience, metrics }
    }

    /// The timeouts and bounds in force.
    pub(crate) fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Sends `request` to the servers of `group` in turn until one answers.
    ///
    /// # Errors
    ///
    /// The last failure, when none may be tried any more. If the future is dropped, the connection
    /// in use is closed.
    pub(crate) async fn send(
        &self,
        group: &Group,
        mut request: OutRequest,
    ) -> Result<Answer, FillError> {
        let body = std::mem::take(&mut request.body);
        let replayable = request.method.is_idempotent() && body.is_end_stream();
        let mut order = group.order(&request.key, self.clock.now().monotonic, &self.config);
        if let Some(avoid) = &request.avoid {
            order.sort_by_key(|member| Arc::ptr_eq(member, avoid));
        }
        let mut body = Some(body);
        let mut candidates = order.iter();
        let mut member = candidates.next().ok_or(FillError::NoUpstream)?;
        for _ in 1..self.config.tries_max {
            let attempt = body.take().unwrap_or_default();
            let error = match self.try_once(group.kind(), member, &request, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.retry(replayable, group.kind()) {
                Retry::Anywhere => {}
                Retry::Elsewhere => match candidates.next() {
                    Some(next) => member = next,
                    None => return Err(error),
                },
                Retry::Never => return Err(error),
            }
            self.metrics.retries.inc();
            tracing::debug!(error = %crate::telemetry::chain(&error), "asking again");
        }
        self.try_once(group.kind(), member, &request, body.take().unwrap_or_default()).await
    }

    /// Notes that `member` has let a body stall that it had begun.
    pub(crate) fn note_stalled(&self, member: &Member) {
        if member.on_failure(self.clock.now().monotonic, &self.config) {
            self.metrics.ejections.inc();
            tracing::warn!(
                upstream = member.authority(),
                "passed over for a while: a body stalled"
            );
        }
    }

    /// Asks one server once and notes how it went.
    async fn try_once(
        &self,
        kind: Kind,
        member: &Arc<Member>,
        request: &OutRequest,
        body: OutBody,
    ) -> Result<Answer, FillError> {
        let result = self.exchange(kind, member, request, body).await;
        match &result {
            Ok(_) => {
                self.metrics.requests(kind).inc();
                member.on_success();
            }
            Err(error) if error.blames_upstream() => {
                self.metrics.failures(kind).inc();
                if member.on_failure(self.clock.now().monotonic, &self.config) {
                    self.metrics.ejections.inc();
                    let error = crate::telemetry::chain(error);
                    tracing::warn!(upstream = member.authority(), %error, "passed over for a while");
                }
            }
            Err(_) => {
                self.metrics.failures(kind).inc();
            }
        }
        result
    }
}
