//! Asks servers in their turn whether they are well, so that requests need not find out.
//!
//! One task a server. What a check changes is decided in [`super::health`]. Checks go over the
//! connections of the server's requests, and take no place among them: a server that is busy is not
//! unwell.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use weir_cache::CacheKey;

use super::group::{Group, Kind};
use super::health::{CheckRules, Verdict};
use super::link::LinkError;
use super::member::Member;
use super::out::{OutBody, OutRequest, Position};
use super::ping;
use super::send::{Upstreams, random};
use crate::config::{OriginConfig, StatusRange, UpstreamConfig};

/// Bytes of an answer that are read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Time for a check of a parent.
const PARENT_WITHIN: Duration = Duration::from_secs(1);
/// How checks of parents count: one that answers may be asked, and one lost answer is none.
const PARENT_RULES: CheckRules = CheckRules { rise: 1, fall: 2 };

/// How a server is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    question: Question,
    interval: Duration,
    within: Duration,
    rules: CheckRules,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    /// A message between tiers.
    Ping,
    /// A GET whose status says how the server is.
    Get { path: String, host: String, good: Vec<StatusRange> },
}

/// A server that is to be checked.
#[derive(Debug)]
pub(crate) struct Wanted {
    member: Arc<Member>,
    plan: Plan,
}

/// The parents of `group`, where they are to be checked.
pub(crate) fn of_parents(group: &Group, config: &UpstreamConfig) -> Vec<Wanted> {
    if config.parent_check_interval.is_zero() {
        return Vec::new();
    }
    let plan = Plan {
        question: Question::Ping,
        interval: config.parent_check_interval,
        within: PARENT_WITHIN,
        rules: PARENT_RULES,
    };
    let wanted = |member: &Arc<Member>| Wanted { member: Arc::clone(member), plan: plan.clone() };
    group.seats().iter().map(|seat| wanted(&seat.member)).collect()
}

/// The servers of a site, where they are to be checked; `origin_host` is the Host that they get.
pub(crate) fn of_origins(
    group: &Group,
    config: &OriginConfig,
    origin_host: Option<&str>,
) -> Vec<Wanted> {
    let Some(path) = config.check_path.as_ref().filter(|_| group.kind() == Kind::Origins) else {
        return Vec::new();
    };
    let wanted = |member: &Arc<Member>| {
        let host = origin_host.unwrap_or_else(|| member.authority()).to_owned();
        let question =
            Question::Get { path: path.clone(), host, good: config.check_status.clone() };
        let rules = CheckRules { rise: config.check_rise, fall: config.check_fall };
        let (interval, within) = (config.check_interval, config.check_timeout);
        Wanted { member: Arc::clone(member), plan: Plan { question, interval, within, rules } }
    };
    group.seats().iter().map(|seat| wanted(&seat.member)).collect()
}

/// The checks of a node; they end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    running: Mutex<Vec<Running>>,
}

#[derive(Debug)]
struct Running {
    wanted: Wanted,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checks {
    /// Checks the servers of `wanted` from now on, and no others. What is checked already as it is
    /// wanted goes on. Of two ways to check one server, the first counts.
    ///
    /// Must be called inside the runtime that is to run the checks.
    pub(crate) fn set(&self, upstreams: &Arc<Upstreams>, wanted: Vec<Wanted>) {
        let mut running = self.running.lock();
        let before = std::mem::take(&mut *running);
        let now = upstreams.now();
        let mut left: Vec<_> = before.into_iter().map(Some).collect();
        for wanted in wanted {
            let same = |other: &Wanted| Arc::ptr_eq(&other.member, &wanted.member);
            if running.iter().any(|other| same(&other.wanted)) {
                continue;
            }
            let known = left.iter_mut().find(|other| {
                other
                    .as_ref()
                    .is_some_and(|other| same(&other.wanted) && other.wanted.plan == wanted.plan)
            });
            if let Some(known) = known.and_then(Option::take) {
                running.push(known);
                continue;
            }
            wanted.member.set_checks(Some(wanted.plan.rules), now);
            let checking =
                check(Arc::clone(upstreams), Arc::clone(&wanted.member), wanted.plan.clone());
            let task = tokio::spawn(checking);
            running.push(Running { wanted, task });
        }
        for ended in left.into_iter().flatten() {
            let same = |other: &Running| Arc::ptr_eq(&other.wanted.member, &ended.wanted.member);
            if !running.iter().any(same) {
                ended.wanted.member.set_checks(None, now);
            }
        }
    }

    /// Ends all checks.
    pub(crate) fn end(&self) {
        self.running.lock().clear();
    }
}

async fn check(upstreams: Arc<Upstreams>, member: Arc<Member>, plan: Plan) {
    // Nodes that start together do not check together.
    sleep(plan.interval.mul_f64(f64::from(u16::try_from(random() >> 48).unwrap_or(0)) / 65_536.0))
        .await;
    loop {
        let verdict = timeout(plan.within, once(&upstreams, &member, &plan.question)).await;
        upstreams.note_check(&member, verdict.unwrap_or(Verdict::Bad));
        sleep(plan.interval).await;
    }
}

/// One check; dropped, it closes its connection. That an idle connection ended when the check came is
/// nobody's failure, so a second one is tried.
async fn once(upstreams: &Upstreams, member: &Member, question: &Question) -> Verdict {
    for _ in 0..2 {
        let (kind, mut request) = match question {
            Question::Ping => (Kind::Parents, ping::request()),
            Question::Get { path, host, .. } => (Kind::Origins, get(path, host)),
        };
        let body = std::mem::take(&mut request.body);
        let Ok(outgoing) = upstreams.compose(kind, member, &request, body) else { break };
        match member.link().request(outgoing, false).await {
            Ok(response) => return verdict(response, question).await,
            Err(LinkError::Connect(_)) => break,
            Err(_) => {}
        }
    }
    Verdict::Bad
}

async fn verdict(response: Response<Incoming>, question: &Question) -> Verdict {
    let (head, body) = response.into_parts();
    // What is longer closes the connection, which is all.
    drop(Limited::new(body, ANSWER_BYTES_MAX).collect().await);
    match question {
        Question::Ping => ping::verdict(head.status),
        Question::Get { good, .. } => of_status(head.status, good),
    }
}

fn of_status(status: StatusCode, good: &[StatusRange]) -> Verdict {
    if good.iter().any(|range| range.contains(status)) { Verdict::Good } else { Verdict::Bad }
}

fn get(path: &str, host: &str) -> OutRequest {
    let mut headers = HeaderMap::new();
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static("weir-check"));
    OutRequest {
        method: Method::GET,
        path_and_query: path.to_owned(),
        headers,
        body: OutBody::Empty,
        key: CacheKey::from_bytes([0; 32]),
        interim: None,
        position: Position::default(),
        avoid: None,
    }
}
