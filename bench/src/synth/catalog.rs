//! What is there to be asked for, how large is it, and how long is it fresh?

use super::draws::{Draws, Zipf, mix, normal_quantile};
use super::preset::Parameters;

/// Ranks that a region may have in another order: neighbors, so that what is popular is so everywhere.
const BLOCK: usize = 16;

/// One thing that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thing {
    /// Its number; the same for ever.
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) max_age_secs: u64,
}

/// What is in the catalog, by rank.
#[derive(Debug)]
pub(super) struct Catalog {
    ranks: Zipf,
    things: Vec<Thing>,
    next_number: u64,
}

impl Catalog {
    pub(super) fn new(parameters: &Parameters, draws: &mut Draws) -> Self {
        let count = parameters.objects;
        let mut catalog = Self {
            ranks: Zipf::new(count, parameters.alpha),
            things: Vec::with_capacity(count),
            next_number: 0,
        };
        for rank in 0..count {
            let thing = catalog.make(rank, parameters, draws);
            catalog.things.push(thing);
        }
        catalog
    }

    /// A new thing for a rank.
    fn make(&mut self, rank: usize, parameters: &Parameters, draws: &mut Draws) -> Thing {
        let quantile = (rank as f64 + 0.5) / parameters.objects as f64;
        let number = self.next_number;
        self.next_number += 1;
        let bytes = size(parameters, normal_quantile(quantile), draws);
        Thing { number, bytes, max_age_secs: max_age(parameters.max_ages, draws) }
    }

    /// What a client of `region` asks for.
    pub(super) fn draw(&self, region: u32, draws: &mut Draws) -> Option<Thing> {
        let rank = self.ranks.draw(draws);
        self.things.get(self.of_region(rank, region)).copied()
    }

    /// The rank in all that stands at `rank` in a region: neighbors are in another order there.
    fn of_region(&self, rank: usize, region: u32) -> usize {
        let block = rank / BLOCK;
        if (block + 1) * BLOCK > self.things.len() || region == 0 {
            return rank;
        }
        let spread = mix(u64::from(region) ^ mix(block as u64));
        // An odd factor and a shift map the places of a block to one another.
        let factor = usize::try_from(spread % BLOCK as u64).unwrap_or(0) | 1;
        let shift = usize::try_from((spread >> 32) % BLOCK as u64).unwrap_or(0);
        block * BLOCK + (rank % BLOCK * factor + shift) % BLOCK
    }

    /// Replaces a share of the things by new ones of the same rank.
    pub(super) fn churn(&mut self, parameters: &Parameters, draws: &mut Draws) {
        for rank in 0..self.things.len() {
            if draws.happens(parameters.churn) {
                let thing = self.make(rank, parameters, draws);
                if let Some(place) = self.things.get_mut(rank) {
                    *place = thing;
                }
            }
        }
    }

    /// The most popular ones.
    pub(super) fn top(&self, count: usize) -> &[Thing] {
        self.things.get(..count.min(self.things.len())).unwrap_or_default()
    }
}

/// A size; `by_rank` is where in the order of ranks the thing stands, as a normal number.
pub(super) fn size(parameters: &Parameters, by_rank: f64, draws: &mut Draws) -> u64 {
    let (mean, deviation) = parameters.size;
    let tie = parameters.size_by_rank.clamp(-1.0, 1.0);
    let normal = tie.mul_add(by_rank, (1.0 - tie * tie).sqrt() * draws.normal());
    let bytes = mean + deviation * normal;
    // 40 is the logarithm of 200 petabytes; casts of floats saturate.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and e^40"
    )]
    let bytes = bytes.clamp(0.0, 40.0).exp() as u64;
    bytes.clamp(1, parameters.size_max.unwrap_or(u64::MAX).max(1))
}

/// A lifetime from a mix.
pub(super) fn max_age(mix: &[(u64, f64)], draws: &mut Draws) -> u64 {
    let mut at = draws.unit();
    for (secs, share) in mix {
        if at < *share {
            return *secs;
        }
        at -= share;
    }
    mix.last().map_or(0, |(secs, _)| *secs)
}
