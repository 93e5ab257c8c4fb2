//! How does a command talk to a node's admin API, and what does its user learn when that fails?
//!
//! The token comes from the environment alone, since every user of a machine sees the arguments of its
//! programs. It goes to the address that was named and nowhere else: no redirect is followed and no
//! proxy asked.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use weir_node::config::{UpstreamAddr, render_duration};

use crate::failure::{Failure, usage};

/// Where the admin token is.
const TOKEN: &str = "WEIR_ADMIN_TOKEN";
/// Time to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long an answer may take beyond the time that it was asked to wait: making a purge durable through
/// a parent, and sending 10,000 URLs.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes shown of an answer that is none of ours.
const SHOWN_MAX: usize = 200;

/// Whom to ask.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Admin address of any node: its data port plus 1000. The token is read from WEIR_ADMIN_TOKEN.
    #[arg(
        long = "admin",
        value_name = "URL",
        env = "WEIR_ADMIN",
        default_value = "http://127.0.0.1:9080",
        value_parser = UpstreamAddr::parse_plain,
        global = true
    )]
    address: UpstreamAddr,
}

/// A connection to one node's admin API.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: UpstreamAddr,
    token: Option<HeaderValue>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The method.
    pub(crate) method: Method,
    /// The path.
    pub(crate) path: String,
    /// What follows it.
    pub(crate) query: Vec<(&'static str, String)>,
    /// Fields beside the token.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// How long the node may take on purpose.
    pub(crate) takes: Duration,
}

impl Asked {
    /// A request without anything more.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let (query, headers, body) = (Vec::new(), HeaderMap::new(), Vec::new());
        Self { method, path: path.into(), query, headers, body, takes: Duration::ZERO }
    }
}

/// A problem as RFC 9457 has it.
#[derive(Debug, Deserialize)]
struct Problem {
    title: String,
    detail: String,
}

impl Client {
    /// A client for the node at `place`; nothing is sent yet.
    pub(crate) fn new(place: &Place) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .context("the HTTP client does not start")?;
        Ok(Self { http, address: place.address.clone(), token: token()? })
    }

    /// GETs `path`, whose answer takes `wait` at most, and returns its text.
    pub(crate) async fn get(&self, path: &str, wait: Duration) -> Result<String, Failure> {
        self.ask(Asked { takes: wait, ..Asked::new(Method::GET, path) }).await
    }

    /// POSTs `json` to `path`, whose answer takes `wait` at most, and returns its text.
    pub(crate) async fn post(
        &self,
        path: &str,
        json: String,
        wait: Duration,
    ) -> Result<String, Failure> {
        let mut asked =
            Asked { takes: wait, body: json.into_bytes(), ..Asked::new(Method::POST, path) };
        asked.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.ask(asked).await
    }

    /// Sends a request and returns the text of its answer.
    pub(crate) async fn ask(&self, asked: Asked) -> Result<String, Failure> {
        let (takes, reads) = (asked.takes, asked.method == Method::GET);
        let unknown =
            if reads { "" } else { "; what was asked for may have been done all the same" };
        let (status, text) =
            self.send(asked).await?.map_err(|error| self.unanswered(&error, takes, unknown))?;
        self.accepted(status, text)
    }

    /// Reads an answer as what it must be.
    pub(crate) fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, Failure> {
        serde_json::from_str(text).map_err(|error| self.stranger(&error.to_string()))
    }

    async fn send(&self, asked: Asked) -> Result<reqwest::Result<(StatusCode, String)>, Failure> {
        let mut url = Url::parse(&format!("{}{}", self.address, asked.path)).map_err(usage)?;
        if !asked.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&asked.query);
        }
        let mut request = self.http.request(asked.method, url).headers(asked.headers);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let within = asked.takes.saturating_add(ANSWER_WITHIN);
        Ok(whole(request.body(asked.body).timeout(within)).await)
    }

    fn accepted(&self, status: StatusCode, text: String) -> Result<String, Failure> {
        if status.is_success() {
            return Ok(text);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(self.no_token());
        }
        let Ok(problem) = serde_json::from_str::<Problem>(&text) else {
            let start: String = text.trim().chars().take(SHOWN_MAX).collect();
            return Err(self.stranger(&format!("it answered {status}: {start}")));
        };
        let error = match status {
            StatusCode::FORBIDDEN => self.too_little(&problem),
            StatusCode::TOO_MANY_REQUESTS => self.locked_out(&problem),
            _ => anyhow!("{}: {}", problem.title, problem.detail),
        };
        let asked_wrongly = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        Err(match asked_wrongly.contains(&status) {
            true => Failure::Usage(error),
            false => Failure::Failed(error),
        })
    }

    fn no_token(&self) -> Failure {
        let address = &self.address;
        Failure::Failed(if self.token.is_some() {
            anyhow!(
                "the node at {address} does not know the token in {TOKEN}: set it to the one the node was started with, or to the text of an [[admin.token]] of its file"
            )
        } else {
            anyhow!(
                "the node at {address} wants a token: set {TOKEN} to the one it was started with, or to the one it made up and printed when it started"
            )
        })
    }

    /// The token is known and is not for this; the node says which scope is needed.
    fn too_little(&self, problem: &Problem) -> anyhow::Error {
        anyhow!(
            "the node at {} knows the token in {TOKEN}, but {}; set {TOKEN} to a token with that scope, or add it to `scopes` of the token in the node's file and reload that",
            self.address,
            problem.detail
        )
    }

    /// Nothing can be done but to wait and to see to it that the next token is right.
    fn locked_out(&self, problem: &Problem) -> anyhow::Error {
        anyhow!(
            "the node at {} lets in nobody from this address for now: {}; wait for as long, and see that {TOKEN} is right, here and for whatever else asks from this machine",
            self.address,
            problem.detail
        )
    }

    /// Whoever answered is not an admin API.
    fn stranger(&self, why: &str) -> Failure {
        Failure::Failed(anyhow!(
            "what answers at {} is no admin API of Weir ({why}); set WEIR_ADMIN or --admin to a node's admin address, its data port plus 1000",
            self.address
        ))
    }

    fn unanswered(&self, error: &reqwest::Error, wait: Duration, unknown: &str) -> Failure {
        let address = &self.address;
        Failure::Failed(if error.is_connect() {
            anyhow!(
                "no node can be reached at {address} ({}); start one with `weir up`, or set WEIR_ADMIN or --admin to a node's admin address, its data port plus 1000",
                root(error)
            )
        } else if error.is_timeout() {
            let within = render_duration(wait.saturating_add(ANSWER_WITHIN));
            anyhow!("no answer from {address} within {within}{unknown}")
        } else {
            anyhow!("no answer from {address} ({}){unknown}", root(error))
        })
    }
}

/// The status and the text of the answer to `request`.
async fn whole(request: RequestBuilder) -> reqwest::Result<(StatusCode, String)> {
    let answer = request.send().await?;
    Ok((answer.status(), answer.text().await?))
}

/// The token in the environment. Without one the node is asked all the same, and says what is missing.
fn token() -> Result<Option<HeaderValue>, Failure> {
    let Some(text) = std::env::var_os(TOKEN) else { return Ok(None) };
    let unfit = || usage(format!("{TOKEN} holds characters that no token has"));
    let text = text.into_string().map_err(|_not_unicode| unfit())?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
        .map_err(|_not_a_field| unfit())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The innermost cause: what the system said.
fn root(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
