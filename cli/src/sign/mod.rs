//! `weir sign`: make a signed URL or cookie, and learn why one is refused.
//!
//! Secrets come from a variable or a file, never from an argument, where every user of the machine
//! could read them.

mod explain;
mod key;
mod made;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ipnet::IpNet;
use serde_json::json;
use weir_cache::{Target, UnixTime};
use weir_node::config::parse_duration;
use weir_node::{Clock, SystemClock};

use self::key::KeyPlace;
use self::made::Made;
use crate::failure::{Failure, usage};
use crate::output;

/// Signs a URL, or says why a signed one is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openssl rand -hex 32 > video.key              a secret, for the site's configuration too
  weir sign --url https://www.example.com/a.mp4 --key-file video.key --key-id 2024a --expires 1h
  weir sign --url https://www.example.com/v/42/1.ts --scope /v/42/ --client 198.51.100.0/24 ...
                                                every file of a folder, for one network
  weir sign --url https://www.example.com/v/42/1.ts --scope /v/42/ --cookie ...
                                                the same as a cookie: name=value
  weir sign --format tencent-d --url http://www.example.com/a.jpg --key-env CDN_KEY --expires 10m
  weir sign --format cloudfront --url https://d.example.net/a.jpg --key-id K2 --key-file rsa.pem
  weir sign --explain 'https://www.example.com/a.mp4?weir-exp=...' --config edge-0.toml
                                                granted or refused by a node's rules, and why
  weir sign --explain 'http://www.example.com/a.jpg?sign=...' --format tencent-d --key-env CDN_KEY

The configuration of the site has the same format with the same key:
  [[site.access.signature]]
  path = \"/**\"
  format = \"weir\"
  keys = [{ id = \"2024a\", secret = \"file:/etc/weir/video.key\" }]

Formats of Alibaba Cloud and Tencent Cloud say when a URL was signed, and the node for how long that is
right: with --validity as the node has it (30m unless said otherwise), --expires is what it says.

Exit codes: 0 done, or granted; 1 failed, or refused; 2 wrong use.")]
pub(crate) struct Arguments {
    /// The URL to sign, as clients ask for it.
    #[arg(long, value_name = "URL", required_unless_present = "explain")]
    url: Option<Target>,
    /// Say whether this URL is let in, and why not, instead of signing one.
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "cookie", "scope"])]
    explain: Option<Target>,
    /// The node's file whose access rules are asked; only with --explain.
    #[arg(long, value_name = "FILE", requires = "explain", conflicts_with = "format")]
    config: Option<PathBuf>,
    /// A field of the request that is explained, for example 'User-Agent: curl'.
    #[arg(short = 'H', long = "header", value_name = "FIELD", requires = "explain")]
    headers: Vec<String>,
    #[command(flatten)]
    format: FormatArguments,
    #[command(flatten)]
    key: KeyPlace,
    #[command(flatten)]
    terms: TermArguments,
    /// Print cookies instead of a URL (weir, cloudfront, edge-auth).
    #[arg(long)]
    cookie: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// The format and its settings, named as in the configuration.
#[derive(Debug, clap::Args)]
struct FormatArguments {
    /// weir, alibaba-a, alibaba-b, alibaba-c, alibaba-c-query, tencent-a to tencent-d, secure-link,
    /// cloudfront or edge-auth.
    #[arg(long, value_name = "NAME", default_value = "weir")]
    format: String,
    /// How long the node takes a URL for right once it is signed (Alibaba, Tencent).
    #[arg(long, value_name = "TIME", default_value = "30m", hide_default_value = true)]
    validity: String,
    /// Names of the parameters, where the node has others than the vendor.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    parameters: Option<Vec<String>>,
    /// Write the time of tencent-a and tencent-d in hexadecimal.
    #[arg(long)]
    hex: bool,
    /// What secure-link digests, with $secret for the secret.
    #[arg(long, value_name = "TEXT")]
    expression: Option<String>,
    /// What edge-auth calls its token.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// What the signature is to say.
#[derive(Debug, clap::Args)]
struct TermArguments {
    /// Until when: a time from now such as 1h, or seconds since 1970.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: String,
    /// From when on: a time from now, or seconds since 1970 (weir, cloudfront, edge-auth).
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// Address or network of the client; with --explain, the address that asks.
    #[arg(long, value_name = "NET", value_parser = network)]
    client: Option<IpNet>,
    /// exact (this path and query), path (any query), or a folder such as /video/42/.
    #[arg(long, value_name = "SCOPE", default_value = "exact")]
    scope: String,
    /// The moment that is explained, in seconds since 1970; now when left out.
    #[arg(long, value_name = "SECONDS")]
    at: Option<i64>,
}

fn network(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().or_else(|_no_net| text.parse::<IpAddr>().map(IpNet::from));
    let net = net.map_err(|_neither| "expected an address or a network".to_owned())?;
    if net.trunc() == net { Ok(net) } else { Err(format!("expected {} for it", net.trunc())) }
}

impl TermArguments {
    fn now(&self) -> UnixTime {
        self.at.map_or_else(|| SystemClock::new().now().wall, UnixTime::from_secs)
    }

    /// A moment that is written as a time from now or in seconds since 1970.
    fn moment(&self, text: &str) -> Result<UnixTime, Failure> {
        if text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let secs = text.parse().map_err(|_long| usage(format!("{text} is too late")))?;
            return Ok(UnixTime::from_secs(secs));
        }
        let wait = parse_duration(text).map_err(|error| {
            usage(format!("{text:?} {error}; expected such as 1h, or seconds since 1970"))
        })?;
        let secs = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        Ok(UnixTime::from_secs(self.now().as_secs().saturating_add(secs)))
    }
}

/// Signs or explains.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if let Some(url) = &arguments.explain {
        return explain::run(arguments, url);
    }
    let Some(url) = &arguments.url else { return Err(usage("--url is missing")) };
    let (made, expires) = made::make(arguments, url)?;
    let text = if arguments.json {
        let expires = expires.as_secs();
        match &made {
            Made::Url(url) => json!({"url": url, "expires": expires}).to_string(),
            Made::Cookies(cookies) => {
                let list: Vec<_> = cookies
                    .iter()
                    .map(|(name, value)| json!({"name": name, "value": value}))
                    .collect();
                json!({"cookies": list, "expires": expires}).to_string()
            }
        }
    } else {
        match &made {
            Made::Url(url) => url.clone(),
            Made::Cookies(cookies) => {
                let lines: Vec<_> =
                    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                lines.join("\n")
            }
        }
    };
    output::out(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
