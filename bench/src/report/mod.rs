//! What came of a run, as table, JSON and plots?
//!
//! A [`Report`] is facts, tables, charts and sentences; it knows nothing of what was run. [`replay_report`] makes one of a
//! study. It is shown as text for a terminal, as one page of HTML that needs no network, as SVG and as PNG.
//!
//! Plots are drawn here, in some 300 lines, because the common crate for them (plotters) needs a font file for PNG and
//! writes colors into its SVG, which then cannot follow a dark page; text in PNG comes from the bitmap fonts of
//! embedded-graphics.
//!
//! # Invariants
//!
//! 1. What comes from a log is escaped wherever it is written: it may be anything.
//! 2. Equal reports give equal bytes.

mod draw;
mod html;
mod json;
mod latency;
mod of_study;
mod png;
mod svg;
mod text;
mod units;

pub use json::replay_json;
pub use latency::{Latency, LatencyError, Links};
pub use of_study::{Asked, replay_report};
pub use units::{bytes, count, percent, time};

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// One line.
    pub title: String,
    /// The answer in a few sentences.
    pub answer: Vec<String>,
    /// What to look at before anything else.
    pub warnings: Vec<String>,
    /// Figures.
    pub tables: Vec<Table>,
    /// Plots.
    pub charts: Vec<Chart>,
    /// What was supposed, and how was counted.
    pub notes: Vec<String>,
}

/// Figures in rows and columns; the first column names them.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What the figures are.
    pub title: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// Rows; each has as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// How a number becomes a place on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Milliseconds.
    Time,
    /// Bytes; each is as far from its double as any other.
    Bytes,
}

/// Ratios over time or size.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the horizontal axis is.
    pub axis: Axis,
    /// Its name.
    pub axis_title: String,
    /// Lines, at most six that can be told apart.
    pub series: Vec<Series>,
}

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Points from left to right; the second number is a ratio from 0 to 1.
    pub points: Vec<(f64, f64)>,
}

impl Report {
    /// The report for a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::render(self)
    }

    /// One page of HTML with everything in it.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    /// The charts, one below another.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::render(&self.charts)
    }

    /// The same as PNG.
    ///
    /// # Errors
    ///
    /// None that a report in memory can have; the type is that of the encoder.
    pub fn to_png(&self) -> Result<Vec<u8>, ::png::EncodingError> {
        png::render(&self.charts)
    }
}

#[cfg(test)]
mod tests;
