//! What do the receipts of a purge say, in words and as an exit code?
//!
//! A purge of many things is several entries of the log with a receipt each. Together they are as far
//! as the one that is least far.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use weir_node::config::render_duration;

/// A receipt as the admin API writes it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) state: State,
    pub(crate) mode: String,
    pub(crate) selectors: Vec<String>,
    pub(crate) selectors_total: usize,
    pub(crate) reason: String,
    pub(crate) at: String,
    pub(crate) nodes: BTreeMap<String, Line>,
    /// The JSON that it was read from.
    #[serde(skip)]
    pub(crate) text: String,
}

/// One node on a receipt.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    state: NodeState,
    after_ms: Option<u64>,
    matched: u64,
    counted: bool,
}

/// How far a purge is, from the best to the worst. A word that is not known is no promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It holds everywhere.
    Applied,
    /// It holds everywhere; some nodes ask upstream before they use what they store.
    AppliedWithFenced,
    /// It may not hold everywhere yet.
    #[serde(other)]
    Applying,
}

/// How far a node is, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NodeState {
    Applied,
    Fenced,
    #[serde(other)]
    Pending,
}

impl NodeState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Fenced => "fenced",
            Self::Pending => "pending",
        }
    }
}

impl State {
    /// How a command ends that reports this; one that has not `waited` is done when it has asked.
    pub(crate) fn exit_code(self, waited: bool) -> ExitCode {
        match self {
            _ if !waited => ExitCode::SUCCESS,
            Self::Applied => ExitCode::SUCCESS,
            Self::AppliedWithFenced => ExitCode::from(3),
            Self::Applying => ExitCode::from(4),
        }
    }
}

/// What several receipts say together.
#[derive(Debug)]
pub(crate) struct Summary {
    /// The state of the one that is least far.
    pub(crate) state: State,
    nodes: BTreeMap<String, Line>,
    seqs: (u64, u64),
    id: String,
}

impl Summary {
    /// Sums up `receipts`; `None` without one.
    pub(crate) fn of(receipts: &[Receipt]) -> Option<Self> {
        let (first, last) = (receipts.first()?, receipts.last()?);
        let mut nodes: BTreeMap<String, Line> = BTreeMap::new();
        for (name, line) in receipts.iter().flat_map(|receipt| &receipt.nodes) {
            nodes
                .entry(name.clone())
                .and_modify(|sum| sum.add(line))
                .or_insert_with(|| line.clone());
        }
        Some(Self {
            state: receipts.iter().map(|receipt| receipt.state).max()?,
            nodes,
            seqs: (first.seq, last.seq),
            id: last.id.clone(),
        })
    }

    /// A line a node, then one that says it all. `waited` is how long, if at all.
    pub(crate) fn text(&self, waited: Option<Duration>) -> String {
        if waited.is_none() && self.state == State::Applying {
            let (place, id) = (self.place(), &self.id);
            return format!("taken {place}; `weir purge show {id}` tells how far it is\n");
        }
        self.lines() + &self.verdict(waited)
    }

    /// A line for each node.
    pub(crate) fn lines(&self) -> String {
        let width = self.nodes.keys().map(String::len).max().unwrap_or(0);
        let line = |(name, line): (&String, &Line)| {
            let after = line.after_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
            let so_far = if line.counted { "" } else { " so far" };
            let (state, matched) = (line.state.as_str(), line.matched);
            format!("{name:<width$}  {state:<7}  {after:>8}  {matched} matched{so_far}\n")
        };
        self.nodes.iter().map(line).collect()
    }

    /// The last line.
    pub(crate) fn verdict(&self, waited: Option<Duration>) -> String {
        let (share, place) = (self.share(), self.place());
        match self.state {
            State::Applied => {
                let slowest = self.nodes.values().filter_map(|line| line.after_ms).max();
                format!("applied on {share} nodes in {} ms {place}\n", slowest.unwrap_or(0))
            }
            State::AppliedWithFenced => {
                let fenced = self.named(NodeState::Fenced);
                format!("applied on {share} nodes; {fenced} fenced {place}\n")
            }
            State::Applying => {
                let after = waited
                    .map(|wait| format!(" after {}", render_duration(wait)))
                    .unwrap_or_default();
                let (open, id) = (self.open(), &self.id);
                format!(
                    "still applying{after}: applied on {share} nodes; {open} {place}; `weir purge show {id}` tells how it goes on\n"
                )
            }
        }
    }

