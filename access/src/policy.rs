//! Who may fetch what of one site?
//!
//! A [`Policy`] is compiled once from its configuration and asked for each request, hits included. The first that
//! refuses answers, in this order: method, rules about clients, `Referer`, `Origin`, signature. A limit of rates belongs
//! between [`Policy::check_client`] and [`Policy::check_use`]; without one, [`Policy::check`] does both.
//!
//! # Invariants
//!
//! 1. Rules about paths see the path that will be looked up: where a signature is in the path, the path without it.
//! 2. Where nothing is refused and nothing is signed, nothing is allocated.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use weir_cache::{Glob, UnixTime};

use crate::denial::Denial;
use crate::grant::Grant;
use crate::refusal::one_line;
use crate::request::{Moment, Request};
use crate::rules::client::{ClientRule, CountryOf, refusing};
use crate::rules::source::{SourceDenial, SourceRules};
use crate::signed::Signature;

/// The answer: what a signature granted, `None` if none was asked for; or why not.
pub type Verdict = Result<Option<Grant>, Denial>;

/// A list of methods, and how `Allow` writes it.
#[derive(Debug, Clone)]
pub(crate) struct Methods {
    pub(crate) list: Vec<Method>,
    pub(crate) text: Arc<str>,
}

impl Methods {
    fn check(&self, method: &Method) -> Result<(), Denial> {
        if self.list.contains(method) {
            return Ok(());
        }
        Err(Denial::Method { allowed: Arc::clone(&self.text) })
    }
}

/// What has to be signed.
#[derive(Debug, Clone)]
pub(crate) struct SignatureRule {
    pub(crate) path: Option<Glob>,
    /// `None` for what is free.
    pub(crate) required: Option<Required>,
}

/// A signature that is required.
#[derive(Debug, Clone)]
pub(crate) struct Required {
    pub(crate) signature: Signature,
    pub(crate) methods: Methods,
    pub(crate) skew: Duration,
}

/// The access rules of one site. The default lets everybody in.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub(crate) methods: Option<Methods>,
    pub(crate) clients: Vec<ClientRule>,
    pub(crate) sources: Vec<SourceRules>,
    pub(crate) signatures: Vec<SignatureRule>,
}

impl Policy {
    /// Whether there are no rules, so that a check would find nothing against any GET or HEAD.
    #[must_use]
    pub fn lets_everybody_in(&self) -> bool {
        let Self { methods, clients, sources, signatures } = self;
        methods.is_none() && clients.is_empty() && sources.is_empty() && signatures.is_empty()
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`Denial`] by the first rule that refuses. Nothing may then be looked up or forwarded.
    pub fn check(&self, request: Request<'_>, countries: &dyn CountryOf, now: UnixTime) -> Verdict {
        self.check_client(request, countries)?;
        self.check_use(request, now)
    }

    /// Checks who asks: method, address, agent, country. The first half of [`Policy::check`].
    ///
    /// # Errors
    ///
    /// [`Denial::Method`] or [`Denial::Rule`].
    pub fn check_client(
        &self,
        request: Request<'_>,
        countries: &dyn CountryOf,
    ) -> Result<(), Denial> {
        if let Some(methods) = &self.methods {
            methods.check(request.method)?;
        }
        let (path, _) = self.signature_for(request);
        match refusing(&self.clients, path, request, countries) {
            Some(rule) => Err(Denial::Rule { name: Arc::clone(&rule.name) }),
            None => Ok(()),
        }
    }

    /// Checks with what right: `Referer`, `Origin`, signature. The second half of [`Policy::check`].
    ///
    /// # Errors
    ///
    /// [`Denial::Source`], [`Denial::Method`] or [`Denial::Signature`].
    pub fn check_use(&self, request: Request<'_>, now: UnixTime) -> Verdict {
        let (path, required) = self.signature_for(request);
        for rules in &self.sources {
            let checked = rules.check(path, request.target, request.headers);
            checked.map_err(|why| source_denial(rules, why, request))?;
        }
        let Some(required) = required else { return Ok(None) };
        required.methods.check(request.method)?;
        let moment = Moment { now, skew: required.skew };
        required.signature.verify(request, moment).map(Some).map_err(Denial::Signature)
    }

    /// The signature that is required, and the path less what of it may be the signature.
    fn signature_for<'a>(&'a self, request: Request<'a>) -> (&'a str, Option<&'a Required>) {
        let whole = request.target.path();
        for rule in &self.signatures {
            let fits = |path: &str| rule.path.as_ref().is_none_or(|glob| glob.matches(path));
            let inner = rule.required.as_ref().and_then(|req| req.signature.inner_path(whole));
            // Either will do: what could be a signature must not lead past the rule that asks for one.
            if inner.is_some_and(fits) || fits(whole) {
                return (inner.unwrap_or(whole), rule.required.as_ref());
            }
        }
        (whole, None)
    }
}

fn source_denial(rules: &SourceRules, why: SourceDenial, request: Request<'_>) -> Denial {
    let found = request.headers.get(rules.field.name());
    let found = found.map(|value| one_line(&String::from_utf8_lossy(value.as_bytes())));
    Denial::Source { field: rules.field, why, found: found.unwrap_or_default() }
}
