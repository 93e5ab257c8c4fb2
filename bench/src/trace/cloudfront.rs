//! What does a line of CloudFront's standard log say?
//!
//! Columns are separated by tabs and named in a `#Fields` line, which files put together repeat. Names are those of
//! the access log reference of CloudFront.

use weir_cache::Scheme;

use super::{BadLine, Line, Parser, Record, instant};

/// The columns that are of use.
#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    date: Option<usize>,
    time: Option<usize>,
    client: Option<usize>,
    method: Option<usize>,
    host: Option<usize>,
    host_asked: Option<usize>,
    scheme: Option<usize>,
    path: Option<usize>,
    query: Option<usize>,
    status: Option<usize>,
    bytes: Option<usize>,
    length: Option<usize>,
    result: Option<usize>,
}

/// Lines of CloudFront.
#[derive(Debug, Default)]
pub(super) struct CloudFront {
    columns: Option<Columns>,
}

impl CloudFront {
    fn name_columns(&mut self, names: &str) -> Result<Line, BadLine> {
        let mut columns = Columns::default();
        for (at, name) in names.split_whitespace().enumerate() {
            let column = match name {
                "date" => &mut columns.date,
                "time" => &mut columns.time,
                "c-ip" => &mut columns.client,
                "cs-method" => &mut columns.method,
                "cs(Host)" => &mut columns.host,
                "x-host-header" => &mut columns.host_asked,
                "cs-protocol" => &mut columns.scheme,
                "cs-uri-stem" => &mut columns.path,
                "cs-uri-query" => &mut columns.query,
                "sc-status" => &mut columns.status,
                "sc-bytes" => &mut columns.bytes,
                "sc-content-len" => &mut columns.length,
                "x-edge-result-type" => &mut columns.result,
                _ => continue,
            };
            *column = Some(at);
        }
        let needed = [columns.date, columns.time, columns.path, columns.status, columns.method];
        if needed.iter().any(Option::is_none) {
            return Err(BadLine("#Fields lacks date, time, cs-method, cs-uri-stem or sc-status"));
        }
        self.columns = Some(columns);
        Ok(Line::Other)
    }
}

impl Parser for CloudFront {
    fn parse(&mut self, line: &str, record: &mut Record) -> Result<Line, BadLine> {
        if let Some(names) = line.strip_prefix("#Fields:") {
            return self.name_columns(names);
        }
        if line.starts_with('#') {
            return Ok(Line::Other);
        }
        let columns = self.columns.ok_or(BadLine("a request before the #Fields line"))?;
        let values: Vec<&str> = line.split('\t').collect();
        let value = |column: Option<usize>| column.and_then(|at| values.get(at)).copied();
        let given = |column| value(column).filter(|text| !text.is_empty() && *text != "-");
        let missing = || BadLine("fewer columns than #Fields names");
        let (date, time) = value(columns.date).zip(value(columns.time)).ok_or_else(missing)?;
        record.at_ms =
            instant::of_date_and_time(date, time).ok_or(BadLine("the date cannot be read"))?;
        // 000 stands for a client that left before its answer.
        let status = value(columns.status).ok_or_else(missing)?;
        record.status = status.parse().map_err(|_reason| BadLine("sc-status is not a number"))?;
        // sc-bytes counts the head as well, so that the length of the body comes first.
        record.bytes =
            given(columns.length).or_else(|| given(columns.bytes)).and_then(|n| n.parse().ok());
        given(columns.client).unwrap_or("-").clone_into(&mut record.client);
        given(columns.method).ok_or_else(missing)?.clone_into(&mut record.method);
        let host = given(columns.host_asked).or_else(|| given(columns.host));
        host.ok_or(BadLine("the host is missing"))?.clone_into(&mut record.host);
        given(columns.path).ok_or_else(missing)?.clone_into(&mut record.path);
        if let Some(query) = given(columns.query) {
            record.path.push('?');
            record.path.push_str(query);
        }
        record.scheme = match given(columns.scheme) {
            Some("https" | "wss") => Scheme::Https,
            _ => Scheme::Http,
        };
        record.cache_control = None;
        record.observed_hit = given(columns.result)
            .map(|result| matches!(result, "Hit" | "RefreshHit" | "OriginShieldHit"));
        Ok(Line::Request)
    }
}
