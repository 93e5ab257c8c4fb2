//! How the `[[site.rule]]` tables of one site are read: keys, and what must hold between them.
//!
//! Relations of a rule concern its own table only, so that they are checked where it is read.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use toml::de::{DeTable, DeValue};
use weir_cache::{Glob, Rule};

use super::keys::Visitor;
use super::kinds::{ByStatus, Flag, Maybe, Span, path_glob};
use super::overrides::Overrides;
use super::problem::{Place, Problems, Wrong};
use super::reader::{Given, Reader};
use super::source::Source;

/// Rules of one site. Each request tries them in order.
pub(super) const RULES_MAX: usize = 256;

/// Name of the tables.
const NAME: &str = "site.rule";

/// A rule as it is written; a key that is left out is `None`.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleDraft {
    path: Option<Glob>,
    ttl: Option<Duration>,
    min_ttl: Option<Duration>,
    max_ttl: Option<Duration>,
    respect_origin: Option<bool>,
    bypass: Option<bool>,
    negative_ttl: BTreeMap<StatusCode, Duration>,
}

const LIFETIME: Span = Span { min: Duration::ZERO, max: Duration::from_secs(365 * 24 * 60 * 60) };

impl RuleDraft {
    /// Visits what a rule says.
    pub(super) fn visit(&mut self, v: &mut impl Visitor) {
        v.table(NAME, "What is different under some paths; the first rule that matches counts.");
        v.key("path", &Maybe(path_glob()), &mut self.path, "Paths that it is for. Required.");
        v.key(
            "ttl",
            &Maybe(LIFETIME),
            &mut self.ttl,
            "Lifetime of a response that states none, in place of a guess.",
        );
        v.key(
            "min_ttl",
            &Maybe(LIFETIME),
            &mut self.min_ttl,
            "Least lifetime of a response that has one; not for errors but 404 and 410.",
        );
        v.key("max_ttl", &Maybe(LIFETIME), &mut self.max_ttl, "Greatest lifetime.");
        v.key(
            "respect_origin",
            &Maybe(Flag),
            &mut self.respect_origin,
            "With false, ttl counts before what the response says of its lifetime.",
        );
        v.key("bypass", &Maybe(Flag), &mut self.bypass, "With true, requests go past the store.");
        v.key(
            "negative_ttl",
            &ByStatus { span: LIFETIME },
            &mut self.negative_ttl,
            "Lifetimes of error responses that state none.",
        );
    }

    /// The rule; `None` without a path.
    fn into_rule(self) -> Option<Rule> {
        Some(Rule {
            ttl: self.ttl,
            min_ttl: self.min_ttl,
            max_ttl: self.max_ttl,
            respect_origin: self.respect_origin.unwrap_or(true),
            bypass: self.bypass.unwrap_or(false),
            negative_ttl: self.negative_ttl,
            ..Rule::new(self.path?)
        })
    }

    /// Says what cannot work together, with the key to report it at.
    fn contradictions(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let above =
            |low: Option<Duration>| low.zip(self.max_ttl).is_some_and(|(low, max)| low > max);
        let lifetimes = [self.ttl, self.min_ttl, self.max_ttl].iter().any(Option::is_some)
            || !self.negative_ttl.is_empty();
        let bypass = self.bypass == Some(true);
        let forced = self.respect_origin == Some(false);
        [
            (above(self.min_ttl), "min_ttl", "is above max_ttl; expected at most that"),
            (above(self.ttl), "ttl", "is above max_ttl; expected at most that"),
            (
                forced && self.ttl.is_none(),
                "respect_origin",
                "has no effect without ttl; set it too",
            ),
            (
                bypass && lifetimes,
                "bypass",
                "leaves no effect to the lifetimes; remove one of them",
            ),
        ]
        .into_iter()
        .filter(|(holds, ..)| *holds)
        .map(|(_, key, message)| (key, message))
    }
}

impl From<&Rule> for RuleDraft {
    /// Leaves out what a rule need not say.
    fn from(rule: &Rule) -> Self {
        Self {
            path: Some(rule.path.clone()),
            ttl: rule.ttl,
            min_ttl: rule.min_ttl,
            max_ttl: rule.max_ttl,
            respect_origin: (!rule.respect_origin).then_some(false),
            bypass: rule.bypass.then_some(true),
            negative_ttl: rule.negative_ttl.clone(),
        }
    }
}

/// Reads the rules of the site in `site`.
pub(super) fn read_rules(
    source: &Source,
    site: &DeTable<'_>,
    problems: &mut Problems,
) -> Vec<Rule> {
    let Some(value) = site.get("rule") else { return Vec::new() };
    let DeValue::Array(tables) = value.get_ref() else {
        let wrong = Wrong::new("expected a list of tables, each written [[site.rule]]");
        problems.push(&source.place(value.span().start), NAME, wrong);
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (i, value) in tables.iter().enumerate() {
        let header = source.place(value.span().start);
        if i >= RULES_MAX {
            problems.push(&header, NAME, Wrong::new(format!("more than {RULES_MAX} rules")));
            break;
        }
        match value.get_ref().as_table() {
            Some(table) => rules.extend(read_rule(source, table, &header, problems)),
            None => {
                problems.push(&header, NAME, Wrong::new("expected a table, written [[site.rule]]"));
            }
        }
    }
    rules
}

fn read_rule(
    source: &Source,
    table: &DeTable<'_>,
    header: &Place,
    problems: &mut Problems,
) -> Option<Rule> {
    let mut draft = RuleDraft::default();
    let mut none = Overrides::default();
    let mut reader = Reader::new(source, table, NAME, &mut none, problems);
    draft.visit(&mut reader);
    let given = reader.finish();
    if !given.has("site.rule.path") {
        let wrong = Wrong::new("missing; expected one, for example path = \"/img/**\"");
        problems.push(header, "site.rule.path", wrong);
    }
    check(&draft, &given, problems);
    draft.into_rule()
}

fn check(draft: &RuleDraft, given: &Given, problems: &mut Problems) {
    // One mistake is one problem: a relation with a value that is unsound is not looked at.
    let keys = ["ttl", "min_ttl", "max_ttl", "respect_origin", "bypass", "negative_ttl"];
    if !keys.iter().all(|key| given.is_sound(&format!("{NAME}.{key}"))) {
        return;
    }
    for (key, message) in draft.contradictions() {
        if let Some(mark) = given.set(&format!("{NAME}.{key}")) {
            problems.push(&mark.place, &mark.label, Wrong::new(message));
        }
    }
}
