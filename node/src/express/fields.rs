//! Which fields of a plain request select among stored responses?

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_store::Variants;

use super::plain::Plain;
use crate::inbound;
use crate::site::Site;

/// The fields that the responses stored vary by, as [`crate::inbound`] would leave them; `None` where one has no value
/// that is known here.
pub(super) fn selecting(
    variants: &Variants,
    site: &Site,
    plain: &Plain<'_, '_>,
) -> Option<HeaderMap> {
    let mut selecting = HeaderMap::new();
    for name in variants.heads().flat_map(|head| head.vary.names()) {
        if !selecting.contains_key(name) {
            append(&mut selecting, name, plain)?;
        }
    }
    inbound::normalize_of_client(&mut selecting, &site.policy, &site.key_rules);
    Some(selecting)
}

fn append(selecting: &mut HeaderMap, name: &HeaderName, plain: &Plain<'_, '_>) -> Option<()> {
    let lines = plain.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_str()));
    for line in lines {
        selecting.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    Some(())
}
