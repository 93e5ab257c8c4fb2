//! How the access rules of one site are read, and what a node keeps of them.
//!
//! Forms of values are checked as those of other keys are; what they mean, with the secrets that
//! they name, is checked by `weir-access`, whose problems get the lines of what they are about.
//!
//! # Invariant
//!
//! A value that has the wrong form is one problem: what follows from its absence is not reported.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_access::{
    AccessConfig, AccessProblem, KeyConfig, Policy, ReadSecret, RuleConfig, SignatureConfig,
    SourceConfig,
};

use super::access_keys::{
    ABOUT_ORIGIN, ABOUT_REFERER, ACCESS, KEYS, ORIGIN, REFERER, RULE, SIGNATURE, visit_key,
    visit_rule, visit_signature, visit_source,
};
use super::overrides::Overrides;
use super::problem::{Place, Problems, Wrong};
use super::reader::{Given, Reader};
use super::source::Source;
use crate::secrets::read_secret;

/// The access rules of one site, as they are written and as each request is checked by them.
///
/// The default lets everybody in.
#[derive(Clone, Debug, Default)]
pub struct SiteAccess {
    written: AccessConfig,
    policy: Arc<Policy>,
}

impl SiteAccess {
    /// Compiles `written`, asking `read` for each secret that it names.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn compile(
        written: AccessConfig,
        read: &ReadSecret<'_>,
    ) -> Result<Self, Vec<AccessProblem>> {
        let policy = Arc::new(written.compile(read)?);
        Ok(Self { written, policy })
    }

    /// The rules as they are written. They name secrets and hold none.
    pub const fn written(&self) -> &AccessConfig {
        &self.written
    }

    /// The rules to check requests by.
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Where the keys of the table itself are read to, before all is compiled.
    pub(super) fn draft(&mut self) -> &mut AccessConfig {
        &mut self.written
    }
}

impl PartialEq for SiteAccess {
    /// Compares what is written; secrets are not compared.
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

/// Reads the lists of the access rules of `site` beside the keys in `draft`, and compiles them.
pub(super) fn read_access(
    source: &Source,
    site: &DeTable<'_>,
    (mut written, given): (AccessConfig, &Given),
    problems: &mut Problems,
) -> SiteAccess {
    // What is no table was reported when the keys of the site were visited.
    let found = site.get("access").and_then(|value| Some((value, value.get_ref().as_table()?)));
    let Some((value, table)) = found else { return SiteAccess::default() };
    let mut reading = Reading { source, problems, unsound: Vec::new() };
    reading.note_unsound(given, ACCESS, "");
    written.rule = reading.each(table, (RULE, "rule"), |reading, table, at| {
        let mut rule = RuleConfig::default();
        reading.keys(table, (RULE, at), |reader| visit_rule(&mut rule, reader));
        rule
    });
    written.referer = reading.sources(table, (REFERER, ABOUT_REFERER), "referer");
    written.origin = reading.sources(table, (ORIGIN, ABOUT_ORIGIN), "origin");
    written.signature = reading.each(table, (SIGNATURE, "signature"), Reading::signature);
    match SiteAccess::compile(written, &read_secret) {
        Ok(access) => access,
        Err(found) => {
            reading.report(value, found);
            SiteAccess::default()
        }
    }
}

/// The place and the path of the first rule of `site`, read as `written`, that names countries.
pub(super) fn countries_named(
    source: &Source,
    site: &DeTable<'_>,
    written: &AccessConfig,
) -> Option<(Place, String)> {
    let index = written.rule.iter().position(|rule| rule.countries.is_some())?;
    let path = format!("rule[{index}].countries");
    let place = source.place(offset_of(site.get("access")?, &path));
    Some((place, format!("{ACCESS}.{path}")))
}

/// The lists of one site's access rules being read.
struct Reading<'a> {
    source: &'a Source,
    problems: &'a mut Problems,
    /// Values of a wrong form, by their path below the table: `rule[0].clients`.
    unsound: Vec<String>,
}

