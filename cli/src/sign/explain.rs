//! Says whether a request is let in, by a node's file or by one key, and why not.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;
use weir_access::{AccessConfig, KeyConfig, Policy, Request, SecretRef, SignatureConfig, Verdict};
use weir_cache::{HostTable, Target};
use weir_node::{Countries, config, read_secret};

use super::Arguments;
use crate::failure::{Failure, usage};
use crate::output;

/// Exits 0 if `url` is let in, 1 if it is refused.
pub(super) fn run(arguments: &Arguments, url: &Target) -> Result<ExitCode, Failure> {
    let target = url.clone().without_port();
    let (policy, countries) = match &arguments.config {
        Some(_) => of_file(arguments, &target)?,
        None => (of_key(arguments)?, Arc::default()),
    };
    let headers = headers(&arguments.headers)?;
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let client = arguments.terms.client.map_or(here, |net| net.addr());
    let request = Request { method: &Method::GET, target: &target, headers: &headers, client };
    let verdict = policy.check(request, &*countries, arguments.terms.now());
    let text = if arguments.json { as_json(&verdict, &target) } else { as_text(&verdict, &target) };
    output::out(&format!("{text}\n"))?;
    Ok(if verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_text(verdict: &Verdict, target: &Target) -> String {
    match verdict {
        Ok(None) => format!("granted: nothing has to be signed\nlooked up as {}", target.uri()),
        Ok(Some(grant)) => {
            let (key, looked_up) = (grant.key_id(), grant.target().uri());
            let until = grant
                .expires()
                .map_or_else(String::new, |time| format!(", right until {}", time.as_secs()));
            format!("granted: signed with the key {key}{until}\nlooked up as {looked_up}")
        }
        Err(denial) => format!("refused: {}: {}", denial.as_str(), denial.explain()),
    }
}

fn as_json(verdict: &Verdict, target: &Target) -> String {
    let document = match verdict {
        Ok(None) => json!({"granted": true, "url": target.uri()}),
        Ok(Some(grant)) => json!({
            "granted": true,
            "url": grant.target().uri(),
            "key": grant.key_id(),
            "expires": grant.expires().map(|time| time.as_secs()),
        }),
        Err(denial) => json!({
            "granted": false,
            "status": denial.status().as_u16(),
            "reason": denial.as_str(),
            "explanation": denial.explain(),
        }),
    };
    document.to_string()
}

/// The rules of the site in the node's file that the URL belongs to, and where that file says clients are.
fn of_file(
    arguments: &Arguments,
    target: &Target,
) -> Result<(Arc<Policy>, Arc<Countries>), Failure> {
    let Some(file) = &arguments.config else { return Err(usage("--config is missing")) };
    let loaded = config::load(file, &weir_edge::defaults(), config::environment());
    let loaded = loaded.map_err(|problems| Failure::Failed(anyhow::anyhow!("{problems}")))?;
    let hosts = loaded.sites.iter().flat_map(|site| {
        site.hosts.iter().map(|host| (host.clone(), Arc::clone(site.access.policy())))
    });
    let table = HostTable::new(hosts.collect::<Vec<_>>()).map_err(usage)?;
    let found = table.find(target.host_without_port());
    let policy =
        found.cloned().ok_or_else(|| usage(format!("no site has the host {:?}", target.host())))?;
    Ok((policy, Arc::clone(loaded.countries.countries())))
}

/// Rules that want everything signed in one format with one key.
fn of_key(arguments: &Arguments) -> Result<Arc<Policy>, Failure> {
    let format = &arguments.format;
    let reference = match arguments.key.reference()? {
        SecretRef::Env(name) => format!("env:{name}"),
        SecretRef::File(path) => format!("file:{path}"),
    };
    let public = format.format == "cloudfront";
    let key = KeyConfig {
        id: arguments.key.id().to_owned(),
        secret: (!public).then(|| reference.clone()),
        public_key: public.then_some(reference),
    };
    let timed = format.format.starts_with("alibaba") || format.format.starts_with("tencent");
    let signature = SignatureConfig {
        format: Some(format.format.clone()),
        keys: vec![key],
        validity: timed.then(|| format.validity.clone()),
        parameters: format.parameters.clone(),
        time: format.hex.then(|| "hex".to_owned()),
        expression: format.expression.clone(),
        name: format.name.clone(),
        ..SignatureConfig::default()
    };
    let rules = AccessConfig { signature: vec![signature], ..AccessConfig::default() };
    let policy = rules.compile(&read_secret).map_err(|problems| {
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| problem.to_string().replace("signature[0].", ""))
            .collect();
        usage(lines.join("\n"))
    })?;
    Ok(Arc::new(policy))
}

fn headers(fields: &[String]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let parsed = field.split_once(':').and_then(|(name, value)| {
            let value = HeaderValue::from_str(value.trim()).ok()?;
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        });
        let (name, value) = parsed
            .ok_or_else(|| usage(format!("{field:?} is no field; expected 'Name: value'")))?;
        headers.append(name, value);
    }
    Ok(headers)
}
