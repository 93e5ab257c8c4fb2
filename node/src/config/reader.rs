//! How the tables of a file become values: each key by its kind, everything else a problem.
//!
//! A [`Reader`] visits the keys and replaces each default by what the file, then the environment,
//! says. A value that is wrong leaves the default in place, is remembered as unsound, and thereby
//! keeps relations from being reported that it may not violate.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::access_keys::ACCESS;
use super::admin_keys::ADMIN;
use super::keys::Visitor;
use super::kinds::Kind;
use super::overrides::{ENVIRONMENT, Overrides};
use super::problem::{Place, Problems, Wrong, nearest, printable_key};
use super::source::Source;

/// Where each key was set, by dotted path.
#[derive(Debug, Default)]
pub(super) struct Given {
    marks: BTreeMap<String, Mark>,
}

/// Where one key was set.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) place: Place,
    /// Path of the key, or name of the variable.
    pub(super) label: String,
    sound: bool,
}

impl Given {
    /// Says whether the key was set at all, to whatever.
    pub(super) fn has(&self, path: &str) -> bool {
        self.marks.contains_key(path)
    }

    /// Returns where the key was set to a good value.
    pub(super) fn set(&self, path: &str) -> Option<&Mark> {
        self.marks.get(path).filter(|mark| mark.sound)
    }

    /// Paths of the keys whose values are of no use.
    pub(super) fn unsound(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().filter(|(_, mark)| !mark.sound).map(|(path, _)| path.as_str())
    }

    /// Says whether the value in use for the key is the one that is meant.
    pub(super) fn is_sound(&self, path: &str) -> bool {
        self.marks.get(path).is_none_or(|mark| mark.sound)
    }
}

/// Reads one table of a file with the tables below it.
pub(super) struct Reader<'a> {
    source: &'a Source,
    root: &'a DeTable<'a>,
    /// Name of the root: `site`, or empty for a whole file.
    root_name: &'static str,
    overrides: &'a mut Overrides,
    problems: &'a mut Problems,
    tables: Vec<Visited<'a>>,
    given: Given,
}

/// A table that was visited, whether the file has it or not.
struct Visited<'a> {
    name: &'static str,
    content: Option<&'a DeTable<'a>>,
    keys: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a Source,
        root: &'a DeTable<'a>,
        root_name: &'static str,
        overrides: &'a mut Overrides,
        problems: &'a mut Problems,
    ) -> Self {
        let (tables, given) = (Vec::new(), Given::default());
        Self { source, root, root_name, overrides, problems, tables, given }
    }

    /// Reports what is unknown, and says which keys were set.
    pub(super) fn finish(self) -> Given {
        for table in &self.tables {
            for (key, _) in table.content.into_iter().flat_map(DeTable::iter) {
                // Looking for near names costs more than all else, and is for those that are shown.
                if !self.knows(table, key.get_ref()) && !self.problems.overflows() {
                    let path = join(table.name, &printable_key(key.get_ref()));
                    let wrong = self.unknown(table, key.get_ref());
                    self.problems.push(&self.source.place(key.span().start), &path, wrong);
                }
            }
        }
        self.given
    }

    /// Leaves `key` of the table `name`, which was visited, to another reader.
    pub(super) fn leave(&mut self, name: &str, key: &'static str) {
        if let Some(table) = self.tables.iter_mut().find(|table| table.name == name) {
            table.keys.push(key);
        }
    }

    fn knows(&self, table: &Visited<'_>, key: &str) -> bool {
        table.keys.contains(&key) || self.tables_below(table.name).any(|name| name == key)
    }

    /// Names the tables that may stand directly in the table `name`.
    fn tables_below(&self, name: &'a str) -> impl Iterator<Item = &'static str> {
        let below = self.tables.iter().filter_map(move |table| child_of(name, table.name));
        // Sites are read one by one, so that their list is no table of this visit.
        below.chain((name.is_empty() && self.root_name.is_empty()).then_some("site"))
    }

    fn unknown(&self, table: &Visited<'a>, key: &str) -> Wrong {
        let here = table.keys.iter().copied().chain(self.tables_below(table.name));
        // Access rules and tokens do name secrets, so that advice about others would lead astray.
        let names_secrets = [ACCESS, ADMIN].iter().any(|names| table.name.starts_with(names));
        let wrong = if names_secrets { Wrong::new("unknown key") } else { unknown(key) };
        match nearest(key, here) {
            Some(name) => wrong.near(Some(name)),
            None => wrong.near(self.elsewhere(key).as_deref()),
        }
    }

    /// Finds a key of this very name in another table.
    fn elsewhere(&self, key: &str) -> Option<String> {
        let table = self.tables.iter().find(|table| table.keys.contains(&key))?;
        Some(join(table.name, key))
    }

    fn find_table(&mut self, name: &'static str) -> Option<&'a DeTable<'a>> {
        if name == self.root_name {
            return Some(self.root);
        }
        let value = self.root.get(child_of(self.root_name, name)?)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = value.get_ref().type_str();
            let wrong = Wrong::new(format!("found {found}; expected one table, written [{name}]"));
            self.problems.push(&self.source.place(value.span().start), name, wrong);
        }
        table
    }

    fn read_file<K: Kind>(
        &mut self,
        path: &str,
        kind: &K,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<K::Value> {
        let mut wrongs = Vec::new();
        let read = kind.read(value, &mut wrongs);
        for (offset, wrong) in wrongs {
            self.problems.push(&self.source.place(offset), path, wrong);
        }
        let place = self.source.place(value.span().start);
        self.mark(path, place, path, read.is_some());
        read
    }

    fn read_variable<K: Kind>(
        &mut self,
        path: &str,
        kind: &K,
        name: &str,
        text: &str,
    ) -> Option<K::Value> {
        let place = Place::whole(ENVIRONMENT);
        let read = kind.read_text(text);
        self.mark(path, place.clone(), name, read.is_ok());
        read.map_err(|wrong| self.problems.push(&place, name, wrong)).ok()
    }

    fn mark(&mut self, path: &str, place: Place, label: &str, sound: bool) {
        let mark = Mark { place, label: label.to_owned(), sound };
        self.given.marks.insert(path.to_owned(), mark);
    }
}

