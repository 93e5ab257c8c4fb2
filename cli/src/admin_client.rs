//! Asks one node's admin API.
//!
//! The token comes from the environment, never from an argument, which every user of a machine can see.
//! No redirect is followed and no proxy asked, so it goes to no other server.

use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use weir_node::config::UpstreamAddr;

use crate::failure::{Failure, usage};

/// Where the admin token is.
const TOKEN: &str = "WEIR_ADMIN_TOKEN";
/// Time to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long an answer may take beyond the time that it was asked to wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Characters shown of an answer that is none of ours.
const SHOWN_MAX: usize = 200;

/// Whom to ask.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Admin address of any node: its data port plus 1000. The token is read from WEIR_ADMIN_TOKEN.
    #[arg(long, value_name = "URL", env = "WEIR_ADMIN", default_value = "http://127.0.0.1:9080")]
    admin: UpstreamAddr,
}

/// A way to one node.
#[derive(Debug)]
pub(crate) struct AdminClient {
    http: reqwest::Client,
    address: UpstreamAddr,
    token: Option<HeaderValue>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The path.
    pub(crate) path: String,
    /// What follows it.
    pub(crate) query: Vec<(&'a str, String)>,
    /// Fields beside the token.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// How long the node may take on purpose.
    pub(crate) takes: Duration,
}

impl Asked<'_> {
    /// A request without anything more.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let (query, headers, body) = (Vec::new(), HeaderMap::new(), Vec::new());
        Self { method, path: path.into(), query, headers, body, takes: Duration::ZERO }
    }
}

impl AdminClient {
    /// A client for the node at `place`; nothing is sent yet.
    pub(crate) fn new(place: &Place) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .context("the HTTP client does not start")?;
        Ok(Self { http, address: place.admin.clone(), token: token()? })
    }

    /// Sends a request and returns the document that answers it.
    pub(crate) async fn ask(&self, asked: Asked<'_>) -> Result<Value, Failure> {
        let mut url = Url::parse(&format!("{}{}", self.address, asked.path)).map_err(usage)?;
        if !asked.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&asked.query);
        }
        let mut request = self.http.request(asked.method, url).headers(asked.headers);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let within = asked.takes.saturating_add(ANSWER_WITHIN);
        let answer = request.body(asked.body).timeout(within).send().await;
        let answer = answer.with_context(|| {
            format!("no answer from {}; WEIR_ADMIN or --admin names a node's admin address, its data port plus 1000", self.address)
        })?;
        let status = answer.status();
        let text = answer.text().await.context("the answer did not come whole")?;
        self.document(status, &text)
    }

    fn document(&self, status: StatusCode, text: &str) -> Result<Value, Failure> {
        let document: Option<Value> = serde_json::from_str(text).ok();
        let Some(document) = document else {
            let start: String = text.trim().chars().take(SHOWN_MAX).collect();
            return Err(Failure::Failed(anyhow!(
                "what answers at {} is no admin API of Weir: {status}: {start}",
                self.address
            )));
        };
        if status.is_success() {
            return Ok(document);
        }
        let word = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let error = anyhow!("{}: {}", word("title"), word("detail"));
        Err(match status {
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => Failure::Usage(error),
            _ => Failure::Failed(error),
        })
    }
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
