//! `weir push`: gets responses into nodes before anyone asks, and shows how far that is.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly (some URLs or nodes failed), 4 timed out.

mod shown;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use weir_node::config::parse_duration;

use crate::admin::{Asked, Client, Place};
use crate::failure::{Failure, usage};
use crate::output;
use crate::progress::Progress;

/// How long one question waits: short where somebody watches a bar.
const WATCHED_WAIT: Duration = Duration::from_millis(200);
const UNWATCHED_WAIT: Duration = Duration::from_secs(10);

/// Fetches URLs into nodes before anyone asks, or stores a file as the response of a URL.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir push https://www.example.com/app.js https://www.example.com/app.css
  weir push --file urls.txt --tier edge --tier regional --rate 50
  weir push --sitemap https://www.example.com/sitemap.xml --wait 10m
  weir push --body app.js --url https://www.example.com/app.js --cache-control max-age=3600
  weir push show ID                        how far a preload is
  weir push cancel ID

Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly (some URLs or nodes failed), 4 timed out.")]
pub(crate) struct Arguments {
    /// URLs to fetch; or `show ID`, or `cancel ID`.
    #[arg(value_name = "URL", conflicts_with_all = ["body", "url"])]
    urls: Vec<String>,
    /// A file with one URL a line; `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["body", "url"])]
    file: Option<PathBuf>,
    /// A sitemap whose URLs are fetched; it lies at a site of the CDN.
    #[arg(long, value_name = "URL", conflicts_with_all = ["body", "url"])]
    sitemap: Option<String>,
    /// A document with one URL a line; it lies at a site of the CDN.
    #[arg(long, value_name = "URL", conflicts_with_all = ["body", "url"])]
    manifest: Option<String>,
    /// A file to be stored as the response of --url; `-` for standard input.
    #[arg(long, value_name = "FILE", requires = "url")]
    body: Option<PathBuf>,
    /// Where the file of --body is to be had.
    #[arg(long, value_name = "URL", requires = "body")]
    url: Option<String>,
    /// Content-Type of the file.
    #[arg(long, value_name = "TYPE", requires = "body")]
    content_type: Option<String>,
    /// Cache-Control of the file, such as max-age=3600.
    #[arg(long, value_name = "VALUE", requires = "body")]
    cache_control: Option<String>,
    /// A field of the requests, such as 'Accept-Encoding: br'; with --body, of the file.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A tier whose nodes fetch: edge (the default), regional or shield. May be repeated.
    #[arg(long, value_name = "TIER")]
    tier: Vec<String>,
    /// URLs a second and node.
    #[arg(long, value_name = "N", conflicts_with = "body")]
    rate: Option<u32>,
    /// How long to wait for the end; 0s does not wait.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    wait: Duration,
    /// Print what is known of the preload as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Does it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    runtime.block_on(push(arguments))
}

async fn push(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let client = Client::new(&arguments.place)?;
    if let [verb, id] = arguments.urls.as_slice() {
        let method = match verb.as_str() {
            "show" => Some(Method::GET),
            "cancel" => Some(Method::DELETE),
            _ => None,
        };
        if let Some(method) = method {
            return finish(arguments, &ask(&client, Asked::new(method, path(id)?)).await?, false);
        }
    }
    let began = Instant::now();
    let made = match (&arguments.body, &arguments.url) {
        (Some(body), Some(url)) => ask(&client, object(arguments, body, url)?).await?,
        _ => ask(&client, preload(arguments)?).await?,
    };
    let shown = watch(arguments, &client, made, began).await?;
    finish(arguments, &shown, !arguments.wait.is_zero())
}

/// The path of a preload. A name is told by the node and holds letters and digits only.
fn path(id: &str) -> Result<String, Failure> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(usage(format!("{id:?} is no name of a preload")));
    }
    Ok(format!("/v1/preloads/{id}"))
}

/// Asks until the preload has ended or the time is up.
async fn watch(
    arguments: &Arguments,
    client: &Client,
    mut preload: Value,
    began: Instant,
) -> Result<Value, Failure> {
    let id = preload.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let progress = Progress::on_terminal();
    let longest = if progress.is_watched() { WATCHED_WAIT } else { UNWATCHED_WAIT };
    while shown::is_running(&preload) {
        let left = arguments.wait.saturating_sub(began.elapsed());
        if left.is_zero() {
            break;
        }
        let takes = left.min(longest).max(Duration::from_millis(1));
        let mut asked = Asked::new(Method::GET, path(&id)?);
        asked.query.push(("wait", format!("{}ms", takes.as_millis())));
        asked.takes = takes;
        progress.show(&shown::line(&preload));
        preload = ask(client, asked).await?;
    }
    progress.clear();
    Ok(preload)
}