impl Visitor for Reader<'_> {
    fn table(&mut self, name: &'static str, _about: &'static str) {
        let content = self.find_table(name);
        self.tables.push(Visited { name, content, keys: Vec::new() });
    }

    fn key<K: Kind>(
        &mut self,
        name: &'static str,
        kind: &K,
        value: &mut K::Value,
        _meaning: &'static str,
    ) {
        let Some(table) = self.tables.last_mut() else { return };
        table.keys.push(name);
        let (table, content) = (table.name, table.content);
        let path = join(table, name);
        if let Some(written) = content.and_then(|content| content.get(name))
            && let Some(read) = self.read_file(&path, kind, written)
        {
            *value = read;
        }
        if !table.is_empty()
            && let Some((variable, text)) = self.overrides.take(table, name)
            && let Some(read) = self.read_variable(&path, kind, &variable, &text)
        {
            *value = read;
        }
    }
}

/// Says that a key or a variable is unknown, with the way out where there is one.
pub(super) fn unknown(name: &str) -> Wrong {
    let name = name.to_ascii_lowercase();
    let instead = |variable: &str| {
        Wrong::new(format!("secrets do not belong here; set the variable {variable} instead"))
    };
    if name.contains("secret") {
        instead("WEIR_TIER_SECRET")
    } else if name.contains("token") {
        instead("WEIR_ADMIN_TOKEN")
    } else if name.contains("password") {
        instead("WEIR_TIER_SECRET or WEIR_ADMIN_TOKEN")
    } else if name.ends_with("tier") {
        Wrong::new("the tier is chosen by the program: weir-edge, weir-regional or weir-shield")
    } else {
        Wrong::new("unknown key")
    }
}

/// Joins a table and a key to a dotted path.
fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Returns the name of `table` within `parent` where it stands directly in it.
fn child_of(parent: &str, table: &'static str) -> Option<&'static str> {
    let name = match parent {
        "" => table,
        _ => table.strip_prefix(parent)?.strip_prefix('.')?,
    };
    (!name.is_empty() && !name.contains('.')).then_some(name)
}
