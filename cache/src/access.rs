//! May this target be asked for at all?
//!
//! A cache key can be derived only from a [`Granted`], and only [`check`] makes one. So a path on
//! which nobody asked this question cannot look anything up: it does not compile. Who is let in is
//! for a [`Gate`] to say; how a refusal is worded for the client and how it is logged belong to the
//! callers.

use std::convert::Infallible;

use http::Method;

use crate::target::Target;

/// One ground on which a target may be asked for: the rules for clients, the word of another node,
/// the right of an operator. Each is a type of its own, so that none is taken for another.
pub trait Gate {
    /// Why somebody is not let in.
    type Denial;

    /// Lets a request for `target` in, and returns what is to be looked up and sent upstream:
    /// `target` less what proved the right to ask for it.
    ///
    /// # Errors
    ///
    /// The first reason against it. Nothing may then be looked up or forwarded.
    fn admit(self, method: &Method, target: Target) -> Result<Target, Self::Denial>;
}

/// Lets everybody in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenGate;

impl Gate for OpenGate {
    type Denial = Infallible;

    fn admit(self, _method: &Method, target: Target) -> Result<Target, Infallible> {
        Ok(target)
    }
}

/// Proof that the access checks passed for one target.
///
/// The field is private and [`check`] is the only constructor. Not `Clone`: one check, one look-up.
#[derive(Debug)]
pub struct Granted {
    target: Target,
}

impl Granted {
    /// Target that was granted.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Gives up the proof and keeps its target.
    pub fn into_target(self) -> Target {
        self.target
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied<D> {
    /// The gate did not let it in.
    #[error("the access rules refuse it")]
    Gate(D),
    /// CONNECT asks for a tunnel and TRACE for an echo of what may be secret (RFC 9110 §9.3.6,
    /// §9.3.8). Neither is a request for the target.
    #[error("the method is not allowed")]
    Method,
}

/// Checks a request for `target` at `gate`.
///
/// # Errors
///
/// [`Denied`] by the first rule that refuses. Nothing may then be looked up or forwarded.
pub fn check<G: Gate>(
    gate: G,
    method: &Method,
    target: Target,
) -> Result<Granted, Denied<G::Denial>> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Denied::Method);
    }
    let target = gate.admit(method, target).map_err(Denied::Gate)?;
    Ok(Granted { target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Scheme;

    fn target(path: &str) -> Target {
        Target::parse(Scheme::Http, "example.com", path).expect("well-formed")
    }

    #[test]
    fn only_methods_that_ask_for_the_target_are_granted() {
        let extension = Method::from_bytes(b"trace").expect("a token");
        let cases = [
            (Method::GET, true, "asks for the target"),
            (Method::OPTIONS, true, "asks about the target"),
            (Method::POST, true, "acts on the target"),
            (extension, true, "methods are case-sensitive: this one is merely unknown"),
            (Method::CONNECT, false, "asks for a tunnel"),
            (Method::TRACE, false, "asks for an echo"),
        ];
        for (method, expected, why) in cases {
            let checked = check(OpenGate, &method, target("/a"));
            assert_eq!(checked.is_ok(), expected, "{why}: {method}");
            if let Ok(granted) = checked {
                assert_eq!(granted.target(), &target("/a"));
                assert_eq!(granted.into_target(), target("/a"));
            }
        }
    }

    #[test]
    fn a_gate_refuses_or_says_what_is_looked_up() {
        struct Unsigned;
        impl Gate for Unsigned {
            type Denial = &'static str;

            fn admit(self, _method: &Method, target: Target) -> Result<Target, &'static str> {
                if target.query().is_none() {
                    return Err("unsigned");
                }
                Ok(target.with_query(None))
            }
        }
        let granted = check(Unsigned, &Method::GET, target("/a?sig=1")).expect("signed");
        assert_eq!(granted.into_target(), target("/a"));
        let denied = check(Unsigned, &Method::GET, target("/a")).unwrap_err();
        assert_eq!(denied, Denied::Gate("unsigned"));
    }
}
