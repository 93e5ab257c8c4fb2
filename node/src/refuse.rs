//! Answers that this node makes by itself.
//!
//! Each is a short fixed text; what exactly went wrong is in the log under the request's id. None is
//! ever stored by anyone (`Cache-Control: no-store`).

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::body::{Content, ResponseBody};
use crate::limits::Over;

/// An answer of our own with `text` as its body.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Content> {
    let mut response = Response::new(Content::Whole(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The answer to a request that met a limit. The connection stays, unless a body is on its way that nobody
/// will read.
pub(crate) fn over_a_limit(over: Over) -> Response<Content> {
    let mut response = plain(over.status(), over.text());
    let headers = response.headers_mut();
    if let Some(secs) = over.retry_after_secs() {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    if over == Over::Body {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same with a text made for the occasion, for other nodes only.
pub(crate) fn plain_owned(status: StatusCode, text: String) -> Response<Content> {
    let mut response = plain(status, "");
    *response.body_mut() = Content::Whole(text.into());
    response
}

/// The same after which the connection is closed, because what follows on it cannot be trusted.
pub(crate) fn and_close(status: StatusCode, text: &'static str) -> Response<Content> {
    let mut response = plain(status, text);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The text for a status that upstream's failure turned into.
pub(crate) fn upstream_text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::GATEWAY_TIMEOUT => "The upstream server did not answer in time.\n",
        StatusCode::SERVICE_UNAVAILABLE => "The upstream server is busy. Try again soon.\n",
        StatusCode::PAYLOAD_TOO_LARGE => Over::Body.text(),
        StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT => {
            "The body of the request did not come whole.\n"
        }
        _ => "The upstream server gave no usable answer.\n",
    }
}

/// Makes the response whole without accounting, for answers that belong to no site.
pub(crate) fn unaccounted(response: Response<Content>) -> Response<ResponseBody> {
    response.map(|content| ResponseBody::new(content, None))
}
