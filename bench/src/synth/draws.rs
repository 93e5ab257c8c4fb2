//! Where chance comes from, and in which shapes.
//!
//! The generator is SplitMix64, written here because its numbers must stay the same for ever: a seed in a report is to
//! make the same log years later, which crates of generators promise for some of their types only.

use std::f64::consts::TAU;

/// Numbers that follow from a seed.
#[derive(Debug, Clone)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number from 0 to below `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Whether something happens that does so with `chance`.
    pub(super) fn happens(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// A number of the standard normal distribution (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

/// Spreads the bits of a number.
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Ranks by Zipf's law: rank `r`, from 0, with a weight of `(r + 1)^-alpha`.
#[derive(Debug, Clone)]
pub(super) struct Zipf {
    /// Sums of the weights up to each rank.
    sums: Vec<f64>,
}

impl Zipf {
    pub(super) fn new(count: usize, alpha: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-alpha);
            sum
        });
        Self { sums: sums.collect() }
    }

    pub(super) fn draw(&self, draws: &mut Draws) -> usize {
        let at = draws.unit() * self.sums.last().copied().unwrap_or(0.0);
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

/// The value below which a standard normal number is with probability `p` (Acklam's approximation, good to 1e-9
/// of itself); `p` is between 0 and 1.
pub(super) fn normal_quantile(p: f64) -> f64 {
    const LOW: f64 = 0.024_25;
    if p < LOW {
        let q = (-2.0 * p.max(f64::MIN_POSITIVE).ln()).sqrt();
        return tail(q);
    }
    if p > 1.0 - LOW {
        let q = (-2.0 * (1.0 - p).max(f64::MIN_POSITIVE).ln()).sqrt();
        return -tail(q);
    }
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
        1.0,
    ];
    let q = p - 0.5;
    let r = q * q;
    polynomial(&A, r) * q / polynomial(&B, r)
}

fn tail(q: f64) -> f64 {
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    polynomial(&C, q) / polynomial(&D, q)
}

/// The highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum.mul_add(x, *coefficient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_seed_stay_the_same() {
        let mut draws = Draws::new(1);
        // A change here changes every log that was ever made.
        assert_eq!(draws.bits(), 0x910a_2dec_8902_5cc1);
        assert_eq!(draws.bits(), 0xbeeb_8da1_658e_ec67);
    }

    #[test]
    fn shapes_have_the_moments_that_they_should() {
        let mut draws = Draws::new(7);
        let numbers: Vec<f64> = (0..50_000).map(|_| draws.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 50_000.0;
        let variance = numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 50_000.0;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let ones = (0..50_000).filter(|_| draws.below(10) == 3).count();
        assert!((4_700..5_300).contains(&ones), "{ones}");
        assert_eq!(draws.below(0), 0);
    }

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        for (p, expected) in [(0.5, 0.0), (0.975, 1.959_964), (0.01, -2.326_348), (0.99, 2.326_348)]
        {
            assert!((normal_quantile(p) - expected).abs() < 1e-5, "{p}: {}", normal_quantile(p));
        }
        assert!(normal_quantile(0.0).is_finite() && normal_quantile(1.0).is_finite());
    }
}
