//! Which parts of stored heads are shared between responses, and how are they made to?
//!
//! Responses of one site differ in their dates, lengths and tags, and hardly in anything else. Their
//! lists of field names, the values of fields that describe the site and not the response, and what
//! they vary by are kept once; see [`common`](crate::common) for when and for how much.
//!
//! The owner is the store: nothing here is global.

use std::hash::BuildHasher;
use std::sync::Arc;

use http::HeaderName;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ALT_SVC, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, REFERRER_POLICY, SERVER, STRICT_TRANSPORT_SECURITY, VARY, VIA,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

use crate::common::{Common, Measures, Table};
use crate::fields::{Fields, Outline, Shape};
use crate::stored::StoredHead;
use crate::vary::{Rule, VaryRule};

/// Bytes of each of the two tables.
const TABLE_BYTES_MAX: usize = 512 * 1024;

/// Fields whose values many responses of a site have in common. Others with `-policy` or
/// `-cache-control` at their end are taken for such, too.
const ALIKE: [HeaderName; 20] = [
    ACCEPT_RANGES,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ALT_SVC,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    REFERRER_POLICY,
    SERVER,
    STRICT_TRANSPORT_SECURITY,
    VARY,
    VIA,
    X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
];

/// What the heads of one store have in common. At most 1 MiB.
#[derive(Debug)]
pub struct Shapes {
    shapes: Table<Shape>,
    rules: Table<Rule>,
}

impl Default for Shapes {
    fn default() -> Self {
        Self {
            shapes: Table::new(
                TABLE_BYTES_MAX,
                Measures { bytes: Shape::bytes, hash: Shape::hash },
            ),
            rules: Table::new(
                TABLE_BYTES_MAX,
                Measures { bytes: Rule::bytes, hash: |by, rule| by.hash_one(rule) },
            ),
        }
    }
}

impl StoredHead {
    /// The same head, with what it has in common with others shared with them.
    ///
    /// Costs a copy of the fields; done once, when storing.
    #[must_use]
    pub fn compact(self, shapes: &mut Shapes) -> Self {
        let headers = shapes.fields(&self.headers);
        let vary = shapes.rule(self.vary);
        Self { headers, vary, ..self }
    }
}

impl Shapes {
    /// Shares names and values, or else the names alone, so that one value that is new each time does
    /// not cost the rest.
    fn fields(&mut self, fields: &Fields) -> Fields {
        let shape = self.shape(&fields.outline(is_alike));
        match shape.or_else(|| self.shape(&fields.outline(|_| false))) {
            Some(shape) => fields.in_shape(shape),
            None => fields.clone(),
        }
    }

    fn shape(&mut self, outline: &Outline<'_>) -> Option<Arc<Common<Shape>>> {
        let hash = outline.hash(self.shapes.hasher());
        let found = self.shapes.find(hash, |shape| outline.is(shape));
        found.or_else(|| self.shapes.keep(hash, || outline.shape()))
    }

    fn rule(&mut self, vary: VaryRule) -> VaryRule {
        let shared = vary.rule().and_then(|rule| self.rules.share(rule.clone()));
        shared.map_or(vary, VaryRule::shared)
    }
}

fn is_alike(name: &HeaderName) -> bool {
    let text = name.as_str();
    ALIKE.contains(name) || text.ends_with("-policy") || text.ends_with("-cache-control")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::stored;

    const HEAD: &str = "Cache-Control: max-age=9\nContent-Type: text/css\nVary: Accept\nX-Foo: ";

    /// A head that came before, so that there is something to share it with.
    fn compacted(shapes: &mut Shapes, foo: &str) -> (StoredHead, StoredHead) {
        let head = stored(&format!("{HEAD}{foo}")).unwrap();
        drop(head.clone().compact(shapes));
        (head.clone(), head.compact(shapes))
    }

    #[test]
    fn a_compact_head_is_the_same_head() {
        let (head, compact) = compacted(&mut Shapes::default(), "1");
        assert_eq!(compact, head);
        assert!(compact.headers.heap_bytes() < head.headers.heap_bytes() / 3);
        assert!(compact.vary.heap_bytes() == 0 && head.vary.heap_bytes() > 0);
        assert_eq!(compact.headers.to_map(0), head.headers.to_map(0));
    }

    #[test]
    fn responses_that_differ_in_their_own_fields_share_the_rest() {
        let mut shapes = Shapes::default();
        let (_, first) = compacted(&mut shapes, "1");
        let second = stored(&format!("{HEAD}2")).unwrap().compact(&mut shapes);
        assert!(std::ptr::eq(first.headers.shape(), second.headers.shape()));
        assert_ne!(first.headers, second.headers);
    }

    /// A lifetime that counts down makes every head another one.
    #[test]
    fn a_value_that_is_new_each_time_leaves_the_names_shared() {
        let mut shapes = Shapes::default();
        let heads: Vec<_> = (1..1000)
            .map(|age| stored(&format!("Cache-Control: max-age={age}\nETag: \"a\"")).unwrap())
            .map(|head| head.compact(&mut shapes))
            .collect();
        let last = heads.last().map(|head| &head.headers).unwrap();
        assert!(heads.iter().skip(1).all(|head| std::ptr::eq(head.headers.shape(), last.shape())));
    }
}
