//! Brings slices that are missing: joins the run that brings them, or asks upstream for them.
//!
//! A fetcher belongs to one request and asks in its name. Runs are tasks of their own, so that no client's
//! leaving ends one that others wait for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use weir_cache::{ByteRange, Continued, Keyed, ResponseHead, Resumption, strip_conditionals};
use weir_store::{SliceWriter, StoredSlices};

use super::run::{Run, RunEnd, Seat, Waited};
use super::table::{Listed, Seated};
use crate::fill::{FillWork, Join, Lead, Standby, get};
use crate::lookup::{Asked, Trust};
use crate::metrics::Reason;
use crate::node::Node;
use crate::site::Site;
use crate::telemetry::chain;
use crate::upstream::{Answer, FillError, Member, OutBody, OutRequest, Position, UpstreamBody};

/// How often in a row one reader asks for a slice that does not come.
const FAILURES_MAX: u32 = 3;
/// How long a run waits at the border of a slice for its readers, with the connection and the turn that it has.
const BORDER_PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits before it asks the second time; each further time twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// Brings missing slices of one response for one request.
pub(crate) struct Fetcher {
    node: Arc<Node>,
    site: Arc<Site>,
    keyed: Keyed,
    /// The fields upstream, without conditions and range.
    upstream_headers: HeaderMap,
    /// The fields of the request, which select the variant.
    headers: HeaderMap,
    position: Position,
    refresh: bool,
    trust: Trust,
    slices: StoredSlices,
}

impl Fetcher {
    /// Brings what is missing of `slices` in the name of a request.
    pub(crate) fn new(node: &Arc<Node>, asked: Asked<'_>, slices: StoredSlices) -> Arc<Self> {
        let work = asked.work(node);
        let mut upstream_headers = work.request.headers;
        for name in [RANGE, IF_RANGE] {
            upstream_headers.remove(name);
        }
        Arc::new(Self {
            node: Arc::clone(node),
            site: work.site,
            keyed: work.keyed,
            upstream_headers,
            headers: variant_fields(asked),
            position: work.request.position,
            refresh: work.refresh,
            trust: work.trust,
            slices,
        })
    }

    pub(super) fn slices(&self) -> &StoredSlices {
        &self.slices
    }

    /// What a run needs of the request.
    pub(super) fn work(&self) -> FillWork {
        FillWork {
            site: Arc::clone(&self.site),
            keyed: self.keyed.clone(),
            request: OutRequest {
                method: Method::GET,
                path_and_query: self.keyed.target.path_and_query(),
                headers: self.upstream_headers.clone(),
                body: OutBody::Empty,
                key: self.keyed.key,
                interim: None,
                position: self.position,
                avoid: None,
            },
            stored: None,
            held: None,
            refresh: self.refresh,
            trust: self.trust,
            method: Method::GET,
        }
    }

    /// A place among the fills, so that an invalidation on the way is noticed.
    pub(super) fn standby(&self) -> Standby {
        let lead = self.node.fills.begin_alone(&Join {
            key: self.keyed.key,
            text: &self.keyed.text,
            purges: &self.node.purges,
            headers: &self.headers,
            policy: &self.site.policy,
            known: Vec::new(),
            as_of: self.node.purges.applied(),
            now: self.node.clock.now().monotonic,
        });
        let Lead { begun, ticket: _ } = lead;
        Standby::new(&self.node, begun)
    }

    /// Waits until the byte at `at` can be read; what follows up to byte `end` is then on its way, too.
    ///
    /// Returns the seat that keeps it coming, where there is need for one.
    ///
    /// # Errors
    ///
    /// It does not come: upstream or the disk failed, or there is another body now.
    pub(crate) async fn bring(
        self: Arc<Self>,
        at: u64,
        end: u64,
    ) -> Result<Option<Seat>, Arc<FillError>> {
        let mut failures = 0;
        loop {
            let Some(seat) = self.seat(at, end) else { return Ok(None) };
            match seat.until(at).await {
                Waited::Here(_) => return Ok(Some(seat)),
                Waited::Ended(RunEnd::Done) => {}
                Waited::Ended(RunEnd::Changed(error)) => return Err(error),
                Waited::Ended(RunEnd::Failed(error)) => {
                    failures += 1;
                    if failures >= FAILURES_MAX {
                        return Err(error);
                    }
                    sleep(PAUSE.saturating_mul(1 << failures.saturating_sub(1))).await;
                }
            }
        }
    }

    /// Brings all that is missing; returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// As for [`Self::bring`]; what came until then stays.
    pub(crate) async fn bring_all(self: &Arc<Self>) -> Result<u64, Arc<FillError>> {
        let body = Arc::clone(self.slices.body());
        let (last, mut bytes, mut kept) =
            (body.slice_of(body.len().saturating_sub(1)), 0_u64, None);
        while let Some((slice, _)) = body.missing(0, last) {
            let range = body.bytes_of(slice);
            let seat = Arc::clone(self).bring(range.end.saturating_sub(1), body.len()).await?;
            bytes = bytes.saturating_add(range.end.saturating_sub(range.start));
            // The seat at the slice before is given up after there is one at this.
            drop(std::mem::replace(&mut kept, seat));
        }
        Ok(bytes)
    }

