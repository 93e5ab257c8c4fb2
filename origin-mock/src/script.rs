//! How does a test tell the origin what to do with a path?
//!
//! [`Script`] collects a behaviour step by step and [`Script::set`] puts it into force. A script is
//! taken literally: it sends Date and the framing and otherwise only the fields it names, and
//! conditions and ranges of the request are not looked at.
//!
//! # Invariants
//!
//! 1. A path has at most one lasting behaviour; setting another replaces it and what is pending.
//! 2. Behaviours for one request are used in the order in which they were set, before the lasting
//!    one, each exactly once however many requests arrive together.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    answer::{Answer, End, Length, Pace, Plan, Step},
    fields::Fields,
    gate::Hold,
    pattern::Pattern,
    source::Source,
};

/// The behaviour of one path, under construction. Nothing happens before [`Self::set`].
///
/// `delay`, `hold`, `informational`, `send` and `raw` happen in the order in which they are called;
/// the other calls describe the answer and may come anywhere. The head goes out with the first
/// `send`, and whatever has not been sent goes out at the end.
#[derive(Debug)]
#[must_use = "a script has no effect before `set`"]
pub struct Script<'a> {
    scripts: &'a Scripts,
    path: String,
    once: bool,
    keeps_after_raw: bool,
    hold: Hold,
    recipe: Recipe,
}

/// A behaviour that can be carried out any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    status: Option<u16>,
    fields: Fields,
    body: Option<Bytes>,
    length: Length,
    dated: bool,
    before_body: bool,
    plan: Plan,
}

impl<'a> Script<'a> {
    pub(crate) fn new(scripts: &'a Scripts, path: &str) -> Self {
        Self {
            scripts,
            path: path.to_owned(),
            once: false,
            keeps_after_raw: false,
            hold: Hold::new(),
            recipe: Recipe {
                status: None,
                fields: Fields::default(),
                body: None,
                length: Length::Actual,
                dated: true,
                before_body: false,
                plan: Plan::default(),
            },
        }
    }

    /// Answers 200.
    pub fn ok(self) -> Self {
        self.status(200)
    }

    /// Answers with this status; written with three digits, known or not.
    pub fn status(mut self, status: u16) -> Self {
        self.recipe.status = Some(status);
        self
    }

    /// Adds a field line, verbatim and unchecked: neither name nor value need be lawful.
    ///
    /// A script that writes Content-Length or Transfer-Encoding itself gets no other framing, its
    /// body is sent as it is, and the connection closes after it.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.recipe.fields.push(name, value);
        self
    }

    /// Leaves the Date field out.
    pub fn without_date(mut self) -> Self {
        self.recipe.dated = false;
        self
    }

    /// The body. Without it the body is empty, or [`crate::pattern_bytes`] of the length given to
    /// [`Self::content_length`].
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.recipe.body = Some(body.into());
        self
    }

    /// Says this Content-Length, true or not. After a body that is shorter the connection closes;
    /// excess bytes of a longer one are sent and the connection stays open.
    pub fn content_length(mut self, length: u64) -> Self {
        self.recipe.length = Length::Declared(length);
        self
    }

    /// Sends the body in chunks (RFC 9112 §7.1).
    pub fn chunked(mut self) -> Self {
        self.recipe.length = Length::Chunked;
        self
    }

    /// Says no length; the end of the connection ends the body.
    pub fn close_delimited(mut self) -> Self {
        self.recipe.length = Length::Unsaid;
        self
    }

    /// Sends the body in chunks with this trailer field after the last.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.recipe.plan.trailers.push(name, value);
        self.chunked()
    }

    /// Sends the body `chunk` bytes at a time (at least 1) with a pause of `every` between.
    pub fn drip(mut self, chunk: u64, every: Duration) -> Self {
        self.recipe.plan.pace = Some(Pace { bytes: chunk.max(1), every });
        self
    }

    /// Sends the head if it is still due and up to `n` further bytes of the body; 0 for the head
    /// alone.
    pub fn send(self, n: u64) -> Self {
        self.step(Step::Send(n))
    }

    /// Waits until the [`Hold`] that `set` returns is released. Several calls share that hold.
    pub fn hold(self) -> Self {
        let hold = self.hold.clone();
        self.step(Step::Hold(hold))
    }

    /// Waits at another hold, for scripts with more than one point to stop at.
    pub fn hold_at(self, hold: &Hold) -> Self {
        self.step(Step::Hold(hold.clone()))
    }

    /// Waits for a time.
    pub fn delay(self, delay: Duration) -> Self {
        self.step(Step::Delay(delay))
    }

    /// Sends an interim response with these fields. Skipped for clients of HTTP/1.0.
    pub fn informational(self, status: u16, headers: &[(&str, &str)]) -> Self {
        let mut fields = Fields::default();
        for (name, value) in headers {
            fields.push(name, value);
        }
        self.step(Step::Inform(status, fields))
    }

    /// Answers before the body of the request is read, as a refusal by its head alone would, and
    /// closes afterwards.
    pub fn before_body(mut self) -> Self {
        self.recipe.before_body = true;
        self
    }

    /// Sends these bytes verbatim and, after the last step, closes. No head is added.
    pub fn raw(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Raw(bytes.into()))
    }

    /// Resets the connection (RST) after the steps.
    ///
    /// Without a `send` the whole answer goes out before, or nothing at all if the script describes
    /// none. Bytes that the client's system has not taken in when the reset follows are lost; what
    /// fits into its receive buffer arrives.
    pub fn then_reset(mut self) -> Self {
        self.recipe.plan.end = End::Reset;
        self
    }

    /// Closes the connection (FIN) after the steps, without announcing it. Without a `send` as for
    /// [`Self::then_reset`].
    pub fn then_close(mut self) -> Self {
        self.recipe.plan.end = End::Close;
        self
    }

    /// Keeps the connection open after [`Self::raw`] bytes, for excess bytes that only the next
    /// request would notice. Says nothing new for other scripts.
    pub fn then_keep(mut self) -> Self {
        self.recipe.plan.end = End::Keep;
        self.keeps_after_raw = true;
        self
    }

    /// Uses this behaviour for one request only. Several are used in the order of `set`, then the
    /// lasting behaviour is in force again.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Puts the behaviour into force, in place of what the path did before.
    ///
    /// The returned hold is of use if the script has a [`Self::hold`].
    pub fn set(self) -> Hold {
        let Self { scripts, path, once, keeps_after_raw, hold, recipe } = self;
        scripts.set(path, recipe.completed(keeps_after_raw), once);
        hold
    }

    fn step(mut self, step: Step) -> Self {
        self.recipe.plan.steps.push(step);
        self
    }
}

