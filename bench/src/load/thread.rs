//! One thread of the driver: a runtime of its own, its share of connections and of requests.
//!
//! A slot has one request in flight at most. In the closed loop it takes its next turn when it is free. In the open loop
//! free slots stand in line: the first takes the next arrival, waits until it is due and makes way for the next slot
//! when it sends. So no queue is kept, and a request is late only if no slot was free or this thread was too slow.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::LoadError;
use super::answer::{Answer, Reader};
use super::asking::{Asker, Drawn};
use super::connection::{Connection, Fault, READ_BYTES};
use super::plan::{Pace, Plan, Until};
use super::random::Random;
use super::schedule::{Schedule, Stream, Turn, share};
use super::tally::Tally;
use super::timer::Timer;
use super::watch::Watch;

/// How long a slot of the closed loop waits after it got no connection: a dead server is not asked a million times.
const AFTER_NO_CONNECTION: Duration = Duration::from_millis(10);
/// How often a wait for the next arrival looks whether the run was stopped.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// What a thread is to do.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) plan: Arc<Plan>,
    /// For each place of the plan, what it resolves to.
    pub(crate) places: Arc<[Vec<SocketAddr>]>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) index: usize,
    /// What no other run is called.
    pub(crate) name: String,
    /// Told when the connections are open.
    pub(crate) ready: oneshot::Sender<()>,
    /// Says when to begin.
    pub(crate) go: oneshot::Receiver<Instant>,
}

/// What a thread has done.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) tally: Tally,
    /// When its last slot was done.
    pub(crate) ended: Instant,
}

/// Does the job; returns when the last answer is in.
pub(crate) fn work(job: Job) -> Result<Done, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LoadError::Thread)?;
    LocalSet::new().block_on(&runtime, job.run())
}

impl Job {
    async fn run(self) -> Result<Done, LoadError> {
        let Self { plan, places, watch, index, name, ready, go } = self;
        let count = |whole: usize| u64::try_from(whole).unwrap_or(u64::MAX);
        let (index_wide, threads) = (count(index), count(plan.threads));
        let slots = share(count(plan.connections), index_wide, threads);
        let expected_interval = match plan.pace {
            Pace::Closed { expected_interval } => expected_interval.unwrap_or_default(),
            Pace::Open { .. } => Duration::ZERO,
        };
        let mut random = Random::new(plan.seed.wrapping_add(index_wide));
        let asker = Asker::new(plan.asking.clone(), random.number(), format!("{name}-{index}"));
        let desk = Rc::new(Desk {
            asker: RefCell::new(asker),
            tally: RefCell::new(Tally::new(expected_interval)?),
            buffer: RefCell::new(vec![0; READ_BYTES]),
            done: Cell::new(0),
            places,
            watch,
            index,
            plan,
        });
        let open = open_slots(&desk, slots).await;
        // A coordinator that has gone wants no run.
        let begin = match ready.send(()) {
            Ok(()) => go.await.map_err(|_gone| LoadError::Stopped)?,
            Err(()) => return Err(LoadError::Stopped),
        };
        let line = Rc::new(Line {
            schedule: RefCell::new(desk.schedule(begin, random)),
            timer: Mutex::new(Timer::new().map_err(LoadError::Thread)?),
        });
        let mut running = JoinSet::new();
        for slot in open {
            running.spawn_local(slot.run(Rc::clone(&line), begin));
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|error| LoadError::Thread(error.into()))??;
        }
        let mut tally = desk.tally.replace(Tally::new(Duration::ZERO)?);
        tally.untaken = line.schedule.borrow().untaken();
        Ok(Done { tally, ended: Instant::now() })
    }
}

/// Opens a connection for each slot, so that the run does not begin with a storm of them. One that cannot be opened is
/// tried again, and counted, when it is needed.
async fn open_slots(desk: &Rc<Desk>, count: u64) -> Vec<Slot> {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let desk = Rc::clone(desk);
        opening.spawn_local(async move {
            let mut lines = Vec::new();
            for addresses in desk.places.iter() {
                let open = timeout(desk.plan.timeout, Connection::open(addresses)).await;
                lines.push(open.ok().and_then(Result::ok));
            }
            Slot { desk, lines, reader: Reader::new(), head: Vec::new() }
        });
    }
    opening.join_all().await
}

/// What the slots of a thread share.
#[derive(Debug)]
struct Desk {
    plan: Arc<Plan>,
    places: Arc<[Vec<SocketAddr>]>,
    watch: Arc<Watch>,
    index: usize,
    asker: RefCell<Asker>,
    tally: RefCell<Tally>,
    buffer: RefCell<Vec<u8>>,
    done: Cell<u64>,
}

impl Desk {
    fn schedule(&self, begin: Instant, random: Random) -> Schedule {
        let index = u64::try_from(self.index).unwrap_or(u64::MAX);
        let threads = u64::try_from(self.plan.threads).unwrap_or(u64::MAX);
        let until = match self.plan.until {
            Until::Requests(requests) => Until::Requests(share(requests, index, threads)),
            Until::Elapsed(span) => Until::Elapsed(span),
        };
        let stream = match self.plan.pace {
            Pace::Closed { .. } => None,
            Pace::Open { rate, arrivals } => Some(Stream {
                arrivals,
                rate: rate / threads as f64,
                offset: Duration::try_from_secs_f64(index as f64 / rate).unwrap_or_default(),
                random,
            }),
        };
        Schedule::new(begin, self.plan.warmup, until, stream)
    }