    /// A seat at the run that brings the byte at `at`, which is begun if there is none; `None` if the byte
    /// is here.
    pub(super) fn seat(self: &Arc<Self>, at: u64, end: u64) -> Option<Seat> {
        let body = self.slices.body();
        if body.holds(at) {
            return None;
        }
        let Seated { seat, begun } = self.node.slices.seat(self.keyed.key, body, (at, end))?;
        if let Some(listed) = begun {
            let fetcher = Arc::clone(self);
            tokio::spawn(async move { Box::pin(fetcher.fetch(listed)).await });
        }
        Some(seat)
    }

    /// Asks upstream for the slices of a run and writes them.
    async fn fetch(self: Arc<Self>, listed: Listed) {
        let run = Arc::clone(listed.run());
        let turns = listed.turns();
        let Ok(_turn) = turns.acquire().await else { return };
        if run.is_deserted() {
            return;
        }
        let standby = self.standby();
        let sent = self.node.clock.now();
        let answer = match self.ask(&run).await {
            Ok(answer) => answer,
            Err(end) => {
                if matches!(end, RunEnd::Changed(_)) {
                    self.node.store.discard_slices(self.keyed.key, &self.slices).await;
                }
                self.end(&run, end);
                return;
            }
        };
        let head = standby.confirmed(&self.work(), &self.slices, (&answer, sent));
        let under_it = head.and_then(|head| self.slices.with_head(self.node.store.compact(head)));
        let Some(slices) = under_it else {
            // They may not be kept under what upstream says of them by now.
            self.node.store.discard_slices(self.keyed.key, &self.slices).await;
            let upstream = answer.upstream.authority().to_owned();
            let error = FillError::Changed { upstream, received: 0 };
            return self.end(&run, RunEnd::Changed(Arc::new(error)));
        };
        if !standby.is_lost(&slices) {
            self.node.store.place_slices(self.keyed.key, &slices).await;
        }
        run.confirm(slices.clone());
        self.write(&standby, (&run, &slices), answer).await;
    }

    /// Writes the slices of a run whose answer is here already.
    pub(super) fn spawn_answered(
        self: &Arc<Self>,
        listed: Listed,
        standby: Standby,
        answer: Answer,
    ) {
        let fetcher = Arc::clone(self);
        tokio::spawn(async move {
            let run = Arc::clone(listed.run());
            run.confirm(fetcher.slices.clone());
            Box::pin(fetcher.write(&standby, (&run, &fetcher.slices), answer)).await;
            drop(listed);
        });
    }

    /// The answer that brings the slices of `run`.
    async fn ask(&self, run: &Run) -> Result<Answer, RunEnd> {
        let failed = |error| RunEnd::Failed(Arc::new(error));
        let body = self.slices.body();
        let (first, end) = (body.bytes_of(run.first()).start, body.bytes_of(run.last()).end);
        let range = ByteRange { first, last: end.saturating_sub(1) };
        let resumption = Resumption::of_range(self.slices.head(), range, body.len())
            .ok_or_else(|| failed(FillError::Abandoned))?;
        let work = self.work();
        let mut headers = work.request.headers.clone();
        strip_conditionals(&mut headers);
        resumption.ask(0, &mut headers);
        let sending = self.node.upstreams.send(&self.site.upstream, get(&work, headers));
        let answer = sending.await.map_err(failed)?;
        let (status, headers) = (answer.status, answer.headers.clone());
        match resumption.judge(0, &ResponseHead { status, headers }) {
            Continued::Rest(_) => Ok(answer),
            Continued::NotNow => Err(failed(FillError::Failing { status })),
            Continued::Again(_) | Continued::Nothing | Continued::Changed => {
                let upstream = answer.upstream.authority().to_owned();
                Err(RunEnd::Changed(Arc::new(FillError::Changed { upstream, received: 0 })))
            }
        }
    }

    /// Writes what comes as far as somebody wants it, and takes note of the slices that came whole.
    async fn write(&self, standby: &Standby, (run, slices): (&Run, &StoredSlices), answer: Answer) {
        let written = self.write_slices(run, slices, answer).await;
        let (store, key) = (&self.node.store, self.keyed.key);
        if standby.is_lost(slices) {
            store.discard_slices(key, slices).await;
        } else {
            store.place_slices(key, slices).await;
            // An invalidation marks the fill before it removes from the store.
            if standby.is_overtaken() {
                store.discard_slices(key, slices).await;
            }
        }
        let end = match written {
            Ok(()) => RunEnd::Done,
            Err(error) => RunEnd::Failed(Arc::new(error)),
        };
        self.end(run, end);
    }

