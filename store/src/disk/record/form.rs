//! Which fields does a record have, and in which order?
//!
//! The order and types here are the form on disk: any change of them changes the version. Postcard
//! writes numbers as varints, texts and lists behind their lengths.
//!
//! # Invariant
//!
//! Whatever the fields hold, they make a whole [`Recorded`] or none, and never a panic: the check
//! keeps accidents out, not a file that somebody has made.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use weir_cache::purge::{AsOf, Epoch, TAG_FIELDS, Tags};
use weir_cache::{
    CacheKey, FieldLine, Fields, KeyText, Plan, Present, RuleEffect, Seq, Stamp, StoredHead, Terms,
    Timestamp, UnixTime, VaryPart, VaryRule,
};

use super::{BodyAt, RecordError, Recorded};

/// A record as plain data that borrows what it can.
#[derive(Serialize, Deserialize)]
pub(super) struct Form<'a> {
    key: [u8; 32],
    text: &'a str,
    /// Where host, path and query begin and end in `text`.
    offsets: [u64; 2],
    status: u16,
    #[serde(borrow)]
    headers: Vec<Line<'a>>,
    /// When the head came.
    came: At,
    plan: PlanForm,
    vary: Vec<Part<'a>>,
    /// `None` if the headers tell them.
    tags: Option<TagsForm<'a>>,
    /// Epoch and number.
    as_of: Option<(u64, u64)>,
    body: BodyForm,
}

/// A [`Stamp`].
#[derive(Serialize, Deserialize)]
struct At {
    boot: u64,
    boot_micros: u64,
    wall_micros: i64,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    name: &'a str,
    #[serde(borrow, with = "serde_bytes")]
    value: &'a [u8],
    /// Whether it came as never to be indexed, which holds on every hop (RFC 7541 §6.2.3).
    sensitive: bool,
}

/// A [`Plan`] without `response_time`.
#[derive(Serialize, Deserialize)]
struct PlanForm {
    lifetime: Duration,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    validate_always: bool,
    stale_banned: bool,
    initial_age: Duration,
    date: i64,
    last_modified: Option<i64>,
    heuristic: bool,
    rule: Option<RuleForm>,
}

/// A [`RuleEffect`].
#[derive(Serialize, Deserialize)]
enum RuleForm {
    Ttl,
    MinTtl,
    MaxTtl,
}

/// A [`VaryPart`].
#[derive(Serialize, Deserialize)]
struct Part<'a> {
    name: &'a str,
    #[serde(borrow)]
    lines: Vec<&'a [u8]>,
    normalized: Option<&'a [u8]>,
}

#[derive(Serialize, Deserialize)]
struct TagsForm<'a> {
    #[serde(borrow)]
    list: Vec<&'a str>,
    overflow: bool,
}

/// A [`BodyAt`].
#[derive(Serialize, Deserialize)]
enum BodyForm {
    Whole { digest: [u8; 32], length: u64 },
    Slices { length: u64, slice_bytes: u32, id: [u8; 16] },
}

/// The fields of `recorded`, as they are told at the moment `present`.
pub(super) fn write(recorded: &Recorded, present: &Present) -> Vec<u8> {
    let Recorded { key, text, head, as_of, body } = recorded;
    let vary = head.vary.parts();
    let lines: Vec<FieldLine<'_>> = head.headers.lines().collect();
    let form = Form {
        key: *key.as_bytes(),
        text: text.as_str(),
        offsets: text.offsets().map(crate::response::length),
        status: head.status.as_u16(),
        headers: lines.iter().map(Line::of).collect(),
        came: At::of(present.stamp_of(head.plan.response_time())),
        plan: PlanForm::of(&head.plan),
        vary: vary.iter().map(Part::of).collect(),
        tags: TagsForm::of(head),
        as_of: as_of.map(|AsOf { epoch, seq }| (epoch.get(), seq)),
        body: BodyForm::of(*body),
    };
    // It fails for types that have no length or form of their own, of which there are none above.
    postcard::to_stdvec(&form).unwrap_or_default()
}

impl<'a> Form<'a> {
    /// Reads fields; `None` if they are none, or if anything follows them.
    pub(super) fn read(fields: &'a [u8]) -> Option<Self> {
        let (form, rest) = postcard::take_from_bytes(fields).ok()?;
        rest.is_empty().then_some(form)
    }

    /// Makes what the fields tell, with the age that it has at the moment `present`.
    pub(super) fn recorded(
        &self,
        present: &Present,
        heard: impl Fn(AsOf) -> Seq,
    ) -> Result<Recorded, RecordError> {
        let elapsed = present.elapsed_since(self.came.stamp());
        let as_of = self.as_of.map(|(epoch, seq)| AsOf { epoch: Epoch::new(epoch), seq });
        let mut recorded = self.undated(as_of).ok_or(RecordError::Damaged)?;
        let elapsed = elapsed.ok_or(RecordError::FromTheFuture)?;
        recorded.head.plan = recorded.head.plan.resumed(elapsed, present.monotonic);
        recorded.head.as_of = as_of.map_or_else(Seq::default, heard);
        Ok(recorded)
    }

