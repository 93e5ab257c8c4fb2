//! What have purges named, and by which entry last?
//!
//! One look-up for each kind of thing that a response can be named by; patterns alone are tried one by one.
//! What positions mean and how many things are kept is decided in `ledger`.

use std::collections::{BTreeMap, HashMap};

use crate::seq::Seq;

use super::ledger::{Standing, Subject, Tagged};
use super::marks::{Marks, Mode};
use super::selector::Selector;
use super::url_glob::UrlGlob;

/// The newest entries by what they named.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    everything: Marks,
    hosts: HashMap<Box<str>, Marks>,
    urls: HashMap<Box<str>, Marks>,
    tags: HashMap<Box<str>, Marks>,
    /// The newest of all tags, for a response whose tags are unknown or too many.
    any_tag: Marks,
    prefixes: HashMap<Box<str>, Prefixes>,
    globs: Vec<(UrlGlob, Marks)>,
}

/// Prefixes of one host by their length: a path has one beginning of each length.
type Prefixes = BTreeMap<usize, HashMap<Box<str>, Marks>>;

impl Named {
    /// Notes what `selector` names as named by the entry `seq`.
    pub(super) fn mark(&mut self, selector: &Selector, mode: Mode, seq: Seq) {
        let marks = match selector {
            Selector::Everything => &mut self.everything,
            Selector::Host(host) => self.hosts.entry(host.clone()).or_default(),
            Selector::Url(url) => self.urls.entry(url.clone()).or_default(),
            Selector::Tag(tag) => {
                self.any_tag.mark(mode, seq);
                self.tags.entry(tag.clone()).or_default()
            }
            Selector::Prefix { host, path } => {
                let lengths = self.prefixes.entry(host.clone()).or_default();
                lengths.entry(path.len()).or_default().entry(path.clone()).or_default()
            }
            Selector::Glob(glob) => return self.mark_glob(glob, mode, seq),
        };
        marks.mark(mode, seq);
    }

    fn mark_glob(&mut self, glob: &UrlGlob, mode: Mode, seq: Seq) {
        if let Some((_, marks)) = self.globs.iter_mut().find(|(known, _)| known == glob) {
            marks.mark(mode, seq);
        } else {
            let mut marks = Marks::default();
            marks.mark(mode, seq);
            self.globs.push((glob.clone(), marks));
        }
    }

    /// How a response that reflects the log up to `reflects` stands.
    pub(super) fn judge(&self, subject: Subject<'_>, reflects: Seq) -> Standing {
        let resource = subject.resource;
        let (host, path) = resource.split_at(resource.find('/').unwrap_or(resource.len()));
        let standing =
            |marks: Option<&Marks>| marks.map_or(Standing::Clear, |marks| marks.standing(reflects));
        self.everything
            .standing(reflects)
            .and(standing(self.hosts.get(host)))
            .and(standing(self.urls.get(resource)))
            .and(self.judge_tags(subject.tags, reflects))
            .and(self.judge_prefixes(host, path, reflects))
            .and(self.judge_globs(host, path, reflects))
    }

    fn judge_tags(&self, tags: Tagged<'_>, reflects: Seq) -> Standing {
        match tags {
            Tagged::Known(tags) if !tags.is_overflowing() => tags
                .iter()
                .filter_map(|tag| self.tags.get(tag))
                .fold(Standing::Clear, |worst, marks| worst.and(marks.standing(reflects))),
            Tagged::Known(_) | Tagged::Unknown => self.any_tag.standing(reflects),
        }
    }

    fn judge_prefixes(&self, host: &str, path: &str, reflects: Seq) -> Standing {
        let Some(lengths) = self.prefixes.get(host) else { return Standing::Clear };
        lengths
            .range(..=path.len())
            .filter_map(|(length, named)| named.get(path.get(..*length)?))
            .fold(Standing::Clear, |worst, marks| worst.and(marks.standing(reflects)))
    }

    fn judge_globs(&self, host: &str, path: &str, reflects: Seq) -> Standing {
        self.globs
            .iter()
            .filter(|(glob, marks)| marks.newest() > reflects && glob.matches(host, path))
            .fold(Standing::Clear, |worst, (_, marks)| worst.and(marks.standing(reflects)))
    }

    /// The patterns among the things named.
    pub(super) fn globs(&self) -> usize {
        self.globs.len()
    }

    /// The things named.
    pub(super) fn len(&self) -> usize {
        let prefixes = self.prefixes.values().flat_map(BTreeMap::values).map(HashMap::len);
        [self.hosts.len(), self.urls.len(), self.tags.len(), self.globs.len()]
            .into_iter()
            .chain(prefixes)
            .fold(0, usize::saturating_add)
    }

    /// The position that about half of the things named are not newer than.
    pub(super) fn middle(&self) -> Seq {
        let mut positions: Vec<Seq> = self.all_marks().map(Marks::newest).collect();
        let middle = positions.len() / 2;
        if positions.is_empty() {
            return Seq::default();
        }
        *positions.select_nth_unstable(middle).1
    }

    fn all_marks(&self) -> impl Iterator<Item = Marks> {
        let maps = [&self.hosts, &self.urls, &self.tags].into_iter().flat_map(HashMap::values);
        let prefixes = self.prefixes.values().flat_map(BTreeMap::values).flat_map(HashMap::values);
        maps.chain(prefixes).chain(self.globs.iter().map(|(_, marks)| marks)).copied()
    }

    /// Drops what no entry past `position` has named.
    pub(super) fn forget(&mut self, position: Seq) {
        let newer = |marks: &Marks| marks.newest() > position;
        for map in [&mut self.hosts, &mut self.urls, &mut self.tags] {
            map.retain(|_, marks| newer(marks));
        }
        self.globs.retain(|(_, marks)| newer(marks));
        self.prefixes.retain(|_, lengths| {
            lengths.retain(|_, named| {
                named.retain(|_, marks| newer(marks));
                !named.is_empty()
            });
            !lengths.is_empty()
        });
    }
}