    async fn write_slices(
        &self,
        run: &Run,
        slices: &StoredSlices,
        answer: Answer,
    ) -> Result<(), FillError> {
        let body = slices.body();
        let window = self.node.config.fill.window.as_u64();
        let began = body.bytes_of(run.first()).start;
        let writer = Arc::new(Mutex::new(self.writer(run, slices)?));
        let (mut at, mut came) = (began, Bytes::new());
        let mut source = Source::new(answer, self.node.upstreams.config().idle_timeout);
        while at < body.len() && body.slice_of(at) <= run.last() {
            let slice = body.bytes_of(body.slice_of(at));
            if at == slice.start && at > began {
                // Who reads so slowly asks anew for what follows, and gives way to others until then.
                let goes_on = timeout(BORDER_PATIENCE, run.goes_on(at, window)).await;
                if !goes_on.unwrap_or(false) {
                    break;
                }
            }
            if came.is_empty() {
                came = source.next(at.saturating_sub(began)).await?;
            }
            // Each slice by itself, so that the run can end at its border.
            let left = usize::try_from(slice.end.saturating_sub(at)).unwrap_or(usize::MAX);
            let now = came.split_to(left.min(came.len()));
            at = self.append(&writer, now, run).await?;
        }
        Ok(())
    }

    /// Writes bytes of one slice, and says so; returns where the next one goes.
    async fn append(
        &self,
        writer: &Arc<Mutex<SliceWriter>>,
        bytes: Bytes,
        run: &Run,
    ) -> Result<u64, FillError> {
        let writer = Arc::clone(writer);
        let done = spawn_blocking(move || {
            let mut writer = writer.lock();
            let before = ended(&writer);
            writer.append(&bytes)?;
            let whole = ended(&writer).saturating_sub(before);
            Ok::<_, io::Error>((writer.at(), whole))
        });
        let done = done.await.map_err(io::Error::other).and_then(|done| done);
        let (at, whole) = done.map_err(|source| FillError::Spill { source })?;
        if whole > 0 {
            let counter = self.node.metrics.slices.get_or_create(&Reason { reason: "fetched" });
            counter.inc_by(u64::from(whole));
        }
        run.wrote(at);
        Ok(at)
    }

    fn writer(&self, run: &Run, slices: &StoredSlices) -> Result<SliceWriter, FillError> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "there is no disk tier");
        let tier = self.node.store.disk().ok_or_else(none);
        let body = (slices.stored().as_ref(), slices.body());
        tier.and_then(|tier| tier.resume_body(&self.keyed.key, body, run.first()))
            .map_err(|source| FillError::Spill { source })
    }

    fn end(&self, run: &Run, end: RunEnd) {
        if let RunEnd::Failed(error) | RunEnd::Changed(error) = &end {
            self.node.metrics.fills_failed.inc();
            tracing::warn!(site = self.site.name, target_uri = %self.keyed.target, error = %chain(&**error), "slices did not come");
        }
        run.end(end);
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("slices", &self.slices).finish_non_exhaustive()
    }
}

/// The bytes of an answer.
struct Source {
    body: UpstreamBody,
    upstream: Arc<Member>,
    idle: Duration,
}

impl Source {
    fn new(answer: Answer, idle: Duration) -> Self {
        Self { body: answer.body, upstream: answer.upstream, idle }
    }

    /// The next bytes, of which `received` have come before.
    ///
    /// # Errors
    ///
    /// They do not come, or it ended.
    async fn next(&mut self, received: u64) -> Result<Bytes, FillError> {
        let upstream = || self.upstream.authority().to_owned();
        match timeout(self.idle, self.body.frame()).await {
            Err(_elapsed) => {
                let waited = self.idle;
                Err(FillError::BodyTimeout { upstream: upstream(), received, waited })
            }
            Ok(None) => Err(FillError::Short { upstream: upstream(), received }),
            Ok(Some(Err(source))) => {
                Err(FillError::Truncated { upstream: upstream(), received, source })
            }
            // Trailers are of no use here; after them comes the end.
            Ok(Some(Ok(frame))) => Ok(frame.into_data().unwrap_or_default()),
        }
    }
}

/// How many slices end before the place where `writer` goes on.
fn ended(writer: &SliceWriter) -> u32 {
    let (body, at) = (writer.body(), writer.at());
    let slice = body.slice_of(at);
    // The last one may be shorter than the others.
    if at >= body.len() && body.bytes_of(slice).start < at {
        slice.saturating_add(1)
    } else {
        slice
    }
}

/// The fields of a request that may select a variant: its range and conditions are not among them.
pub(super) fn variant_fields(asked: Asked<'_>) -> HeaderMap {
    let mut headers = asked.inbound.headers.clone();
    strip_conditionals(&mut headers);
    for name in [RANGE, IF_RANGE] {
        headers.remove(name);
    }
    headers
}
