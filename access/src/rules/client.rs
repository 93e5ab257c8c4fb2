//! May this client ask at all? Address, agent, country and method, by path.
//!
//! Rules are tried in their order and the first that fits decides; a request that none fits is let through. A rule fits
//! if everything that it names does.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::Method;
use weir_cache::Glob;

use crate::request::Request;
use crate::rules::agents::Agents;
use crate::rules::nets::Nets;

/// Two letters of ISO 3166-1, in upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

/// A text that is no country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a country (expected two letters such as \"DE\")")]
pub struct BadCountry;

impl FromStr for Country {
    type Err = BadCountry;

    fn from_str(text: &str) -> Result<Self, BadCountry> {
        match text.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Ok(Self([first.to_ascii_uppercase(), second.to_ascii_uppercase()]))
            }
            _ => Err(BadCountry),
        }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([first, second]) = self;
        write!(f, "{}{}", char::from(*first), char::from(*second))
    }
}

/// Knows where addresses are. Implemented by whoever has a database.
pub trait CountryOf {
    /// The country of an address; `None` if it is not known. Called once a request at most, and only where rules ask.
    fn country(&self, address: IpAddr) -> Option<Country>;
}

/// Knows of no address where it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCountries;

impl CountryOf for NoCountries {
    fn country(&self, _address: IpAddr) -> Option<Country> {
        None
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    Deny,
}

/// One rule. What is `None` is not looked at.
#[derive(Debug, Clone)]
pub(crate) struct ClientRule {
    /// What explanations call it.
    pub(crate) name: Arc<str>,
    pub(crate) action: Action,
    pub(crate) path: Option<Glob>,
    pub(crate) methods: Option<Vec<Method>>,
    pub(crate) nets: Option<Nets>,
    pub(crate) agents: Option<Agents>,
    /// `None` in the list stands for a country that is not known.
    pub(crate) countries: Option<Vec<Option<Country>>>,
}

impl ClientRule {
    fn fits(
        &self,
        path: &str,
        request: Request<'_>,
        country: &mut impl FnMut() -> Option<Country>,
    ) -> bool {
        self.path.as_ref().is_none_or(|glob| glob.matches(path))
            && self.methods.as_ref().is_none_or(|methods| methods.contains(request.method))
            && self.nets.as_ref().is_none_or(|nets| nets.contains(request.address()))
            && self.agents.as_ref().is_none_or(|agents| agents.have(request.headers))
            && self.countries.as_ref().is_none_or(|countries| countries.contains(&country()))
    }
}

/// The rule that refuses a request; `None` if it is let through.
pub(crate) fn refusing<'r>(
    rules: &'r [ClientRule],
    path: &str,
    request: Request<'_>,
    countries: &dyn CountryOf,
) -> Option<&'r ClientRule> {
    let mut known = None;
    let mut country = || *known.get_or_insert_with(|| countries.country(request.address()));
    let rule = rules.iter().find(|rule| rule.fits(path, request, &mut country))?;
    match rule.action {
        Action::Allow => None,
        Action::Deny => Some(rule),
    }
}
