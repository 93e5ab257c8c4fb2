//! Signs: one way for each format.
//!
//! Nodes verify a URL without its port, so that it is signed without, and printed with it.

use std::time::Duration;

use anyhow::anyhow;
use weir_access::{
    COOKIE, CloudFront, CustomPolicy, EdgeAuth, EdgeScope, EdgeTerms, Key, PrivateKey, Scope,
    SecureLink, SignError, Terms, TimeForm, TypeA, TypeB, TypeC, TypeD, Weir,
};
use weir_cache::{Target, UnixTime};
use weir_node::config::parse_duration;

use super::Arguments;
use crate::failure::{Failure, usage};

/// What was signed.
pub(super) enum Made {
    /// A URL.
    Url(String),
    /// Cookies, by name.
    Cookies(Vec<(String, String)>),
}

/// What is to be signed.
struct Wish<'a> {
    arguments: &'a Arguments,
    /// The URL without its port.
    target: Target,
    expires: UnixTime,
    not_before: Option<UnixTime>,
}

/// Signs `url` as the arguments say; returns until when that is right.
pub(super) fn make(arguments: &Arguments, url: &Target) -> Result<(Made, UnixTime), Failure> {
    let terms = &arguments.terms;
    let not_before = terms.not_before.as_deref().map(|text| terms.moment(text)).transpose()?;
    let expires = terms.moment(&terms.expires)?;
    let target = url.clone().without_port();
    let wish = Wish { arguments, target, expires, not_before };
    let made = match &*arguments.format.format {
        "weir" => wish.weir()?,
        "edge-auth" => wish.edge_auth()?,
        "cloudfront" => wish.cloudfront()?,
        other => wish.only_url(other)?,
    };
    let made = match made {
        Made::Url(signed) => Made::Url(signed.replacen(
            &format!("//{}", wish.target.host()),
            &format!("//{}", url.host()),
            1,
        )),
        cookies @ Made::Cookies(_) => cookies,
    };
    Ok((made, expires))
}

fn not_signed(error: SignError) -> Failure {
    usage(format!("the URL cannot be signed so: {error}"))
}

