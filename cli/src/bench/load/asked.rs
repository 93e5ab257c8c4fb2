//! What is to be asked: URLs from the command line and from a file, keys, misses, fields.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use weir_bench::load::{Asked, Asking};

use super::expected::parse_share;
use crate::failure::Failure;

/// The most bytes of a file of URLs.
const URLS_BYTES_MAX: u64 = 256 << 20;

/// What is asked.
#[derive(Debug, clap::Args)]
pub(super) struct AskedArguments {
    /// URLs to ask, drawn evenly, such as http://127.0.0.1:8080/path.
    #[arg(value_name = "URL", required_unless_present = "urls")]
    named: Vec<String>,
    /// A file with one URL a line; `-` for standard input. Empty lines and lines that begin with # are left out.
    #[arg(long, value_name = "FILE")]
    urls: Option<PathBuf>,
    /// How many keys {n} in a URL is drawn from: 0 to N-1.
    #[arg(long, value_name = "N")]
    keys: Option<u64>,
    /// Draw the k-th key (or URL, without --keys) 1/k^A as often as the first.
    #[arg(long, value_name = "A")]
    zipf: Option<f64>,
    /// The share of requests that no cache can have stored, such as 5%.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    miss: Option<f64>,
    /// The range of bytes to ask for, both ends included.
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_range)]
    range: Option<(u64, u64)>,
    /// A field of the requests; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// What Host says in place of the URL's.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The method.
    #[arg(long, value_enum, default_value_t = Method::Get, ignore_case = true)]
    method: Method,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
enum Method {
    Get,
    Head,
}

impl AskedArguments {
    /// Reads the file and checks everything.
    pub(super) fn read(&self) -> Result<Asking, Failure> {
        let mut urls = self.named.clone();
        if let Some(path) = &self.urls {
            let text = read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let lines = text.lines().map(str::trim);
            urls.extend(
                lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned),
            );
        }
        Asking::new(&Asked {
            urls,
            head: self.method == Method::Head,
            fields: self.headers.clone(),
            host: self.host.clone(),
            range: self.range,
            keys: self.keys,
            zipf: self.zipf,
            miss: self.miss.unwrap_or(0.0),
        })
        .map_err(|error| Failure::Usage(error.into()))
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path)?),
    };
    source.take(URLS_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, ""));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => Ok((first, last)),
        _ => Err("expected first and last byte, such as 0-1023".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_ends() {
        assert_eq!(parse_range("0-1023"), Ok((0, 1023)));
        for text in ["", "5", "5-", "-5", "a-b", "1-2-3"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }
}
