//! What does a custom policy allow?
//!
//! A policy is JSON with one statement. A condition that is not known is an error: it restricts, and a restriction that
//! is not understood must not be overlooked.
//!
//! `*` in a resource stands for any characters, `?` for one, slashes included, as CloudFront has it. Where there is one,
//! paths that some server reads as lying elsewhere are not covered (see `cover`).

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::cover::may_climb;
use crate::net;
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::wildcard::fits_exactly;

/// A custom policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomPolicy {
    /// Pattern for URLs; `*` for any.
    pub resource: String,
    /// Second from which it is right no more, as [`weir_cache::UnixTime`] counts.
    pub date_less_than: i64,
    /// Second after which it is right.
    pub date_greater_than: Option<i64>,
    /// Where the client must come from.
    pub client: Option<IpNet>,
}

/// Why a text is no policy.
#[derive(Debug, thiserror::Error)]
pub enum BadPolicy {
    /// An address is none.
    #[error("has an IpAddress that is neither an address nor a network")]
    Address,
    /// Not the JSON that a policy is.
    #[error("is not a policy ({0})")]
    Json(serde_json::Error),
    /// Several statements, or none.
    #[error("has not exactly one statement")]
    Statements,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawPolicy {
    statement: Vec<RawStatement>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawStatement {
    resource: Option<String>,
    condition: RawCondition,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawCondition {
    date_less_than: RawTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_greater_than: Option<RawTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<RawAddress>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTime {
    #[serde(rename = "AWS:EpochTime")]
    secs: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAddress {
    #[serde(rename = "AWS:SourceIp")]
    net: String,
}

impl CustomPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// [`BadPolicy`].
    pub fn parse(text: &[u8]) -> Result<Self, BadPolicy> {
        let raw: RawPolicy = serde_json::from_slice(text).map_err(BadPolicy::Json)?;
        let mut statements = raw.statement.into_iter();
        let (Some(statement), None) = (statements.next(), statements.next()) else {
            return Err(BadPolicy::Statements);
        };
        let condition = statement.condition;
        let client = match condition.ip_address {
            // CloudFront writes this for "anywhere"; clients with IPv6 are meant too.
            Some(address) if address.net == "0.0.0.0/0" => None,
            Some(address) => Some(net::parse(&address.net).ok_or(BadPolicy::Address)?),
            None => None,
        };
        Ok(Self {
            resource: statement.resource.unwrap_or_else(|| "*".to_owned()),
            date_less_than: condition.date_less_than.secs,
            date_greater_than: condition.date_greater_than.map(|time| time.secs),
            client,
        })
    }

    /// Writes the policy, as it is to be signed.
    ///
    /// # Errors
    ///
    /// [`BadPolicy::Json`], which does not happen.
    pub fn write(&self) -> Result<String, BadPolicy> {
        let condition = RawCondition {
            date_less_than: RawTime { secs: self.date_less_than },
            date_greater_than: self.date_greater_than.map(|secs| RawTime { secs }),
            ip_address: self.client.map(|net| RawAddress { net: net::format(net) }),
        };
        let statement = RawStatement { resource: Some(self.resource.clone()), condition };
        serde_json::to_string(&RawPolicy { statement: vec![statement] }).map_err(BadPolicy::Json)
    }

    /// Checks what the policy says against a request for `url`; returns the last second.
    pub(super) fn check(
        &self,
        url: &str,
        request: Request<'_>,
        moment: Moment,
    ) -> Result<i64, Refusal> {
        let until = self.date_less_than.saturating_sub(1);
        if moment.is_after(until) {
            return Err(Refusal::new(Reason::Expired, format!("right until {until}")));
        }
        let from = self.date_greater_than.map(|after| after.saturating_add(1));
        if let Some(from) = from.filter(|from| moment.is_before(*from)) {
            return Err(Refusal::new(Reason::NotYet, format!("right from {from}")));
        }
        let address = request.address();
        if let Some(net) = self.client.filter(|net| !net.contains(&address)) {
            let found = format!("signed for {net}, asked from {address}");
            return Err(Refusal::new(Reason::WrongClient, found));
        }
        let open = self.resource.contains(['*', '?']);
        if !fits_exactly(&self.resource, url) || (open && may_climb(request.target.path())) {
            let found = format!("signed for {}, asked for {url}", self.resource);
            return Err(Refusal::new(Reason::PathNotCovered, found));
        }
        Ok(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_written() {
        let text = br#"{"Statement": [{"Resource":"http*://a.b/*", "Condition":{
            "DateLessThan":{"AWS:EpochTime":200}, "DateGreaterThan":{"AWS:EpochTime":100},
            "IpAddress":{"AWS:SourceIp":"192.0.2.0/24"}}}]}"#;
        let policy = CustomPolicy::parse(text).unwrap();
        assert_eq!(policy.resource, "http*://a.b/*");
        assert_eq!((policy.date_less_than, policy.date_greater_than), (200, Some(100)));
        assert_eq!(policy.client, net::parse("192.0.2.0/24"));
        let again = CustomPolicy::parse(policy.write().unwrap().as_bytes()).unwrap();
        assert_eq!(again, policy);
    }

    #[test]
    fn what_is_not_understood_is_no_policy() {
        let date = r#""DateLessThan":{"AWS:EpochTime":200}"#;
        for text in [
            String::new(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"Statement":[]}"#.to_owned(),
            r#"{"Statement":[{"Resource":"*"}]}"#.to_owned(),
            r#"{"Statement":[{"Resource":"*","Condition":{}}]}"#.to_owned(),
            format!(r#"{{"Statement":[{{"Condition":{{{date},"Other":1}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Condition":{{{date},{date}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Condition":{{{date}}}}},{{"Condition":{{{date}}}}}]}}"#),
            format!(r#"{{"Statement":[{{"Condition":{{{date}}}}}]}}x"#),
            r#"{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":2e2}}}]}"#.to_owned(),
            r#"{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":99999999999999999999}}}]}"#
                .to_owned(),
            format!(r#"{{"Statement":[{{"Condition":{{{date},"IpAddress":{{"AWS:SourceIp":"x"}}}}}}]}}"#),
            "[".repeat(100_000),
        ] {
            assert!(CustomPolicy::parse(text.as_bytes()).is_err(), "{:.80}", text);
        }
    }
}
