//! In which country is an address? Answered from a file in the MaxMind DB format.
//!
//! Any database whose records have `country.iso_code` will do: GeoLite2-Country, GeoIP2-City, and those of
//! DB-IP. The file is read into memory as a whole, once; where it is named and when it is read again is for
//! `config` and `reload`.
//!
//! # Invariants
//!
//! 1. No file panics or hangs, whatever is in it; a record that cannot be read is an address that is not known.
//! 2. An address asks for at most 128 steps and one record; nothing is allocated.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use weir_access::Country;

/// Bytes that a file may have. The largest of those sold, with cities, have a quarter of it.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// Networks looked at, with data or without, for a first country. All but the first few of a database with
/// countries have one; walking all of a large one takes seconds.
const PROBED_MAX: usize = 100_000;

const ISO_CODE: [PathElement<'_>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];

/// Why a file cannot say where addresses are.
#[derive(Debug, thiserror::Error)]
pub enum CountriesError {
    /// The system does not give it.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is a directory, a pipe or the like.
    #[error("is no file")]
    NoFile,
    /// It is too long to be one that is meant.
    #[error("is longer than 512MiB")]
    TooLong,
    /// It has another format, or was cut off.
    #[error("is no MaxMind DB file, or not all of one")]
    NoDatabase(#[source] MaxMindDbError),
    /// It is about something else.
    #[error("is of the type \"{}\" and has no country.iso_code", kind.escape_debug())]
    NoCountries {
        /// What it calls itself.
        kind: String,
    },
}

/// What a database says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Located {
    /// It is there.
    Known(Country),
    /// The database does not have it, or there is no database.
    Unknown,
    /// The database is damaged where it would be.
    Unreadable,
}

impl Located {
    /// The word in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Known(_) => "known",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }

    /// The country; damage and absence are one to a rule.
    pub(crate) const fn country(self) -> Option<Country> {
        match self {
            Self::Known(country) => Some(country),
            Self::Unknown | Self::Unreadable => None,
        }
    }
}

/// Where addresses are. The default knows of none.
#[derive(Default)]
pub struct Countries {
    reader: Option<Reader<Vec<u8>>>,
}

impl fmt::Debug for Countries {
    /// Names the database; it may have hundreds of megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Countries")
            .field("kind", &self.kind())
            .field("built", &self.built())
            .finish_non_exhaustive()
    }
}

impl Countries {
    /// Reads a file, which then lies in memory.
    ///
    /// # Errors
    ///
    /// [`CountriesError`]; nothing of it is of use then.
    pub fn read(path: &Path) -> Result<Self, CountriesError> {
        // Opening a pipe would wait for somebody to write to it.
        let about = std::fs::metadata(path).map_err(CountriesError::Unreadable)?;
        if !about.is_file() {
            return Err(CountriesError::NoFile);
        }
        if about.len() > FILE_BYTES_MAX {
            return Err(CountriesError::TooLong);
        }
        let file = File::open(path).map_err(CountriesError::Unreadable)?;
        let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
        // It may have grown meanwhile; one byte more than allowed tells.
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(CountriesError::Unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(CountriesError::TooLong);
        }
        Self::from_bytes(bytes)
    }

    /// Takes the content of a file.
    ///
    /// # Errors
    ///
    /// [`CountriesError::NoDatabase`] or [`CountriesError::NoCountries`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CountriesError> {
        let reader = Reader::from_source(bytes).map_err(CountriesError::NoDatabase)?;
        if !has_countries(&reader)? {
            let kind = reader.metadata().database_type.chars().take(64).collect();
            return Err(CountriesError::NoCountries { kind });
        }
        Ok(Self { reader: Some(reader) })
    }

    /// What the database calls itself; `None` where there is none.
    pub fn kind(&self) -> Option<&str> {
        Some(self.reader.as_ref()?.metadata().database_type.as_str())
    }

    /// When the database was made, in seconds since 1970; `None` where there is none.
    pub fn built(&self) -> Option<u64> {
        Some(self.reader.as_ref()?.metadata().build_epoch)
    }

    /// Looks an address up. One that was mapped into IPv6 is IPv4.
    pub(crate) fn locate(&self, address: IpAddr) -> Located {
        let Some(reader) = &self.reader else { return Located::Unknown };
        let address = address.to_canonical();
        // To the reader this is an error as damage is.
        if address.is_ipv6() && reader.metadata().ip_version == 4 {
            return Located::Unknown;
        }
        let record = reader.lookup(address);
        match record.and_then(|record| record.decode_path::<&str>(&ISO_CODE)) {
            Ok(Some(code)) => code.parse().map_or(Located::Unreadable, Located::Known),
            Ok(None) => Located::Unknown,
            Err(_damaged) => Located::Unreadable,
        }
    }
}

impl weir_access::CountryOf for Countries {
    fn country(&self, address: IpAddr) -> Option<Country> {
        self.locate(address).country()
    }
}

/// Whether one of the first networks has a country.
fn has_countries(reader: &Reader<Vec<u8>>) -> Result<bool, CountriesError> {
    // Networks that are skipped would not count, and few nodes can lead to more of them than can be walked.
    let all = WithinOptions::default().include_aliased_networks().include_networks_without_data();
    let networks = reader.networks(all).map_err(CountriesError::NoDatabase)?;
    for network in networks.take(PROBED_MAX) {
        let network = network.map_err(CountriesError::NoDatabase)?;
        // Whatever else stands where a country would be, the file is about something else.
        let code = network.decode_path::<&str>(&ISO_CODE).ok().flatten();
        if code.is_some_and(|code| code.parse::<Country>().is_ok()) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