    fn on_done(&self) {
        self.done.set(self.done.get() + 1);
        self.watch.set_done(self.index, self.done.get());
    }
}

/// Where free slots stand until the next arrival is due.
#[derive(Debug)]
struct Line {
    schedule: RefCell<Schedule>,
    timer: Mutex<Timer>,
}

impl Line {
    /// Takes the next turn and waits until it is due; `None` when there are no more, or the run was stopped.
    async fn take(&self, watch: &Watch) -> Result<Option<Turn>, LoadError> {
        let timer = self.timer.lock().await;
        let turn = self.schedule.borrow_mut().take(Instant::now());
        let Some(turn) = turn else { return Ok(None) };
        loop {
            if watch.is_stopped() {
                return Ok(None);
            }
            let now = Instant::now();
            if now >= turn.due {
                return Ok(Some(turn));
            }
            timer.until(turn.due.min(now + LOOKS_EVERY)).await.map_err(LoadError::Thread)?;
        }
    }
}

/// A place for one request in flight.
#[derive(Debug)]
struct Slot {
    desk: Rc<Desk>,
    /// For each place, the connection kept to it.
    lines: Vec<Option<Connection>>,
    reader: Reader,
    head: Vec<u8>,
}

impl Slot {
    async fn run(mut self, line: Rc<Line>, begin: Instant) -> Result<(), LoadError> {
        let is_open = matches!(self.desk.plan.pace, Pace::Open { .. });
        let mut free_since = begin;
        if !is_open {
            Timer::new()
                .map_err(LoadError::Thread)?
                .until(begin)
                .await
                .map_err(LoadError::Thread)?;
        }
        loop {
            let turn = if is_open {
                line.take(&self.desk.watch).await?
            } else if self.desk.watch.is_stopped() {
                None
            } else {
                line.schedule.borrow_mut().take(Instant::now())
            };
            let Some(turn) = turn else { return Ok(()) };
            if is_open && turn.counts {
                let late = Instant::now().saturating_duration_since(turn.due);
                self.desk.tally.borrow_mut().on_start(late, free_since <= turn.due);
            }
            let asked = self.ask(turn).await;
            free_since = Instant::now();
            if !is_open && asked.is_err_and(|fault| matches!(fault, Fault::Connect(_))) {
                tokio::time::sleep(AFTER_NO_CONNECTION).await;
            }
        }
    }

    /// Asks once and counts what came of it.
    async fn ask(&mut self, turn: Turn) -> Result<(), Fault> {
        let desk = Rc::clone(&self.desk);
        let drawn = desk.asker.borrow_mut().draw(&mut self.head);
        let mut bytes = 0;
        let asked = timeout(desk.plan.timeout, self.exchange(drawn, turn.counts, &mut bytes)).await;
        let asked = asked.unwrap_or(Err(Fault::Timeout));
        let latency = turn.due.elapsed();
        if !asked.as_ref().is_ok_and(|answer| answer.reusable)
            && let Some(line) = self.lines.get_mut(drawn.place)
        {
            *line = None;
        }
        if turn.counts {
            let mut tally = desk.tally.borrow_mut();
            tally.bytes = tally.bytes.saturating_add(bytes);
            tally.misses_asked += u64::from(drawn.miss);
            match &asked {
                Ok(answer) => tally.on_answer(answer, latency),
                Err(fault) => tally.on_fault(fault, latency),
            }
        }
        desk.on_done();
        asked.map(drop)
    }

    /// Asks on the connection that is kept, or on another one where the server has given that up.
    async fn exchange(
        &mut self,
        drawn: Drawn,
        counts: bool,
        bytes: &mut u64,
    ) -> Result<Answer, Fault> {
        let Self { desk, lines, reader, head } = self;
        let none = || Fault::Connect(std::io::ErrorKind::NotFound.into());
        let line = lines.get_mut(drawn.place).ok_or_else(none)?;
        loop {
            let connection = match line {
                Some(connection) => connection,
                None => {
                    let addresses = desk.places.get(drawn.place).ok_or_else(none)?;
                    line.insert(Connection::open(addresses).await?)
                }
            };
            let used = connection.used;
            reader.begin(desk.plan.asking.is_head());
            let answer = connection.exchange(head, reader, &desk.buffer, bytes).await;
            let unbegun =
                matches!(answer, Err(Fault::Closed | Fault::Lost(_))) && !reader.has_begun();
            if !(used && unbegun) {
                return answer;
            }
            // A server may close an idle connection at any time (RFC 9112 §9.3.1); GET and HEAD may be sent again. The
            // next connection is unused, so this happens once.
            *line = None;
            if counts {
                desk.tally.borrow_mut().reopened += 1;
            }
        }
    }
}