    /// Makes all but what depends on the moment; `None` if a field has no meaning.
    fn undated(&self, as_of: Option<AsOf>) -> Option<Recorded> {
        let [begin, end] = self.offsets.map(|offset| usize::try_from(offset).ok());
        let headers = headers(&self.headers)?;
        let tags = match &self.tags {
            Some(tags) => Tags::from_parts(tags.list.iter().copied(), tags.overflow),
            None => Tags::of(&headers),
        };
        let parts = self.vary.iter().map(Part::told).collect::<Option<_>>()?;
        Some(Recorded {
            key: CacheKey::from_bytes(self.key),
            text: KeyText::from_parts(self.text, [begin?, end?])?,
            head: StoredHead {
                status: StatusCode::from_u16(self.status).ok()?,
                headers: Fields::from(&headers),
                plan: self.plan.told(),
                vary: VaryRule::from_parts(parts)?,
                as_of: Seq::default(),
                tags,
            },
            as_of,
            body: self.body.told()?,
        })
    }
}

fn headers(lines: &[Line<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::try_with_capacity(lines.len()).ok()?;
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_bytes(line.value).ok()?;
        value.set_sensitive(line.sensitive);
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

impl<'a> Line<'a> {
    fn of(line: &'a FieldLine<'_>) -> Self {
        Self { name: line.name.as_str(), value: &line.value, sensitive: line.sensitive }
    }
}

impl At {
    fn of(Stamp { boot, boot_micros, wall_micros }: Stamp) -> Self {
        Self { boot, boot_micros, wall_micros }
    }

    fn stamp(&self) -> Stamp {
        let Self { boot, boot_micros, wall_micros } = *self;
        Stamp { boot, boot_micros, wall_micros }
    }
}

impl PlanForm {
    fn of(plan: &Plan) -> Self {
        Self {
            lifetime: plan.lifetime(),
            stale_while_revalidate: plan.stale_while_revalidate(),
            stale_if_error: plan.stale_if_error(),
            validate_always: plan.validate_always,
            stale_banned: plan.stale_banned,
            initial_age: plan.initial_age(),
            date: plan.date().as_secs(),
            last_modified: plan.last_modified().map(UnixTime::as_secs),
            heuristic: plan.heuristic,
            rule: plan.rule.map(RuleForm::of),
        }
    }

    fn told(&self) -> Plan {
        let terms = Terms {
            lifetime: self.lifetime,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            validate_always: self.validate_always,
            stale_banned: self.stale_banned,
            initial_age: self.initial_age,
            response_time: Timestamp::ZERO,
            date: UnixTime::from_secs(self.date),
            last_modified: self.last_modified.map(UnixTime::from_secs),
            heuristic: self.heuristic,
            rule: self.rule.as_ref().map(RuleForm::told),
        };
        terms.into()
    }
}

impl RuleForm {
    fn of(effect: RuleEffect) -> Self {
        match effect {
            RuleEffect::Ttl => Self::Ttl,
            RuleEffect::MinTtl => Self::MinTtl,
            RuleEffect::MaxTtl => Self::MaxTtl,
        }
    }

    fn told(&self) -> RuleEffect {
        match self {
            Self::Ttl => RuleEffect::Ttl,
            Self::MinTtl => RuleEffect::MinTtl,
            Self::MaxTtl => RuleEffect::MaxTtl,
        }
    }
}

impl<'a> Part<'a> {
    fn of(VaryPart { name, lines, normalized }: &'a VaryPart) -> Self {
        Self {
            name: name.as_str(),
            lines: lines.iter().map(HeaderValue::as_bytes).collect(),
            normalized: normalized.as_deref(),
        }
    }

    fn told(&self) -> Option<VaryPart> {
        let lines = self.lines.iter().map(|line| HeaderValue::from_bytes(line));
        Some(VaryPart {
            name: HeaderName::from_bytes(self.name.as_bytes()).ok()?,
            lines: lines.collect::<Result<_, _>>().ok()?,
            normalized: self.normalized.map(<[u8]>::to_vec),
        })
    }
}

impl<'a> TagsForm<'a> {
    /// Fields that told tags may have been removed since.
    fn of(head: &'a StoredHead) -> Option<Self> {
        let told = head.tags.iter().next().is_some() || head.tags.is_overflowing();
        if !told && !TAG_FIELDS.iter().any(|name| head.headers.contains(name)) {
            return None;
        }
        let overflow = head.tags.is_overflowing();
        (Tags::of(&head.headers.to_map(0)) != head.tags)
            .then(|| Self { list: head.tags.iter().collect(), overflow })
    }
}

impl BodyForm {
    fn of(body: BodyAt) -> Self {
        match body {
            BodyAt::Slices { length, slice_bytes, id } => Self::Slices { length, slice_bytes, id },
            BodyAt::Whole { digest, length } => Self::Whole { digest, length },
        }
    }

    fn told(&self) -> Option<BodyAt> {
        match *self {
            Self::Slices { slice_bytes: 0, .. } => None,
            Self::Slices { length, slice_bytes, id } => {
                Some(BodyAt::Slices { length, slice_bytes, id })
            }
            Self::Whole { digest, length } => Some(BodyAt::Whole { digest, length }),
        }
    }
}
