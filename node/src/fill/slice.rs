//! What does an answer that brings slices mean for what is stored, and may it be kept?

use http::StatusCode;
use weir_cache::purge::Standing;
use weir_cache::{
    NotStorable, Now, ReceivedPart, ResponseHead, StoredHead, Timing, confirmed_by_part, freshen,
};
use weir_store::StoredSlices;

use super::part::Standby;
use super::run::{FillWork, Running, count_not_stored, is_reusable, received_fields, request_head};
use crate::upstream::Answer;

impl Standby {
    fn running(&self) -> &Running {
        &self.0
    }

    /// What a 206 to a request for slices is a part of.
    ///
    /// # Errors
    ///
    /// Why it must not be kept.
    pub(crate) fn part_of(
        &self,
        work: &FillWork,
        answer: &Answer,
        sent: Now,
    ) -> Result<ReceivedPart, NotStorable> {
        let running = self.running();
        let (headers, as_of) = received_fields(running, answer);
        let response = ResponseHead { status: answer.status, headers };
        let timing = Timing { request: sent, response: running.node.clock.now() };
        let policy = work.site.policy_for(&work.keyed, StatusCode::OK);
        let request = request_head(running, work, None);
        ReceivedPart::derive(&policy, &request, &response, timing, as_of)
            .inspect_err(|reason| count_not_stored(running, work, reason.as_str()))
    }

    /// Whether what `part` is a part of is to be kept in slices: it is too large for memory and not for the
    /// disk, its validator is strong, and it may be used more than once.
    pub(crate) fn is_for_slices(&self, part: &ReceivedPart) -> bool {
        let limits = self.running().node.store.limits();
        let fits = part.length() > limits.memory_object_bytes_max
            && part.length() <= limits.object_bytes_max;
        let head = part.head();
        fits && head.strong_etag().is_some()
            && is_reusable(head, head.plan.response_time())
            && !self.is_overtaken()
    }

    /// The head of `slices` after a 206 of the same body; `None` where they may not be kept any more.
    pub(crate) fn confirmed(
        &self,
        work: &FillWork,
        slices: &StoredSlices,
        (answer, sent): (&Answer, Now),
    ) -> Option<StoredHead> {
        let running = self.running();
        let (headers, as_of) = received_fields(running, answer);
        let part = ResponseHead { status: answer.status, headers };
        let timing = Timing { request: sent, response: running.node.clock.now() };
        let policy = work.site.policy_for(&work.keyed, StatusCode::OK);
        let request = request_head(running, work, None);
        let part = (&part, slices.body().len());
        confirmed_by_part(slices.head(), &policy, &request, part, (timing, as_of)).ok()
    }

    /// The head of `slices` after a 304; `None` where they may not be kept any more.
    ///
    /// As for a whole response, the head then reflects what this node knows of purges: none of those has
    /// removed it.
    pub(crate) fn validated(
        &self,
        work: &FillWork,
        slices: &StoredSlices,
        (answer, sent): (&Answer, Now),
    ) -> Option<StoredHead> {
        let running = self.running();
        let (headers, as_of) = received_fields(running, answer);
        let as_of = as_of.min(running.node.purges.applied());
        if self.is_lost(slices) {
            return None;
        }
        let timing = Timing { request: sent, response: running.node.clock.now() };
        let policy = work.site.policy_for(&work.keyed, StatusCode::OK);
        let request = request_head(running, work, None);
        freshen(slices.head(), &policy, &request, &headers, timing, as_of).ok()
    }

    /// Whether a purge or an invalidation has removed `slices` meanwhile.
    pub(crate) fn is_lost(&self, slices: &StoredSlices) -> bool {
        let standing = self.running().node.purges.standing(slices.stored());
        self.is_overtaken() || matches!(standing, Standing::Purged { .. })
    }

    /// Whether an invalidation has overtaken what is being fetched.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.running().fill().is_overtaken()
    }
}