impl Wish<'_> {
    fn weir(&self) -> Result<Made, Failure> {
        let scope = match &*self.arguments.terms.scope {
            "exact" => Scope::Exact,
            "path" => Scope::Path,
            folder => Scope::Prefix(folder.to_owned()),
        };
        let key = self.arguments.key.key(self.arguments.key.required_id()?, false)?;
        let client = self.arguments.terms.client;
        let terms = Terms { expires: self.expires, not_before: self.not_before, client, scope };
        if self.arguments.cookie {
            let value = Weir::new().sign_cookie(&key, &self.target, &terms).map_err(not_signed)?;
            return Ok(Made::Cookies(vec![(COOKIE.to_owned(), value)]));
        }
        Weir::new().sign(&key, &self.target, &terms).map(Made::Url).map_err(not_signed)
    }

    fn edge_auth(&self) -> Result<Made, Failure> {
        let name = self.arguments.format.name.as_deref().unwrap_or("hdnts");
        let format = EdgeAuth::new(name, None, false);
        let format = format.ok_or_else(|| usage("--name is no name of a header field"))?;
        let scope = match &*self.arguments.terms.scope {
            "exact" | "path" => EdgeScope::Url,
            folder => EdgeScope::Acl(vec![format!("{folder}*")]),
        };
        let client = self.address()?;
        let terms = EdgeTerms { expires: self.expires, start: self.not_before, client, scope };
        let key = self.arguments.key.key(self.arguments.key.id(), true)?;
        if self.arguments.cookie {
            let token = format.sign_token(&key, &self.target, &terms).map_err(not_signed)?;
            return Ok(Made::Cookies(vec![(name.to_owned(), token)]));
        }
        format.sign(&key, &self.target, &terms).map(Made::Url).map_err(not_signed)
    }

    fn cloudfront(&self) -> Result<Made, Failure> {
        let place = &self.arguments.key;
        let (id, pem) = (place.required_id()?, place.read()?);
        let private = PrivateKey::from_pem(&pem).map_err(not_signed)?;
        let format = CloudFront::new(None);
        let terms = &self.arguments.terms;
        let plain = self.not_before.is_none() && terms.client.is_none() && terms.scope == "exact";
        if plain && !self.arguments.cookie {
            let policy = format.canned(&self.target, self.expires).map_err(not_signed)?;
            let signed = private.sign(id, &policy).map_err(not_signed)?;
            return Ok(Made::Url(format.canned_url(&self.target, self.expires, &signed)));
        }
        let policy = CustomPolicy {
            resource: self.resource(),
            date_less_than: self.expires.as_secs(),
            // It is right after that second.
            date_greater_than: self.not_before.map(|time| time.as_secs().saturating_sub(1)),
            client: terms.client,
        };
        let policy = policy.write().map_err(|error| anyhow!(error))?;
        let signed = private.sign(id, &policy).map_err(not_signed)?;
        if self.arguments.cookie {
            return Ok(Made::Cookies(format.custom_cookies(&policy, &signed)));
        }
        Ok(Made::Url(format.custom_url(&self.target, &policy, &signed)))
    }

    /// What a custom policy is for.
    fn resource(&self) -> String {
        let base = format!("{}://{}", self.target.scheme(), self.target.host());
        match &*self.arguments.terms.scope {
            "exact" => self.target.uri(),
            "path" => format!("{base}{}*", self.target.path()),
            folder => format!("{base}{folder}*"),
        }
    }

    /// The formats that sign one path, in the URL.
    fn only_url(&self, name: &str) -> Result<Made, Failure> {
        let Arguments { key: place, format, terms, cookie, .. } = self.arguments;
        if *cookie || terms.scope != "exact" || self.not_before.is_some() {
            return Err(usage(format!(
                "{name} signs one path until a time, in the URL; it has no --cookie, --scope and --not-before"
            )));
        }
        if terms.client.is_some() && name != "secure-link" {
            return Err(usage(format!("{name} does not sign the client's address")));
        }
        let validity = parse_duration(&format.validity)
            .map_err(|error| usage(format!("--validity {:?} {error}", format.validity)))?;
        let key = place.key(place.id(), false)?;
        let time = if format.hex { TimeForm::Hex } else { TimeForm::Decimal };
        let target = &self.target;
        let signed_at = self.signed_at(validity);
        let signed = match name {
            "alibaba-a" | "tencent-a" => {
                let default = if name == "alibaba-a" { "auth_key" } else { "sign" };
                let [parameter] = self.parameters([default])?;
                TypeA::new(&parameter, time, validity).sign(&key, target, signed_at, "0")
            }
            "alibaba-b" | "tencent-b" => TypeB::new(validity).sign(&key, target, signed_at),
            "alibaba-c" | "tencent-c" => TypeC::new(validity).sign(&key, target, signed_at),
            "alibaba-c-query" | "tencent-d" => {
                let (defaults, time) = match name {
                    "tencent-d" => (["sign", "t"], time),
                    _ => (["KEY1", "KEY2"], TimeForm::Hex),
                };
                let names = self.parameters(defaults)?;
                let names = names.each_ref().map(String::as_str);
                TypeD::new(names, time, validity).sign(&key, target, signed_at)
            }
            "secure-link" => self.secure_link(&key)?,
            _ => {
                return Err(usage(format!(
                    "the format {name:?} is unknown; see `weir sign --help`"
                )));
            }
        };
        signed.map(Made::Url).map_err(not_signed)
    }

    fn secure_link(&self, key: &Key) -> Result<Result<String, SignError>, Failure> {
        let expression = self.arguments.format.expression.as_deref().unwrap_or_default();
        let expression =
            expression.parse().map_err(|error| usage(format!("--expression {error}")))?;
        let names = self.parameters(["md5", "expires"])?;
        let format = SecureLink::new(expression, names.each_ref().map(String::as_str));
        let client = self.address()?.map(|address| address.to_string()).unwrap_or_default();
        Ok(format.sign(key, &self.target, self.expires, &client))
    }

    /// When a URL was signed that is right until it expires.
    fn signed_at(&self, validity: Duration) -> UnixTime {
        let secs = i64::try_from(validity.as_secs()).unwrap_or(i64::MAX);
        UnixTime::from_secs(self.expires.as_secs().saturating_sub(secs))
    }

    fn parameters<const N: usize>(&self, defaults: [&str; N]) -> Result<[String; N], Failure> {
        match &self.arguments.format.parameters {
            None => Ok(defaults.map(str::to_owned)),
            Some(names) => <[String; N]>::try_from(names.clone())
                .map_err(|_wrong| usage(format!("--parameters needs {N} names, apart by commas"))),
        }
    }

    /// The client, in formats that know single addresses only.
    fn address(&self) -> Result<Option<std::net::IpAddr>, Failure> {
        match self.arguments.terms.client {
            Some(net) if net.prefix_len() != net.max_prefix_len() => {
                Err(usage("this format signs one address, not a network"))
            }
            client => Ok(client.map(|net| net.addr())),
        }
    }
}
