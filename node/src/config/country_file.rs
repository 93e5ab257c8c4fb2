//! Which file says where addresses are, and what is in it.
//!
//! The file is read when the configuration is: what is wrong with it is a problem of the configuration, and
//! each reload reads it again. Its format: `countries`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Problems, Wrong};
use super::reader::Given;
use crate::countries::{Countries, CountriesError};

const KEY: &str = "node.country_file";

/// Where addresses are, and the file that says so. The default has none and knows of no address.
#[derive(Clone, Debug, Default)]
pub struct CountryFile {
    path: Option<PathBuf>,
    countries: Arc<Countries>,
}

impl PartialEq for CountryFile {
    /// Compares names; contents are not compared.
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl CountryFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub fn read(path: &Path) -> Result<Self, CountriesError> {
        let countries = Arc::new(Countries::read(path)?);
        Ok(Self { path: Some(path.to_owned()), countries })
    }

    /// What the file says.
    pub const fn countries(&self) -> &Arc<Countries> {
        &self.countries
    }

    /// Gives up what the file says, so that it can be freed when another takes its place; the name stays.
    pub(crate) fn take(&mut self) -> Arc<Countries> {
        std::mem::take(&mut self.countries)
    }

    /// Whether a file is named.
    pub(super) const fn is_named(&self) -> bool {
        self.path.is_some()
    }

    /// Where the name is read to, before [`CountryFile::load`].
    pub(super) const fn draft(&mut self) -> &mut Option<PathBuf> {
        &mut self.path
    }

    /// Reads the file that is named. What is wrong with it is a problem where it was named.
    pub(super) fn load(&mut self, given: &Given, problems: &mut Problems) {
        let (Some(path), Some(mark)) = (&self.path, given.set(KEY)) else { return };
        match Countries::read(path) {
            Ok(countries) => self.countries = Arc::new(countries),
            Err(error) => problems.push(&mark.place, &mark.label, wrong(path, &error)),
        }
    }
}

fn wrong(path: &Path, error: &CountriesError) -> Wrong {
    let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
    Wrong::new(format!(
        "the file {path:?} {error}{cause}; expected a MaxMind DB file with countries, such as GeoLite2-Country.mmdb"
    ))
}