fn finish(arguments: &Arguments, preload: &Value, waited: bool) -> Result<ExitCode, Failure> {
    if arguments.json {
        output::out(&format!("{preload}\n"))?;
    } else {
        output::out(&shown::text(preload))?;
    }
    let code = match preload.get("state").and_then(Value::as_str) {
        Some("partly" | "expired") if shown::has_result(preload) => 3,
        Some("partly" | "expired") => 1,
        Some("cancelled") if waited => 1,
        Some("running") if waited => 4,
        _ => 0,
    };
    Ok(ExitCode::from(code))
}

/// Sends a request and returns the document that answers it.
async fn ask(client: &Client, asked: Asked) -> Result<Value, Failure> {
    client.read(&client.ask(asked).await?)
}

/// The request that makes a preload.
fn preload(arguments: &Arguments) -> Result<Asked, Failure> {
    let mut urls = arguments.urls.clone();
    if let Some(file) = &arguments.file {
        let text = String::from_utf8(read(file)?)
            .map_err(|_not_text| usage(format!("{} is not text", file.display())))?;
        let lines = text.lines().map(str::trim);
        urls.extend(lines.filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned));
    }
    if urls.is_empty() && arguments.sitemap.is_none() && arguments.manifest.is_none() {
        return Err(usage("nothing to push; name URLs, --file, --sitemap, --manifest or --body"));
    }
    let mut wish = Map::new();
    wish.insert("urls".to_owned(), json!(urls));
    let headers = split_headers(&arguments.headers)?;
    let headers: Map<String, Value> = headers.map(|(k, v)| (k, json!(v))).collect();
    let optional = [
        ("headers", (!headers.is_empty()).then(|| json!(headers))),
        ("tiers", (!arguments.tier.is_empty()).then(|| json!(arguments.tier))),
        ("sitemap", arguments.sitemap.as_ref().map(|url| json!(url))),
        ("manifest", arguments.manifest.as_ref().map(|url| json!(url))),
        ("rate", arguments.rate.map(|rate| json!(rate))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            wish.insert(name.to_owned(), value);
        }
    }
    let mut asked = Asked::new(Method::POST, "/v1/preloads");
    asked.body = json!(wish).to_string().into_bytes();
    // Reading the documents may take a while.
    asked.takes = Duration::from_secs(250);
    Ok(asked)
}

/// The request that stores a file.
fn object(arguments: &Arguments, body: &Path, url: &str) -> Result<Asked, Failure> {
    let mut fields: Vec<(String, String)> = split_headers(&arguments.headers)?.collect();
    let named =
        [("content-type", &arguments.content_type), ("cache-control", &arguments.cache_control)];
    fields.extend(named.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v.clone()?))));
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = format!("object-{name}").parse().map_err(usage)?;
        headers.append(name, value.parse::<HeaderValue>().map_err(usage)?);
    }
    let mut asked = Asked::new(Method::PUT, "/v1/objects");
    asked.query.push(("url", url.to_owned()));
    if !arguments.tier.is_empty() {
        asked.query.push(("tiers", arguments.tier.join(",")));
    }
    asked.headers = headers;
    asked.body = read(body)?;
    asked.takes = Duration::from_secs(180);
    Ok(asked)
}

/// `Name: value` in two.
fn split_headers(lines: &[String]) -> Result<impl Iterator<Item = (String, String)>, Failure> {
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| usage(format!("{line:?} is no field (expected 'Name: value')")))?;
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(fields.into_iter())
}

/// The bytes of a file, or of standard input.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(|error| usage(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_at_the_first_colon() {
        let lines = ["Accept: a:b".to_owned()];
        let fields: Vec<_> = split_headers(&lines).unwrap_or_else(|_| panic!("a field")).collect();
        assert_eq!(fields, [("Accept".to_owned(), "a:b".to_owned())]);
        assert!(split_headers(&["Accept".to_owned()]).is_err());
    }

    #[test]
    fn a_name_leads_to_no_other_route() {
        assert!(path("0123abc").is_ok());
        for odd in ["", "../purges", "a?b", "a/b"] {
            assert!(path(odd).is_err(), "{odd}");
        }
    }
}