    /// What is waited for.
    fn open(&self) -> String {
        let pending = self.named(NodeState::Pending);
        if pending.is_empty() {
            // A log that began anew does not know who may still follow its earlier life.
            return "nodes that the log does not know yet may hold leases".to_owned();
        }
        format!("{pending} pending")
    }

    fn share(&self) -> String {
        let applied = self.nodes.values().filter(|line| line.state == NodeState::Applied).count();
        format!("{applied}/{}", self.nodes.len())
    }

    fn named(&self, state: NodeState) -> String {
        let those = self.nodes.iter().filter(|(_, line)| line.state == state);
        those.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn place(&self) -> String {
        match self.seqs {
            (first, last) if first == last => format!("(seq {last})"),
            (first, last) => format!("(seq {first} to {last})"),
        }
    }
}

impl Line {
    /// Adds what the same node says of the next purge.
    fn add(&mut self, next: &Self) {
        self.state = self.state.max(next.state);
        self.after_ms = self.after_ms.max(next.after_ms);
        self.matched = self.matched.saturating_add(next.matched);
        self.counted &= next.counted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(seq: u64, state: &str, edge: &str) -> Receipt {
        let text = format!(
            r#"{{"id":"p{seq}","seq":{seq},"state":"{state}","mode":"purge","selectors":["everything"],
            "selectors_total":1,"reason":"","by":"edge-0","at":"1970-01-01T00:00:01.000Z","nodes":{{
            "edge-0":{edge},
            "shield":{{"state":"applied","after_ms":0,"matched":2,"counted":true}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn said(receipts: &[Receipt], waited: Option<u64>) -> String {
        Summary::of(receipts).unwrap().text(waited.map(Duration::from_secs))
    }

    const APPLIED: &str = r#"{"state":"applied","after_ms":12,"matched":3,"counted":false}"#;
    const FENCED: &str = r#"{"state":"fenced","after_ms":5100,"matched":0,"counted":false}"#;
    const PENDING: &str = r#"{"state":"pending","matched":0,"counted":false}"#;

    #[test]
    fn each_state_is_said_in_one_line_after_the_nodes() {
        let applied = said(&[receipt(42, "applied", APPLIED)], Some(10));
        assert_eq!(
            applied,
            "edge-0  applied     12 ms  3 matched so far\n\
             shield  applied      0 ms  2 matched\n\
             applied on 2/2 nodes in 12 ms (seq 42)\n"
        );
        let fenced = said(&[receipt(42, "applied_with_fenced", FENCED)], Some(10));
        assert!(fenced.ends_with("\napplied on 1/2 nodes; edge-0 fenced (seq 42)\n"), "{fenced}");
        let open = said(&[receipt(42, "applying", PENDING)], Some(10));
        let last = "\nstill applying after 10s: applied on 1/2 nodes; edge-0 pending (seq 42); `weir purge show p42` tells how it goes on\n";
        assert!(open.ends_with(last), "{open}");
        let strangers = said(&[receipt(42, "applying", APPLIED)], Some(1));
        assert!(strangers.contains("2/2 nodes; nodes that the log does not know"), "{strangers}");
        let taken = said(&[receipt(42, "applying", PENDING)], None);
        assert_eq!(taken, "taken (seq 42); `weir purge show p42` tells how far it is\n");
    }

    #[test]
    fn several_receipts_are_as_far_as_the_one_that_is_least_far() {
        let all = [
            receipt(7, "applied", APPLIED),
            receipt(8, "applied_with_fenced", FENCED),
            receipt(9, "applied", APPLIED),
        ];
        let summary = Summary::of(&all).unwrap();
        assert_eq!(summary.state, State::AppliedWithFenced);
        let text = summary.text(Some(Duration::from_secs(1)));
        assert!(text.contains("edge-0  fenced    5100 ms  6 matched so far\n"), "{text}");
        assert!(text.ends_with("applied on 1/2 nodes; edge-0 fenced (seq 7 to 9)\n"), "{text}");
    }

    #[test]
    fn states_that_are_not_known_promise_nothing() {
        let odd = receipt(1, "melted", r#"{"state":"molten","matched":0,"counted":true}"#);
        assert_eq!((odd.state, odd.nodes["edge-0"].state), (State::Applying, NodeState::Pending));
    }
}
