//! Which number comes next? Chances that a seed repeats.
//!
//! Written by hand because it is a page: the mixing of `SplitMix64`, and what is drawn with it. Nothing secret may
//! depend on it.

/// A source of numbers; the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A source that repeats what `seed` gave before. Neighboring seeds give unrelated numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, each as likely as the others up to one part in 2^64; 0 where `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.number()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time between arrivals that know nothing of each other, `mean` on average (exponential).
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        // 1 - unit is in (0, 1], whose logarithm is finite.
        -mean * (1.0 - self.unit()).ln()
    }
}

/// Ranks whose likelihood falls with a power: rank k is drawn 1/(k+1)^a as often as rank 0.
///
/// Rejection-inversion of Hörmann and Derflinger (1996): no table, so that a billion keys cost what ten cost.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    ranks: f64,
    exponent: f64,
    at_first: f64,
    at_last: f64,
    squeeze: f64,
}

impl Zipf {
    /// Over `ranks` ranks (at least 1) with `exponent` above 0.
    pub(crate) fn new(ranks: u64, exponent: f64) -> Self {
        let ranks = ranks.max(1) as f64;
        let mut zipf = Self { ranks, exponent, at_first: 0.0, at_last: 0.0, squeeze: 0.0 };
        zipf.at_first = zipf.area(1.5) - 1.0;
        zipf.at_last = zipf.area(ranks + 0.5);
        zipf.squeeze = 2.0 - zipf.place(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    /// A rank, from 0.
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.at_last + random.unit() * (self.at_first - self.at_last);
            let place = self.place(area);
            let rank = place.round().clamp(1.0, self.ranks);
            let inside = rank - place <= self.squeeze;
            if inside || area >= self.area(rank + 0.5) - self.height(rank) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number between 1 and the number of ranks"
                )]
                return (rank as u64).saturating_sub(1);
            }
        }
    }

    fn height(&self, place: f64) -> f64 {
        (-self.exponent * place.ln()).exp()
    }

    /// The area under `height` up to `place`, less a constant.
    fn area(&self, place: f64) -> f64 {
        let log = place.ln();
        let power = (1.0 - self.exponent) * log;
        // (e^x - 1) / x, which is 1 at 0.
        let slope = if power.abs() > 1e-8 { power.exp_m1() / power } else { 1.0 + power / 2.0 };
        slope * log
    }

    /// The inverse of `area`.
    fn place(&self, area: f64) -> f64 {
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        // ln(1 + x) / x, which is 1 at 0.
        let slope = if scaled.abs() > 1e-8 { scaled.ln_1p() / scaled } else { 1.0 - scaled / 2.0 };
        (slope * area).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let drawn = |seed| {
            let mut random = Random::new(seed);
            [random.number(), random.number(), random.number()]
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut random = Random::new(1);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[usize::try_from(random.below(10)).unwrap()] += 1;
        }
        // Standard deviation 95; six of them.
        for count in counts {
            assert!((9_430..10_570).contains(&count), "{counts:?}");
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn times_between_arrivals_have_their_mean_and_its_spread() {
        let mut random = Random::new(3);
        let times: Vec<f64> = (0..100_000).map(|_| random.exponential(2.0)).collect();
        let mean = times.iter().sum::<f64>() / 1e5;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 2.0).abs() < 0.04, "{mean}");
        assert!((variance.sqrt() - 2.0).abs() < 0.06, "{variance}");
        assert!(times.iter().all(|time| time.is_finite() && *time >= 0.0));
    }

    #[test]
    fn ranks_fall_with_the_power() {
        for exponent in [0.6, 1.0, 1.4] {
            let zipf = Zipf::new(1_000, exponent);
            let mut random = Random::new(5);
            let mut counts = vec![0_u32; 1_000];
            for _ in 0..200_000 {
                counts[usize::try_from(zipf.draw(&mut random)).unwrap()] += 1;
            }
            let weights: f64 = (1..=1_000).map(|rank| f64::from(rank).powf(-exponent)).sum();
            for rank in [0_usize, 1, 9] {
                let place = f64::from(u32::try_from(rank).unwrap() + 1);
                let expected = 200_000.0 * place.powf(-exponent) / weights;
                let off = (f64::from(counts[rank]) - expected).abs();
                assert!(
                    off < 6.0 * expected.sqrt(),
                    "{exponent} {rank} {expected} {}",
                    counts[rank]
                );
            }
        }
        assert_eq!(Zipf::new(1, 1.0).draw(&mut Random::new(1)), 0);
    }
}
