//! What does somebody who asks for a purge want, and can it be done?
//!
//! A request of the admin API is read whole before anything is done; the first thing that is wrong with
//! it is told, with what was expected. URLs become what the site's key rules make of them, so that a
//! purge means the same stored responses as a request for that URL.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use weir_cache::purge::{Mode, Selector};
use weir_cache::{CacheKey, Target};

use crate::access;
use crate::site::{Site, Sites};

/// Things that one purge may name.
pub(crate) const SELECTORS_MAX: usize = 10_000;
/// Bytes of the longest reason.
const REASON_BYTES_MAX: usize = 1024;
/// Most responses that may be fetched again after a purge.
const PRELOAD_HOT_MAX: u32 = 10_000;

/// A purge to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// What happens to what it matches.
    pub(crate) mode: Mode,
    /// What it matches; at least one.
    pub(crate) selectors: Vec<Selector>,
    /// Why.
    pub(crate) reason: String,
    /// How many of the hottest responses that it matches each edge fetches again.
    pub(crate) preload_hot: u32,
    /// Whether it follows from a request that passed rather than from somebody's wish.
    pub(crate) implied: bool,
    /// The node that was asked for it.
    pub(crate) by: String,
}

/// A purge as the admin API takes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    globs: Vec<String>,
    #[serde(default)]
    everything: bool,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    preload: Preload,
}

/// What is to be fetched again after a purge.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preload {
    #[serde(default)]
    hot: u32,
}

/// An order between nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OrderForm {
    mode: String,
    selectors: Vec<String>,
    reason: String,
    preload_hot: u32,
    implied: bool,
    by: String,
}

impl Order {
    /// An order for `selectors` without a reason.
    pub(crate) fn new(mode: Mode, selectors: Vec<Selector>) -> Self {
        let (reason, by) = (String::new(), String::new());
        Self { mode, selectors, reason, preload_hot: 0, implied: false, by }
    }

    /// Reads what somebody wishes; `sites` are those of this node.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with what was expected.
    pub(crate) fn read(wish: Wish, sites: &Sites) -> Result<Self, String> {
        let mode = wish.mode.as_deref().unwrap_or("purge");
        let mode: Mode = mode
            .parse()
            .map_err(|()| format!("mode is {mode:?} (expected \"purge\" or \"invalidate\")"))?;
        if wish.reason.len() > REASON_BYTES_MAX {
            return Err(format!("reason is too long (expected at most {REASON_BYTES_MAX} bytes)"));
        }
        if wish.preload.hot > PRELOAD_HOT_MAX {
            return Err(format!("preload.hot is too large (expected at most {PRELOAD_HOT_MAX})"));
        }
        let (reason, preload_hot) = (wish.reason.clone(), wish.preload.hot);
        let selectors = read_selectors(wish, sites)?;
        Ok(Self { reason, preload_hot, ..Self::new(mode, selectors) })
    }

    /// The form that travels between nodes.
    pub(crate) fn form(&self) -> OrderForm {
        OrderForm {
            mode: self.mode.as_str().to_owned(),
            selectors: self.selectors.iter().map(ToString::to_string).collect(),
            reason: self.reason.clone(),
            preload_hot: self.preload_hot,
            implied: self.implied,
            by: self.by.clone(),
        }
    }

    /// Reads the form that travels between nodes; `None` if it is not one.
    pub(crate) fn from_form(form: &OrderForm) -> Option<Self> {
        let selectors: Option<Vec<Selector>> =
            form.selectors.iter().map(|text| text.parse().ok()).collect();
        Some(Self {
            reason: form.reason.clone(),
            preload_hot: form.preload_hot,
            implied: form.implied,
            by: form.by.clone(),
            ..Self::new(form.mode.parse().ok()?, selectors?)
        })
    }
}

fn read_selectors(wish: Wish, sites: &Sites) -> Result<Vec<Selector>, String> {
    let named = [&wish.urls, &wish.prefixes, &wish.hosts, &wish.tags, &wish.globs];
    let total: usize = named.iter().map(|list| list.len()).sum();
    if wish.everything && total > 0 {
        return Err("everything comes with other selectors (expected it alone)".to_owned());
    }
    if wish.everything {
        return Ok(vec![Selector::Everything]);
    }
    if total == 0 {
        let expected = "urls, prefixes, hosts, tags, globs or \"everything\": true";
        return Err(format!("nothing is named (expected {expected})"));
    }
    if total > SELECTORS_MAX {
        return Err(format!(
            "{total} things are named (expected at most {SELECTORS_MAX} a call; send several calls, or use prefixes or tags)"
        ));
    }
    let mut selectors = Vec::with_capacity(total);
    for url in &wish.urls {
        selectors.push(Selector::url(&target_of(url, sites)?));
    }
    for text in &wish.prefixes {
        selectors.push(of_site(Selector::prefix(text), sites)?);
    }
    for text in &wish.hosts {
        selectors.push(of_site(Selector::host(text), sites)?);
    }
    for text in &wish.tags {
        selectors.push(Selector::tag(text).map_err(|bad| bad.to_string())?);
    }
    for text in &wish.globs {
        selectors.push(of_site(text.parse().map(Selector::Glob), sites)?);
    }
    Ok(selectors)
}

/// The target that a GET of `url` has at its site.
pub(crate) fn target_of(url: &str, sites: &Sites) -> Result<Target, String> {
    let expected = "an absolute URL such as \"https://www.example.com/app.js\"";
    let target = url
        .parse::<Target>()
        .map_err(|_reason| format!("{url:?} is no URL (expected {expected})"))?
        .without_port();
    let host = target.host_without_port();
    let site = sites.find(host).ok_or_else(|| no_site(host))?;
    keyed_target(site, target).ok_or_else(|| format!("{url:?} cannot be asked for at its site"))
}

/// `target` as the key rules of `site` leave it.
pub(crate) fn keyed_target(site: &Site, target: Target) -> Option<Target> {
    let fields = HeaderMap::new();
    let granted = access::for_operator(target)?;
    Some(CacheKey::derive(&site.name, &site.key_rules, granted, &fields).target)
}

/// Refuses a selector for a host that no site has: most often a slip of the pen, after which a purge
/// would be believed to hold that matched nothing.
fn of_site(
    selector: Result<Selector, weir_cache::purge::BadSelector>,
    sites: &Sites,
) -> Result<Selector, String> {
    let selector = selector.map_err(|bad| bad.to_string())?;
    let host = match &selector {
        Selector::Host(host) | Selector::Prefix { host, .. } => Some(&**host),
        Selector::Glob(glob) => glob.host(),
        Selector::Everything | Selector::Tag(_) | Selector::Url(_) => None,
    };
    match host.filter(|host| sites.find(host).is_none()) {
        Some(host) => Err(no_site(host)),
        None => Ok(selector),
    }
}

fn no_site(host: &str) -> String {
    format!("no site has the host {host:?} (expected one of the hosts in the configuration)")
}
