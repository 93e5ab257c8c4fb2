//! Errors of the admin API, as RFC 9457 problem details.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A problem, told to whoever called the admin API.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    /// What kind of problem, the same text for all of its kind.
    title: &'static str,
    status: u16,
    /// What exactly, and what to do about it.
    detail: String,
}

impl Problem {
    /// A problem of kind `title` with the particulars in `detail`.
    pub(crate) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { title, status: status.as_u16(), detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(self)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        response
    }
}