impl Recipe {
    /// Adds the step that sends what is left, where there is something to send.
    fn completed(mut self, keeps_after_raw: bool) -> Self {
        let is_answer = self.status.is_some()
            || self.body.is_some()
            || self.length != Length::Actual
            || !self.fields.is_empty();
        let plan = &mut self.plan;
        let is_raw = plan.steps.iter().any(|step| matches!(step, Step::Raw(_)));
        let sends = plan.steps.iter().any(|step| matches!(step, Step::Send(_)));
        match plan.end {
            End::Keep if is_raw && keeps_after_raw => {}
            End::Keep if is_raw => plan.end = End::Close,
            End::Keep => plan.steps.push(Step::Finish),
            End::Close | End::Reset if is_answer && !is_raw && !sends => {
                plan.steps.push(Step::Finish);
            }
            End::Close | End::Reset => {}
        }
        self
    }

    /// Says whether the body of the request is left unread.
    pub(crate) fn is_before_body(&self) -> bool {
        self.before_body
    }

    /// The answer for one request for `path` at `version`.
    pub(crate) fn answer(&self, path: &str, version: u64) -> Answer {
        let source = match (&self.body, self.length) {
            (Some(body), _) => Source::Bytes(body.clone()),
            (None, Length::Declared(len)) => Source::pattern(Pattern::new(path, version), len),
            (None, _) => Source::empty(),
        };
        Answer {
            status: self.status.unwrap_or(200),
            fields: self.fields.clone(),
            source,
            length: self.length,
            dated: self.dated,
            plan: self.plan.clone(),
        }
    }
}

/// The behaviours in force, by path.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    by_path: Mutex<HashMap<String, Behaviors>>,
}

#[derive(Debug, Default)]
struct Behaviors {
    once: VecDeque<Arc<Recipe>>,
    lasting: Option<Arc<Recipe>>,
}

impl Scripts {
    fn set(&self, path: String, recipe: Recipe, once: bool) {
        let mut by_path = self.by_path.lock();
        let behaviors = by_path.entry(path).or_default();
        let recipe = Arc::new(recipe);
        if once {
            behaviors.once.push_back(recipe);
        } else {
            *behaviors = Behaviors { once: VecDeque::new(), lasting: Some(recipe) };
        }
    }

    /// Removes every behaviour of `path`.
    pub(crate) fn clear(&self, path: &str) {
        self.by_path.lock().remove(path);
    }

    /// The behaviour for the next request for `path`; `None` if there is none.
    pub(crate) fn take(&self, path: &str) -> Option<Arc<Recipe>> {
        let mut by_path = self.by_path.lock();
        let behaviors = by_path.get_mut(path)?;
        behaviors.once.pop_front().or_else(|| behaviors.lasting.clone())
    }
}
