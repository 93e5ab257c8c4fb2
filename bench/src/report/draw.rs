//! Where do lines, ticks and words of a chart stand?
//!
//! Drawn once, on a [`Canvas`] that is text or pixels.

use super::units::{bytes, time};
use super::{Axis, Chart, Series};

/// Size of one chart.
pub(super) const WIDTH: f64 = 900.0;
pub(super) const HEIGHT: f64 = 400.0;

const LEFT: f64 = 60.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 340.0;
const LEGEND: f64 = 710.0;
/// Ticks of a time axis.
const TIME_TICKS: u32 = 6;
/// Width that the word of a tick takes.
const TICK_WIDTH: f64 = 64.0;

/// What something is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Axis,
    Grid,
    /// The line with that number.
    Series(usize),
}

/// Which point of a word stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Something to draw on; the origin is the left upper corner of the chart.
pub(super) trait Canvas {
    fn line(&mut self, points: &[(f64, f64)], ink: Ink);
    fn word(&mut self, at: (f64, f64), text: &str, anchor: Anchor);
    fn title(&mut self, at: (f64, f64), text: &str);
}

/// Draws a chart.
pub(super) fn draw(chart: &Chart, canvas: &mut impl Canvas) {
    canvas.title((LEFT, 26.0), &chart.title);
    let top = top_of(&chart.series);
    let place_y = |ratio: f64| BOTTOM - (BOTTOM - TOP) * (ratio / top).clamp(0.0, 1.0);
    for step in 0..=5 {
        let ratio = top * f64::from(step) / 5.0;
        let y = place_y(ratio);
        canvas.line(&[(LEFT, y), (RIGHT, y)], if step == 0 { Ink::Axis } else { Ink::Grid });
        canvas.word((LEFT - 8.0, y + 4.0), &format!("{:.0} %", ratio * 100.0), Anchor::End);
    }
    let range = Range::of(chart);
    for (x, word) in range.ticks(chart) {
        canvas.line(&[(x, BOTTOM), (x, BOTTOM + 5.0)], Ink::Axis);
        canvas.word((x, BOTTOM + 20.0), &word, Anchor::Middle);
    }
    canvas.word(((LEFT + RIGHT) / 2.0, BOTTOM + 44.0), &chart.axis_title, Anchor::Middle);
    for (number, series) in chart.series.iter().enumerate() {
        let points: Vec<_> =
            series.points.iter().map(|(x, y)| (range.place(*x), place_y(*y))).collect();
        canvas.line(&points, Ink::Series(number));
        let y = TOP + 12.0 + 24.0 * number as f64;
        canvas.line(&[(LEGEND, y), (LEGEND + 26.0, y)], Ink::Series(number));
        canvas.word((LEGEND + 34.0, y + 4.0), &series.name, Anchor::Start);
    }
}

/// The least end of the vertical axis that holds everything.
fn top_of(series: &[Series]) -> f64 {
    let points = series.iter().flat_map(|series| &series.points);
    let most = points.map(|(_, ratio)| *ratio).fold(0.0, f64::max);
    [0.1, 0.25, 0.5].into_iter().find(|top| most <= *top).unwrap_or(1.0)
}

/// What the horizontal axis reaches over.
struct Range {
    axis: Axis,
    from: f64,
    to: f64,
}

impl Range {
    fn of(chart: &Chart) -> Self {
        let all = || chart.series.iter().flat_map(|series| &series.points).map(|(x, _)| *x);
        let from = all().fold(f64::INFINITY, f64::min);
        let to = all().fold(f64::NEG_INFINITY, f64::max);
        let axis = chart.axis;
        if from.is_finite() { Self { axis, from, to } } else { Self { axis, from: 0.0, to: 1.0 } }
    }

    fn scaled(&self, x: f64) -> f64 {
        match self.axis {
            Axis::Time => x,
            Axis::Bytes => x.max(1.0).ln(),
        }
    }

    fn place(&self, x: f64) -> f64 {
        let (from, to) = (self.scaled(self.from), self.scaled(self.to));
        let share = if to > from { (self.scaled(x) - from) / (to - from) } else { 0.5 };
        LEFT + (RIGHT - LEFT) * share.clamp(0.0, 1.0)
    }

    /// Places with words, as many as there is room for.
    fn ticks(&self, chart: &Chart) -> Vec<(f64, String)> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "casts of floats saturate"
        )]
        let whole = |x: f64| x.max(0.0) as u64;
        if self.axis == Axis::Time {
            let step = (self.to - self.from) / f64::from(TIME_TICKS);
            let xs = (0..=TIME_TICKS).map(|at| self.from + step * f64::from(at));
            return xs.map(|x| (self.place(x), time(whole(x)))).collect();
        }
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for (x, _) in
            chart.series.first().map(|series| series.points.as_slice()).unwrap_or_default()
        {
            let place = self.place(*x);
            if ticks.last().is_none_or(|(before, _)| place - before >= TICK_WIDTH) {
                ticks.push((place, bytes(whole(*x))));
            }
        }
        ticks
    }
}
