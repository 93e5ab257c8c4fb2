//! Writes the head of the answer to a plain request. What it says is what `respond` and `part` say of such a hit.

use std::io::Write;

use http::HeaderName;

use super::find::Found;
use super::ready::CACHE_STATUS;
use crate::inbound::{fresh_number, hexadecimal};
use crate::node::Node;

/// Fields that say nothing of the content of a part (RFC 9530 §2).
static OF_WHOLE: [HeaderName; 2] =
    [HeaderName::from_static("content-digest"), HeaderName::from_static("content-md5")];

/// Writes the head of `found` behind what `out` holds.
pub(crate) fn write_head(out: &mut Vec<u8>, node: &Node, found: &Found) {
    let fields = &found.known.site.fields;
    out.reserve(1_024);
    match found.range {
        None => found.known.lines.push(out, &found.stored, |out| write_still(out, node, found)),
        Some(_) => write_still(out, node, found),
    }
    if fields.cache_status {
        out.extend_from_slice(itoa::Buffer::new().format(found.ttl_secs()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if fields.age {
        push_number(out, "age", found.age_secs());
    }
    if fields.request_id {
        out.extend_from_slice(b"x-request-id: ");
        out.extend_from_slice(&hexadecimal(fresh_number()));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes what is the same whenever the same part is asked for. Ends where the remaining lifetime follows, if it does.
fn write_still(out: &mut Vec<u8>, node: &Node, found: &Found) {
    let (head, fields) = (&found.stored.head, &found.known.site.fields);
    out.extend_from_slice(match found.range {
        None => b"HTTP/1.1 200 OK\r\n",
        Some(_) => b"HTTP/1.1 206 Partial Content\r\n",
    });
    for line in head.headers.lines_where(|name| passes(name, found)) {
        push_field(out, line.name, &line.value);
    }
    push_extent(out, found);
    if fields.x_cache {
        out.extend_from_slice(b"x-cache: HIT\r\n");
    }
    if fields.cache_status {
        out.extend_from_slice(b"cache-status: ");
        for line in head.headers.get_all(&CACHE_STATUS) {
            let inner = line.trim_ascii();
            out.extend_from_slice(inner);
            out.extend_from_slice(if inner.is_empty() { b"" } else { b", " });
        }
        out.extend_from_slice(node.config.tier.as_str().as_bytes());
        out.extend_from_slice(b"; hit; ttl=");
    }
}

/// Whether stored lines of this name are sent as they are.
fn passes(name: &HeaderName, found: &Found) -> bool {
    let is_of_whole = || found.range.is_some() && OF_WHOLE.contains(name);
    !found.known.site.unsent.holds(name) && !is_of_whole()
}

/// Which bytes of the body these are, and how many.
fn push_extent(out: &mut Vec<u8>, found: &Found) {
    let length = found.stored.body.len();
    let Some(range) = found.range else { return push_number(out, "content-length", length) };
    push_number(out, "content-length", range.len());
    // Into memory: cannot fail.
    drop(write!(out, "content-range: bytes {}-{}/{length}\r\n", range.first, range.last));
}

#[inline]
fn push_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn push_number(out: &mut Vec<u8>, name: &str, number: u64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}