impl Reading<'_> {
    /// Reads each table of the list `name`, which `at` leads to from the access rules.
    fn each<T: Default>(
        &mut self,
        parent: &DeTable<'_>,
        (name, at): (&'static str, &str),
        mut read: impl FnMut(&mut Self, &DeTable<'_>, &str) -> T,
    ) -> Vec<T> {
        let key = name.rsplit('.').next().unwrap_or(name);
        let Some(value) = parent.get(key) else { return Vec::new() };
        let Some(tables) = value.get_ref().as_array() else {
            self.no_table(value, (name, at));
            return Vec::new();
        };
        let read = |(index, value): (usize, &Spanned<DeValue<'_>>)| {
            let at = format!("{at}[{index}]");
            match value.get_ref().as_table() {
                Some(table) => read(self, table, &at),
                None => {
                    self.no_table(value, (name, &at));
                    T::default()
                }
            }
        };
        tables.iter().enumerate().map(read).collect()
    }

    fn no_table(&mut self, value: &Spanned<DeValue<'_>>, (name, at): (&str, &str)) {
        let wrong = Wrong::new(format!("expected a list of tables, each written [[{name}]]"));
        self.problems.push(&self.source.place(value.span().start), name, wrong);
        self.unsound.push(at.to_owned());
    }

    /// Reads the keys of one table of the list `name`.
    fn keys(
        &mut self,
        table: &DeTable<'_>,
        (name, at): (&'static str, &str),
        visit: impl FnOnce(&mut Reader<'_>),
    ) {
        let mut none = Overrides::default();
        let mut reader = Reader::new(self.source, table, name, &mut none, self.problems);
        visit(&mut reader);
        if name == SIGNATURE {
            reader.leave(SIGNATURE, "keys");
        }
        let given = reader.finish();
        self.note_unsound(&given, name, &format!("{at}."));
    }

    fn note_unsound(&mut self, given: &Given, name: &str, at: &str) {
        let keys = given.unsound().filter_map(|path| path.strip_prefix(name)?.strip_prefix('.'));
        self.unsound.extend(keys.map(|key| format!("{at}{key}")));
    }

    fn sources(
        &mut self,
        parent: &DeTable<'_>,
        table: (&'static str, &'static str),
        at: &str,
    ) -> Vec<SourceConfig> {
        self.each(parent, (table.0, at), |reading, content, at| {
            let mut source = SourceConfig::default();
            reading.keys(content, (table.0, at), |reader| visit_source(table, &mut source, reader));
            source
        })
    }

    fn signature(&mut self, table: &DeTable<'_>, at: &str) -> SignatureConfig {
        let mut signature = SignatureConfig::default();
        self.keys(table, (SIGNATURE, at), |reader| visit_signature(&mut signature, reader));
        signature.keys = self.each(table, (KEYS, &format!("{at}.keys")), |reading, table, at| {
            let mut key = KeyConfig::default();
            reading.keys(table, (KEYS, at), |reader| visit_key(&mut key, reader));
            key
        });
        signature
    }

    /// Reports what is wrong with the access rules in `value`, each at its line.
    fn report(&mut self, value: &Spanned<DeValue<'_>>, found: Vec<AccessProblem>) {
        for problem in found.into_iter().filter(|problem| !follows(&self.unsound, &problem.key)) {
            let offset = offset_of(value, &problem.key);
            let key = format!("{ACCESS}.{}", problem.key);
            self.problems.push(&self.source.place(offset), &key, Wrong::new(problem.message));
        }
    }
}

/// Whether a problem with `key` may follow from a value of a wrong form: that value itself, one in
/// it, or a table that it stands in.
fn follows(unsound: &[String], key: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    unsound.iter().any(|bad| within(bad, key) || within(key, bad))
}

/// The byte where what `path` leads to stands, or else the nearest table around it.
fn offset_of(value: &Spanned<DeValue<'_>>, path: &str) -> usize {
    let mut here = value;
    for step in path.split(['.', '[']) {
        let next = match step.strip_suffix(']') {
            Some(index) => {
                let index = index.parse().unwrap_or(usize::MAX);
                here.get_ref().as_array().and_then(|list| list.get(index))
            }
            None => here.get_ref().as_table().and_then(|table| table.get(step)),
        };
        match next {
            Some(next) => here = next,
            None => break,
        }
    }
    here.span().start
}
