//! Which keys the environment sets: `WEIR__SECTION__KEY`, stronger than the file.
//!
//! Values are read as the kind of their key, without the quotes of TOML; lists are separated by
//! commas. Sites and includes cannot be set so.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::problem::{Place, Problems, Wrong, nearest, printable_key};

/// What stands for a file in problems with a variable.
pub(super) const ENVIRONMENT: &str = "environment";

const PREFIX: &str = "WEIR__";

/// Returns the environment of this process.
///
/// Unlike `std::env::vars`, it does not panic on a name or a value that is not Unicode: what cannot
/// be read is replaced by U+FFFD, so that it is reported where it concerns a key.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value)))
}

/// The variables that are meant to set keys.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    left: BTreeMap<String, String>,
    known: Vec<String>,
}

impl Overrides {
    /// Picks the variables with the prefix; of two with one name the last counts.
    pub(super) fn from_env(env: impl IntoIterator<Item = (String, String)>) -> Self {
        let left = env.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        Self { left, known: Vec::new() }
    }

    /// Takes the variable that sets `key` of `table`, as its name and its value.
    pub(super) fn take(&mut self, table: &str, key: &str) -> Option<(String, String)> {
        let name = format!("{PREFIX}{table}__{key}").to_ascii_uppercase();
        self.known.push(name.clone());
        self.left.remove_entry(&name)
    }

    /// Reports every variable that was not taken.
    pub(super) fn finish(self, problems: &mut Problems) {
        for name in self.left.keys() {
            let wrong = match name.strip_prefix(PREFIX) {
                Some(rest) if rest.to_ascii_uppercase().starts_with("SITE__") => {
                    Wrong::new("a variable cannot set a key of a site; use the file")
                }
                _ => super::reader::unknown(name)
                    .near(nearest(name, self.known.iter().map(String::as_str))),
            };
            problems.push(&Place::whole(ENVIRONMENT), &printable_key(name), wrong);
        }
    }
}
