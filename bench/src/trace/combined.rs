//! What does a line of the combined format of nginx and Apache say?
//!
//! `[HOST ]CLIENT IDENT USER [DATE] "METHOD TARGET VERSION" STATUS BYTES "REFERER" "AGENT"[ "HOST"]`. What stands
//! behind that is passed over. A target in absolute form brings its own host.

use weir_cache::Scheme;

use super::{BadLine, Line, Parser, Record, instant};

/// Lines of the combined format.
#[derive(Debug)]
pub(super) struct Combined {
    /// The host where the line has none.
    host: String,
}

impl Combined {
    pub(super) fn new(host: &str) -> Self {
        Self { host: host.to_owned() }
    }

    /// The host and the client before the date.
    fn read_who(&self, who: &str, record: &mut Record) -> Result<(), BadLine> {
        let words: Vec<&str> = who.split(' ').filter(|word| !word.is_empty()).take(5).collect();
        let (host, client) = match words.as_slice() {
            [client, _, _] => (self.host.as_str(), *client),
            [host, client, _, _] => (*host, *client),
            _ => return Err(BadLine("expected client, identity and user before the date")),
        };
        host.clone_into(&mut record.host);
        client.clone_into(&mut record.client);
        Ok(())
    }
}

impl Parser for Combined {
    fn parse(&mut self, line: &str, record: &mut Record) -> Result<Line, BadLine> {
        let (who, rest) = line.split_once(" [").ok_or(BadLine("the date is missing"))?;
        self.read_who(who, record)?;
        let (date, rest) = rest.split_once(']').ok_or(BadLine("the date does not end"))?;
        record.at_ms = instant::of_combined(date).ok_or(BadLine("the date cannot be read"))?;
        let (request, rest) = quoted(rest).ok_or(BadLine("the request line is missing"))?;
        read_request(&request, record)?;
        let mut rest_words = rest.trim_start().splitn(3, ' ');
        let status = rest_words.next().unwrap_or_default();
        record.status = status.parse().map_err(|_reason| BadLine("the status is not a number"))?;
        record.bytes = match rest_words.next() {
            Some("-") | None => None,
            Some(bytes) => {
                Some(bytes.parse().map_err(|_reason| BadLine("the bytes are not a number"))?)
            }
        };
        if let Some(host) = host_behind(rest_words.next().unwrap_or_default()) {
            record.host = host;
        }
        record.cache_control = None;
        record.observed_hit = None;
        Ok(Line::Request)
    }
}

/// Method and target of a request line.
fn read_request(request: &str, record: &mut Record) -> Result<(), BadLine> {
    let mut words = request.split(' ');
    let (method, target) = match (words.next(), words.next()) {
        (Some(method), Some(target)) if !method.is_empty() && !target.is_empty() => {
            (method, target)
        }
        _ => return Err(BadLine("the request line has no method and target")),
    };
    method.clone_into(&mut record.method);
    record.scheme = Scheme::Http;
    let absolute =
        target.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    let Some((scheme, rest)) = absolute else {
        target.clone_into(&mut record.path);
        return Ok(());
    };
    if scheme == "https" {
        record.scheme = Scheme::Https;
    }
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    host.clone_into(&mut record.host);
    if path.is_empty() { "/" } else { path }.clone_into(&mut record.path);
    Ok(())
}

/// A host in quotes behind referer and agent, as many add it: a third text that looks like one.
fn host_behind(rest: &str) -> Option<String> {
    let (_referer, rest) = quoted(rest)?;
    let (_agent, rest) = quoted(rest)?;
    let (host, _) = quoted(rest)?;
    let is_host = host.contains('.')
        && !host.contains([' ', '/', ',', ';'])
        && host.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_host.then_some(host)
}

/// The text in quotes that `rest` begins with, unescaped, and what follows. Escapes are those of nginx and Apache.
fn quoted(rest: &str) -> Option<(String, &str)> {
    let rest = rest.trim_start().strip_prefix('"')?;
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((text, rest.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'x' => {
                    let code = rest.get(at + 2..at + 4)?;
                    text.push(u8::from_str_radix(code, 16).ok()?.into());
                    chars.next();
                    chars.next();
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    None
}
