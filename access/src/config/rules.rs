//! How rules about clients and about pages are read.

use weir_cache::HostPattern;

use crate::config::parts::{Report, glob, methods, quote, texts, word};
use crate::config::{RuleConfig, SourceConfig};
use crate::net;
use crate::rules::agents::Agents;
use crate::rules::client::{Action, ClientRule, Country};
use crate::rules::hosts::Hosts;
use crate::rules::nets::Nets;
use crate::rules::source::SourceRule;

pub(super) fn client_rule(
    report: &mut Report,
    key: &str,
    config: &RuleConfig,
) -> Option<ClientRule> {
    let actions = [("allow", Action::Allow), ("deny", Action::Deny)];
    let action = word(report, &format!("{key}.action"), config.action.as_deref(), &actions);
    let list = |name: &str| format!("{key}.{name}");
    let methods =
        config.methods.as_deref().map(|given| methods(report, &list("methods"), given).list);
    let nets = config.clients.as_deref().map(|given| {
        let nets = texts(report, &list("clients"), given, |text| {
            let expected =
                "is not a network (expected such as \"192.0.2.0/24\", with zeros behind)";
            net::parse(text).ok_or_else(|| format!("{} {expected}", quote(text)))
        });
        Nets::new(&nets)
    });
    let countries = config.countries.as_deref().map(|given| {
        texts(report, &list("countries"), given, |text| match text {
            "unknown" => Ok(None),
            _ => text.parse::<Country>().map(Some).map_err(|bad| format!("{} {bad}", quote(text))),
        })
    });
    for (name, given) in [
        ("clients", &config.clients),
        ("user_agents", &config.user_agents),
        ("countries", &config.countries),
    ] {
        if given.as_ref().is_some_and(Vec::is_empty) {
            report.push(&list(name), "is empty, so that the rule never fits; leave it out");
        }
    }
    Some(ClientRule {
        name: config.name.as_deref().unwrap_or(key).into(),
        path: glob(report, key, config.path.as_deref()),
        methods,
        nets,
        agents: config.user_agents.as_deref().map(Agents::new),
        countries,
        action: action?,
    })
}

pub(super) fn source_rule(
    report: &mut Report,
    key: &str,
    config: &SourceConfig,
) -> Option<SourceRule> {
    let hosts = |report: &mut Report, name: &str, given: &[String]| {
        Hosts::new(texts(report, &format!("{key}.{name}"), given, |text| {
            text.parse::<HostPattern>().map_err(|problem| problem.to_string())
        }))
    };
    let words = [("allow", true), ("deny", false)];
    let absent = word(report, &format!("{key}.absent"), config.absent.as_deref(), &words);
    let unreadable = config.unreadable.as_deref().or(Some("deny"));
    let unreadable = word(report, &format!("{key}.unreadable"), unreadable, &words);
    let rule = SourceRule {
        path: glob(report, key, config.path.as_deref()),
        allow: hosts(report, "allow", &config.allow),
        deny: hosts(report, "deny", &config.deny),
        absent: absent?,
        unreadable: unreadable?,
        same_host: config.same_host.unwrap_or(true),
    };
    if rule.allow.is_empty() && rule.deny.is_empty() && rule.absent && rule.unreadable {
        report.push(key, "refuses nobody (expected allow, deny, or absent = \"deny\")");
    }
    Some(rule)
}
