//! What does the user name, and into how many calls does it go?
//!
//! Everything that can be judged here is judged before anything is sent, so that a slip in the last line
//! of a long file does not leave half of it purged. Which hosts have a site only the node knows.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use weir_cache::Target;

use crate::failure::{Failure, usage};

/// Things that one call may name: the admin API takes no more.
const PER_CALL_MAX: usize = 10_000;
/// Bytes of text in one call. JSON may double them, and the admin API takes 16 MiB.
const BYTES_PER_CALL_MAX: usize = 7 * 1024 * 1024;
/// Bytes around a text in JSON.
const QUOTES: usize = 3;

/// The selectors.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// URLs, each with every variant, for GET and HEAD, whatever its scheme and port.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// URLs that begin so, character by character: www.example.com/img/ (repeatable).
    #[arg(long = "prefix", value_name = "P")]
    prefixes: Vec<String>,
    /// Everything of a host: www.example.com (repeatable).
    #[arg(long = "host", value_name = "H")]
    hosts: Vec<String>,
    /// Responses with this Cache-Tag, Surrogate-Key, xkey or Cache-Groups (repeatable).
    #[arg(long = "tag", value_name = "T")]
    tags: Vec<String>,
    /// URLs of this form; * stands for any characters, slashes and queries included (repeatable).
    #[arg(long = "glob", value_name = "G")]
    globs: Vec<String>,
    /// A file with one URL a line, - for standard input; empty lines and lines with # are skipped.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Everything that every node stores. Comes alone, and needs --yes.
    #[arg(long, conflicts_with_all = ["urls", "prefixes", "hosts", "tags", "globs", "file"])]
    all: bool,
    /// Says that --all is meant.
    #[arg(long)]
    yes: bool,
}

/// What kind of thing a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Glob,
    Host,
    Prefix,
    Tag,
    Url,
}

/// One thing to be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    kind: Kind,
    text: String,
}

/// All that is to be purged.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Everything stored.
    Everything,
    /// These; at least one.
    These(Vec<Thing>),
}

impl Named {
    /// Reads and checks everything that was named.
    pub(crate) fn read(&self) -> Result<Wanted, Failure> {
        if self.all {
            return if self.yes { Ok(Wanted::Everything) } else { Err(unsure()) };
        }
        let mut things = Vec::new();
        for (kind, texts) in [
            (Kind::Prefix, &self.prefixes),
            (Kind::Host, &self.hosts),
            (Kind::Tag, &self.tags),
            (Kind::Glob, &self.globs),
        ] {
            things.extend(texts.iter().map(|text| Thing { kind, text: text.clone() }));
        }
        for text in &self.urls {
            things.push(url(text, "")?);
        }
        if let Some(path) = &self.file {
            lines(path, &mut things)?;
        }
        if things.is_empty() {
            return Err(usage(self.nothing()));
        }
        Ok(Wanted::These(things))
    }

    fn nothing(&self) -> String {
        match &self.file {
            Some(path) => format!("{} has no URLs; nothing was purged", path.display()),
            None => "nothing is named: give URLs, --prefix, --host, --tag, --glob, --file, or --all; see `weir purge --help`".to_owned(),
        }
    }
}

impl Wanted {
    /// What goes into each call: how many things, and the JSON that names them.
    pub(crate) fn calls(&self) -> Vec<(usize, Value)> {
        match self {
            Self::Everything => vec![(1, json!({"everything": true}))],
            Self::These(things) => {
                split(things).into_iter().map(|part| (part.len(), form(part))).collect()
            }
        }
    }
}

fn unsure() -> Failure {
    usage(
        "--all purges everything that every node stores, of every site, and the origins are asked for all of it again; nothing was done, add --yes if that is meant",
    )
}

