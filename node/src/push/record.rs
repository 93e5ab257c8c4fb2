//! What do nodes say to each other about preloads?
//!
//! These are the forms on the wire; fields may be added, and nodes ignore those they do not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A preload that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskOrder {
    /// What is fetched, absolute.
    pub(crate) urls: Vec<String>,
    /// What the request is like that is prepared.
    #[serde(flatten)]
    pub(crate) terms: Terms,
    /// The node that was asked.
    pub(crate) by: String,
    /// Why: `asked`, `put` or `hot`.
    pub(crate) reason: String,
}

/// Who fetches, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The tiers whose nodes fetch.
    pub(crate) tiers: Vec<String>,
    /// Nodes of those tiers that do not.
    #[serde(default)]
    pub(crate) except: Vec<String>,
    /// The fields of the request.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// URLs a second and node; zero for no limit beyond the node's own.
    #[serde(default)]
    pub(crate) rate: u32,
    /// The purge log position that a node must have applied before it begins.
    #[serde(default)]
    pub(crate) after: Option<String>,
}

/// A task as a node learns of it: all but its URLs, which it asks for in pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The name of the task.
    pub(crate) id: String,
    /// How many URLs it has.
    pub(crate) total: u64,
    /// Who fetches, and how.
    #[serde(flatten)]
    pub(crate) terms: Terms,
}

impl Head {
    /// Whether the node called `name` of `tier` is to fetch.
    pub(crate) fn is_for(&self, name: &str, tier: &str) -> bool {
        self.terms.is_for(name, tier)
    }
}

impl Terms {
    /// Whether the node called `name` of `tier` is to fetch.
    pub(crate) fn is_for(&self, name: &str, tier: &str) -> bool {
        self.tiers.iter().any(|wanted| wanted == tier) && !self.except.iter().any(|out| out == name)
    }
}

/// All tasks under way, told to a member that has not seen this generation of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct News {
    /// The run of the node that keeps them: another run knows nothing of the tasks before it.
    pub(crate) run: u64,
    /// Changes whenever a task comes or goes.
    pub(crate) generation: u64,
    /// The tasks. Whatever a member works on that is not here is over.
    pub(crate) live: Vec<Head>,
}

/// What a member says with its report to the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What it has seen last.
    pub(crate) run: u64,
    /// The same.
    pub(crate) generation: u64,
    /// How far it is with each task it knows.
    #[serde(default)]
    pub(crate) progress: Vec<NodeProgress>,
    /// What is asked for most there.
    #[serde(default)]
    pub(crate) hot: Vec<HotUrl>,
}

/// A URL that clients ask for often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HotUrl {
    /// The URL.
    pub(crate) url: String,
    /// The request fields that select the variant asked for.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// Requests in the last minute, estimated.
    pub(crate) count: u64,
}

/// How far one node is with one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeProgress {
    /// The task.
    pub(crate) id: String,
    /// URLs to fetch.
    pub(crate) total: u64,
    /// URLs that are stored and fresh there, those that were before included.
    pub(crate) done: u64,
    /// URLs that were so before.
    pub(crate) hits: u64,
    /// URLs given up.
    pub(crate) failed: u64,
    /// Body bytes fetched.
    pub(crate) bytes: u64,
    /// Whether the node is through.
    pub(crate) ended: bool,
    /// The first failures.
    #[serde(default)]
    pub(crate) failures: Vec<Failure>,
}

/// Why one URL was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The URL.
    pub(crate) url: String,
    /// Why.
    pub(crate) why: String,
}

/// Characters told of a URL that failed, and of why.
const FAILURE_CHARS_MAX: usize = 512;

impl Failure {
    /// The same, cut to what is told.
    pub(crate) fn clipped(self) -> Self {
        let clip = |text: String| match text.char_indices().nth(FAILURE_CHARS_MAX) {
            Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
            None => text,
        };
        Self { url: clip(self.url), why: clip(self.why) }
    }
}

/// What is known of a preload; the form of the admin API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Preload {
    /// Its name.
    pub(crate) id: String,
    /// `running`, `done`, `partly`, `cancelled` or `expired`.
    pub(crate) state: String,
    /// `asked`, `put` or `hot`.
    pub(crate) reason: String,
    /// The node that was asked.
    pub(crate) by: String,
    /// When it was asked for.
    pub(crate) at: String,
    /// The tiers whose nodes fetch.
    pub(crate) tiers: Vec<String>,
    /// URLs a node.
    pub(crate) urls: u64,
    /// The sum over the nodes.
    pub(crate) total: u64,
    /// The same of what is done.
    pub(crate) done: u64,
    /// The same of what was fresh before.
    pub(crate) hits: u64,
    /// The same of what was given up.
    pub(crate) failed: u64,
    /// The same of body bytes fetched.
    pub(crate) bytes: u64,
    /// How far each node is.
    pub(crate) nodes: BTreeMap<String, NodeState>,
}

impl Preload {
    /// Whether nothing more will come of it.
    pub(crate) fn has_ended(&self) -> bool {
        self.state != "running"
    }
}

/// One node of a preload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeState {
    /// `waiting`, `running`, `done`, or `gone` for a node that is not heard of any more.
    pub(crate) state: String,
    /// URLs to fetch.
    pub(crate) total: u64,
    /// URLs that are stored and fresh there.
    pub(crate) done: u64,
    /// URLs that were so before.
    pub(crate) hits: u64,
    /// URLs given up.
    pub(crate) failed: u64,
    /// Body bytes fetched.
    pub(crate) bytes: u64,
    /// The first failures.
    pub(crate) failures: Vec<Failure>,
}

/// What is asked of the node that keeps the tasks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// Make a task.
    Create(TaskOrder),
    /// End a task.
    Cancel { id: String },
    /// Tell of one task, after waiting for its end for a while.
    Show { id: String, wait_ms: u64 },
    /// Tell of all tasks kept, the newest first.
    List,
    /// The URLs of a task from number `from` on, as many as go into one answer.
    Page { id: String, from: u64 },
    /// The report of the very node that keeps the tasks, which reports to no log above.
    Own { name: String, tier: String, report: Report, hold_ms: u64 },
}

/// The answer to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// One task; `None` if there is none of that name.
    One(Option<Box<Preload>>),
    /// All tasks.
    All(Vec<Preload>),
    /// Some URLs; none after the last.
    Urls(Vec<String>),
    /// What a report is answered with.
    News(Option<News>),
    /// The task was not made, and why.
    Refused {
        /// What stands in the way.
        why: String,
        /// Whether it may be different later.
        busy: bool,
    },
}
