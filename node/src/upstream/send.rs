//! Which servers of a group are asked for one request, how often, and what is noted about each?

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use weir_cache::Timestamp;

use super::answer::Answer;
use super::backoff::pause;
use super::group::{Group, Kind, Queue};
use super::health::Verdict;
use super::member::{Member, Slot};
use super::out::{OutBody, OutRequest};
use super::{FillError, Resendable, Retry};
use crate::clock::Clock;
use crate::config::{NodeConfig, Tier, UpstreamConfig};
use crate::inner::TierSecret;
use crate::metrics::UpstreamMetrics;
use crate::telemetry::chain;

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
    pub(super) metrics: UpstreamMetrics,
}

/// What stays the same from one try of a request to the next.
struct Sending<'a> {
    group: &'a Group,
    request: &'a OutRequest,
    /// What a retry sends as the body.
    spare: Option<OutBody>,
    deadline: Option<Instant>,
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

    /// Health is a matter of cache time, so that tests can move it.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().monotonic
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
        request: OutRequest,
    ) -> Result<Answer, FillError> {
        // It is large, and lies in every future that waits for an answer.
        Box::pin(self.send_in_turn(group, request)).await
    }

    async fn send_in_turn(
        &self,
        group: &Group,
        mut request: OutRequest,
    ) -> Result<Answer, FillError> {
        let body = std::mem::take(&mut request.body);
        let deadline = self.config.total_timeout.map(|total| Instant::now() + total);
        let sending = Sending { group, request: &request, spare: body.again(), deadline };
        group.budget().on_request();
        let Some(mut queue) = group.order(&request.key, self.now()) else {
            self.metrics.open_refused.inc();
            return Err(FillError::Open { servers: group.seats().len() });
        };
        if let Some(avoid) = &request.avoid {
            queue.put_last(avoid);
        }
        let slot = self.slot(&mut queue).await?;
        let mut asked = Arc::clone(&slot.member);
        let mut outcome = self.attempt(&sending, slot, body).await;
        for retry in 1..self.config.tries_max {
            let again = self.again(&sending, &outcome, &queue);
            if again == Retry::Never {
                break;
            }
            let next = self.next_slot(&sending, &mut queue, (again, &asked), retry);
            let next = Box::pin(next).await;
            let Some(slot) = next else { break };
            asked = Arc::clone(&slot.member);
            self.note_retry(&outcome);
            // An answer that is not passed on gives its connection back unread.
            drop(outcome);
            let body = sending.spare.as_ref().and_then(OutBody::again).unwrap_or_default();
            // Seldom, and as large as the first one.
            outcome = Box::pin(self.attempt(&sending, slot, body)).await;
        }
        outcome
    }

    /// The right to the next try after that of `asked`; `None` where that is the last word.
    async fn next_slot(
        &self,
        sending: &Sending<'_>,
        queue: &mut Queue,
        (again, asked): (Retry, &Arc<Member>),
        retry: u32,
    ) -> Option<Slot> {
        if again == Retry::Never || (again == Retry::Elsewhere && queue.is_empty()) {
            return None;
        }
        // That an idle connection ended is nobody's failure, and a fresh one is no second load.
        if again == Retry::Elsewhere && !sending.group.budget().take(self.now()) {
            self.metrics.budget_exhausted.inc();
            return None;
        }
        let until = Instant::now() + pause(retry, self.config.backoff, random());
        if sending.deadline.is_some_and(|deadline| deadline <= until) {
            return None;
        }
        sleep_until(until).await;
        match again {
            // Other connections that were idle as long may be gone as well.
            Retry::Anywhere => asked.slot(&self.config).await.ok().map(Slot::fresh),
            Retry::Elsewhere | Retry::Never => self.slot(queue).await.ok(),
        }
    }

    /// Whether what came of a try is to be followed by another one.
    fn again(
        &self,
        sending: &Sending<'_>,
        outcome: &Result<Answer, FillError>,
        queue: &Queue,
    ) -> Retry {
        // Nothing of a client's body is left once some of it was sent.
        let complete = sending.spare.as_ref().is_some_and(|body| body.again().is_some());
        let replayable = complete && sending.request.method.is_idempotent();
        let (kind, other_well) = (sending.group.kind(), queue.has_well());
        match outcome {
            Err(error) => error.retry(Resendable { replayable, complete, kind, other_well }),
            Ok(answer) => {
                let bodyless = matches!(sending.spare, Some(OutBody::Empty));
                let asked_for = self.config.retry_statuses.contains(&answer.status.as_u16());
                if asked_for && kind == Kind::Origins && replayable && bodyless && other_well {
                    Retry::Elsewhere
                } else {
                    Retry::Never
                }
            }
        }
    }

    /// The right to a connection: to the first server that has one free, else to the first one that
    /// there will be.
    async fn slot(&self, queue: &mut Queue) -> Result<Slot, FillError> {
        if let Some(slot) = queue.take_free() {
            return Ok(slot);
        }
        let member = queue.take().ok_or(FillError::NoUpstream)?;
        match member.slot(&self.config).await {
            Ok(slot) => Ok(slot),
            Err(busy) => {
                // Meanwhile another one may have become free.
                let other = queue.take_free();
                other.ok_or_else(|| {
                    self.metrics.busy.inc();
                    busy
                })
            }
        }
    }

    /// Asks one server once, within the time for the whole request, and notes how it went.
    async fn attempt(
        &self,
        sending: &Sending<'_>,
        slot: Slot,
        body: OutBody,
    ) -> Result<Answer, FillError> {
        let member = Arc::clone(&slot.member);
        let trying = pin!(self.try_once(sending.group.kind(), slot, sending.request, body));
        match within(sending.deadline, trying).await {
            Some(result) => result,
            None => {
                self.metrics.failures(sending.group.kind()).inc();
                Err(FillError::OutOfTime {
                    upstream: member.authority().to_owned(),
                    total: self.config.total_timeout.unwrap_or_default(),
                })
            }
        }
    }

    async fn try_once(
        &self,
        kind: Kind,
        slot: Slot,
        request: &OutRequest,
        body: OutBody,
    ) -> Result<Answer, FillError> {
        let member = Arc::clone(&slot.member);
        let result = self.exchange(kind, slot, request, body).await;
        match &result {
            Ok(_) => {
                self.metrics.requests(kind).inc();
                if member.on_success(self.now()) {
                    tracing::info!(upstream = member.authority(), "answers again");
                }
            }
            Err(error) => {
                self.metrics.failures(kind).inc();
                if error.blames_upstream() {
                    self.note_ejection(&member, member.on_failure(self.now()), error);
                }
            }
        }
        result
    }

    /// Notes what a check of `member` came to.
    pub(super) fn note_check(&self, member: &Member, verdict: Verdict) {
        self.metrics.checks(verdict.as_str()).inc();
        let now = self.now();
        if member.on_check(verdict, now) {
            let state = member.sight(now, false).state.as_str();
            tracing::warn!(upstream = member.authority(), state, "a check changed what it is");
        }
    }

    /// Notes that `member` broke off a body that had begun, or let it stall: `error` says how.
    pub(crate) fn note_broken(&self, member: &Member, error: &FillError) {
        if error.breaks_body() {
            self.note_ejection(member, member.on_broken_body(self.now()), error);
        }
    }

    fn note_ejection(&self, member: &Member, ejected: bool, error: &FillError) {
        if ejected {
            self.metrics.ejections.inc();
            let error = chain(error);
            tracing::warn!(upstream = member.authority(), %error, "passed over for a while");
        }
    }

    fn note_retry(&self, outcome: &Result<Answer, FillError>) {
        let reason = match outcome {
            Ok(answer) => {
                let (upstream, status) = (answer.upstream.authority(), answer.status.as_u16());
                tracing::debug!(upstream, status, "asking another one");
                "status"
            }
            Err(error) => {
                tracing::debug!(error = %chain(error), "asking again");
                error.retry_reason()
            }
        };
        self.metrics.retries(reason).inc();
    }
}

/// Waits for `future` until `deadline`; `None` when that comes first.
async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// A random number; a fixed one where the system has none, which spreads nothing and breaks nothing.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