/// A URL from the place `whence` is told of if it is none.
fn url(text: &str, whence: &str) -> Result<Thing, Failure> {
    let expected = "an absolute URL such as \"https://www.example.com/app.js\"";
    if text.parse::<Target>().is_err() {
        let hint = match text {
            "list" | "show" => format!(", or `weir purge {text}` with the word first"),
            _ => String::new(),
        };
        return Err(usage(format!("{whence}{text:?} is no URL (expected {expected}{hint})")));
    }
    Ok(Thing { kind: Kind::Url, text: text.to_owned() })
}

/// Adds the URLs in the file at `path`.
fn lines(path: &Path, things: &mut Vec<Thing>) -> Result<(), Failure> {
    let unread = || format!("{} cannot be read", path.display());
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(stdin()),
        false => Box::new(File::open(path).with_context(unread).map_err(Failure::Usage)?),
    };
    for (index, line) in BufReader::new(source).lines().enumerate() {
        let line = line.with_context(unread).map_err(Failure::Usage)?;
        let text = line.trim();
        // No URL begins with it.
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        things.push(url(text, &format!("{}:{}: ", path.display(), index + 1))?);
    }
    Ok(())
}

/// Parts that fit into one call each.
fn split(things: &[Thing]) -> Vec<&[Thing]> {
    let mut parts = Vec::new();
    let mut rest = things;
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fitting = rest.iter().take(PER_CALL_MAX).take_while(|thing| {
            bytes = bytes.saturating_add(thing.text.len() + QUOTES);
            bytes <= BYTES_PER_CALL_MAX
        });
        // One that is too long alone is sent all the same: the node says so better.
        let count = fitting.count().max(1);
        let (part, left) = rest.split_at(count);
        parts.push(part);
        rest = left;
    }
    parts
}

fn form(things: &[Thing]) -> Value {
    let of = |kind| -> Vec<&str> {
        let same = things.iter().filter(|thing| thing.kind == kind);
        same.map(|thing| thing.text.as_str()).collect()
    };
    json!({
        "urls": of(Kind::Url),
        "prefixes": of(Kind::Prefix),
        "hosts": of(Kind::Host),
        "tags": of(Kind::Tag),
        "globs": of(Kind::Glob),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn things(count: usize, bytes: usize) -> Vec<Thing> {
        let text = "x".repeat(bytes);
        (0..count).map(|_| Thing { kind: Kind::Tag, text: text.clone() }).collect()
    }

    #[test]
    fn calls_hold_what_the_admin_api_takes() {
        // (things, bytes of each, things in each call, why)
        let cases: [(usize, usize, &[usize], &str); 5] = [
            (1, 10, &[1], "one"),
            (10_000, 10, &[10_000], "as many as one call may name"),
            (10_001, 10, &[10_000, 1], "one more"),
            (2_000, 7_000, &[1_048, 952], "long ones: fewer a call"),
            (2, 8_000_000, &[1, 1], "one that is too long goes alone"),
        ];
        for (count, bytes, expected, why) in cases {
            let all = things(count, bytes);
            let sizes: Vec<usize> = split(&all).iter().map(|part| part.len()).collect();
            assert_eq!(sizes, expected, "{why}");
        }
    }

    #[test]
    fn every_kind_goes_where_the_admin_api_looks_for_it() {
        let thing = |kind, text: &str| Thing { kind, text: text.to_owned() };
        let all =
            [thing(Kind::Host, "a.b"), thing(Kind::Url, "http://a.b/"), thing(Kind::Tag, "t")];
        let expected = json!({
            "urls": ["http://a.b/"], "prefixes": [], "hosts": ["a.b"], "tags": ["t"], "globs": [],
        });
        assert_eq!(form(&all), expected);
    }

    #[test]
    fn what_is_no_url_is_told_with_its_place() {
        let Err(refused) = url("list", "urls.txt:7: ") else { panic!("no URL") };
        assert_eq!(refused.code(), 2);
        let text = refused.text();
        assert!(text.starts_with("urls.txt:7: ") && text.contains("word first"), "{text}");
    }
}
