//! What does a line of tab-separated columns say?
//!
//! The first line may name the columns, in any order; without it they are in the usual one.

use super::{BadLine, Line, Parser, Record};

const NAMES: [&str; 9] =
    ["ts_ms", "client", "method", "host", "path", "status", "size", "cache_control", "observed"];
/// Columns that must be there.
const NEEDED: usize = 7;

/// Says whether a line names columns.
pub(super) fn is_header(line: &str) -> bool {
    line.split('\t').next() == Some("ts_ms")
        || line.split('\t').filter(|n| NAMES.contains(n)).count() >= NEEDED
}

/// Says whether a line looks like a request.
pub(super) fn is_row(line: &str) -> bool {
    line.split('\t').count() >= NEEDED
        && line.split('\t').next().is_some_and(|first| first.parse::<i64>().is_ok())
}

/// The columns of a log.
#[derive(Debug)]
pub(super) struct Tsv {
    /// Which of [`NAMES`] each column is; others are passed over.
    columns: Vec<Option<usize>>,
}

impl Default for Tsv {
    fn default() -> Self {
        Self { columns: (0..NAMES.len()).map(Some).collect() }
    }
}

impl Tsv {
    fn name_columns(&mut self, line: &str) -> Result<Line, BadLine> {
        let place = |name| NAMES.iter().position(|known| *known == name);
        let columns: Vec<_> = line.split('\t').map(place).collect();
        if (0..NEEDED).any(|needed| !columns.contains(&Some(needed))) {
            return Err(BadLine(
                "a column is missing: expected ts_ms client method host path status size",
            ));
        }
        self.columns = columns;
        Ok(Line::Other)
    }
}

impl Parser for Tsv {
    fn parse(&mut self, line: &str, record: &mut Record) -> Result<Line, BadLine> {
        // Rows begin with a number, so that most lines are not compared with names.
        let is_row = line.starts_with(|first: char| first.is_ascii_digit());
        if !is_row && is_header(line) {
            return self.name_columns(line);
        }
        let mut found = [""; NAMES.len()];
        let mut says_of_lifetime = false;
        for (column, value) in self.columns.iter().zip(line.split('\t')) {
            if let Some(cell) = column.and_then(|column| found.get_mut(column)) {
                *cell = value;
                says_of_lifetime |= *column == Some(NEEDED);
            }
        }
        let [at, client, method, host, path, status, size, cache_control, observed] = found;
        record.at_ms = at.parse().map_err(|_reason| BadLine("ts_ms is not a number"))?;
        record.status = status.parse().map_err(|_reason| BadLine("status is not a number"))?;
        record.bytes = match size {
            "-" => None,
            "" => return Err(BadLine("fewer columns than expected")),
            size => Some(size.parse().map_err(|_reason| BadLine("size is not a number"))?),
        };
        if method.is_empty() || host.is_empty() || path.is_empty() {
            return Err(BadLine("method, host or path is empty"));
        }
        for (field, text) in [
            (&mut record.client, client),
            (&mut record.method, method),
            (&mut record.host, host),
            (&mut record.path, path),
        ] {
            text.clone_into(field);
        }
        record.scheme = weir_cache::Scheme::Http;
        record.cache_control = match cache_control {
            _ if !says_of_lifetime => None,
            "-" => Some(String::new()),
            text => Some(text.to_owned()),
        };
        record.observed_hit = match observed {
            "" | "-" => None,
            text => Some(text.eq_ignore_ascii_case("hit")),
        };
        Ok(Line::Request)
    }
}
