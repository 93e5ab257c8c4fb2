//! Large bodies whose slices lie on disk: asked for, fetched and sent slice by slice.
//!
//! A range of something large and unknown is asked for from one border of slices to another, and what comes is
//! kept. Who wants a byte that is not here waits for the run of slices that brings it, whoever asked for that
//! first; all else is read from disk. So a reader never sees where its bytes come from.
//!
//! ```text
//! nothing stored ── ask ──► 206 of something large ──► stored with its first slices ─┐
//!                     └───► anything else: as it was, without slices                 ├─► reader
//! slices stored ── serve ── fresh, stale and confirmed, or dropped and begun anew ───┘     │ missing
//!                                                              fetcher ◄── seat ── table ◄─┘
//!                                                                 └─ run: If-Range ──► slices on disk
//! ```
//!
//! # Invariants
//!
//! 1. Bytes of one answer are of one body: a slice is fetched with `If-Range` and its strong `ETag`, and an
//!    answer of another body ends the reader.
//! 2. A missing slice is fetched by one run at a time, and no run asks for more than
//!    [`RUN_SLICES_MAX`](weir_cache::RUN_SLICES_MAX) slices.
//! 3. A run stops at the next border of slices once nobody waits for what it brings.

mod ask;
mod fetcher;
mod run;
mod serve;
mod table;

use http::header::RANGE;
use http::{HeaderValue, Method};
use weir_cache::purge::Standing;
use weir_cache::{ByteRange, aligned_range};
use weir_store::{StoredSlices, Variants};

pub(crate) use ask::open;
pub(crate) use fetcher::Fetcher;
pub(crate) use run::Seat;
pub(crate) use serve::{SlicesAnswer, lacks, serve};
pub(crate) use table::SliceTable;

use crate::lookup::{Asked, Trust};
use crate::node::Node;
use crate::outcome::Outcome;

/// What an attempt to answer with slices came to.
pub(crate) enum Attempt {
    /// An answer.
    Done(Box<Outcome>),
    /// What is stored has changed; the request is to be looked up again.
    Again,
}

impl Attempt {
    fn done(outcome: Outcome) -> Self {
        Self::Done(Box::new(outcome))
    }
}

/// The range to be asked for in place of the one that the request wants of something unknown; `None` where
/// it is not to be fetched in slices.
pub(crate) fn range_to_open(node: &Node, asked: Asked<'_>) -> Option<ByteRange> {
    let tier = node.store.disk()?;
    let range = asked.inbound.headers.get(RANGE).map(HeaderValue::as_bytes)?;
    if asked.inbound.method != Method::GET || node.unsliced.contains(&asked.keyed.key) {
        return None;
    }
    aligned_range(range, u64::from(tier.limits().slice_bytes))
}

/// The response of which slices are missing that the request selects, unless a purge has removed it.
pub(crate) async fn select(
    node: &Node,
    asked: Asked<'_>,
    variants: &Variants,
) -> Option<StoredSlices> {
    if asked.inbound.method != Method::GET {
        return None;
    }
    let slices = variants.select_slices(&asked.inbound.headers, &asked.site.policy)?.clone();
    if matches!(node.purges.standing(slices.stored()), Standing::Purged { .. }) {
        node.store.discard_slices(asked.keyed.key, &slices).await;
        return None;
    }
    // A list goes upstream as it is where not all of it is here: it may be the whole that it costs else.
    let is_list =
        asked.inbound.headers.get(RANGE).is_some_and(|range| range.as_bytes().contains(&b','));
    if is_list && lacks(asked, &slices) {
        return None;
    }
    Some(slices)
}

/// Whether what is stored may be used without asking upstream, as far as purges go.
pub(crate) fn is_trusted(node: &Node, asked: Asked<'_>, slices: &StoredSlices) -> bool {
    asked.trust == Trust::Full && node.purges.standing(slices.stored()) == Standing::Clear
}
