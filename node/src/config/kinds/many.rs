//! Which keys may hold several values, or none.

use std::collections::HashSet;

use toml::Spanned;
use toml::de::DeValue;

use super::{Kind, Wrongs};
use crate::config::problem::{PROBLEMS_MAX, Wrong};

/// A list of distinct values.
pub(in crate::config) struct List<K> {
    item: K,
    min: usize,
}

impl<K> List<K> {
    /// A list that may be empty.
    pub(in crate::config) const fn of(item: K) -> Self {
        Self { item, min: 0 }
    }

    /// A list of at least one value.
    pub(in crate::config) const fn of_some(item: K) -> Self {
        Self { item, min: 1 }
    }
}

impl<K: Kind> List<K> {
    fn too_short(&self) -> Wrong {
        self.expected("the list is empty")
    }
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn unit(&self) -> String {
        format!("list of {}s", self.item.unit())
    }

    fn range(&self) -> String {
        let least = if self.min > 0 { "at least one, " } else { "" };
        format!("{least}each once: {}", self.item.range())
    }

    fn example(&self) -> String {
        format!("[{}]", self.item.example())
    }

    /// Reads a variable: the values are separated by commas, and an empty text is an empty list.
    fn read_text(&self, text: &str) -> Result<Self::Value, Wrong> {
        let items = text.split(',').map(str::trim);
        let items = items.filter(|item| !item.is_empty());
        let values: Self::Value =
            items.map(|item| self.item.read_text(item)).collect::<Result<_, _>>()?;
        let distinct: HashSet<_> = values.iter().map(|value| self.item.render(value)).collect();
        match values.len() {
            len if len < self.min => Err(self.too_short()),
            len if len > distinct.len() => Err(Wrong::new("a value is listed twice")),
            _ => Ok(values),
        }
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<Self::Value, Wrong> {
        Err(self.mismatch(value))
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, wrongs: &mut Wrongs) -> Option<Self::Value> {
        let Some(items) = value.get_ref().as_array() else {
            wrongs.push((value.span().start, self.mismatch(value.get_ref())));
            return None;
        };
        if items.len() < self.min {
            wrongs.push((value.span().start, self.too_short()));
        }
        let before = wrongs.len();
        let mut seen = HashSet::new();
        let mut values = Vec::new();
        for item in items.iter() {
            // What could not be shown need not be looked for.
            if wrongs.len() > PROBLEMS_MAX {
                break;
            }
            let Some(value) = self.item.read(item, wrongs) else { continue };
            if seen.insert(self.item.render(&value)) {
                values.push(value);
            } else {
                wrongs.push((item.span().start, Wrong::new("the value is listed twice")));
            }
        }
        (wrongs.len() == before && values.len() >= self.min).then_some(values)
    }

    fn render(&self, values: &Self::Value) -> Option<String> {
        let items: Option<Vec<_>> = values.iter().map(|value| self.item.render(value)).collect();
        Some(format!("[{}]", items?.join(", ")))
    }
}

/// A value that may be left out. There is no way to write "none" but to leave out the key.
pub(in crate::config) struct Maybe<K>(pub(in crate::config) K);

impl<K: Kind> Kind for Maybe<K> {
    type Value = Option<K::Value>;

    fn unit(&self) -> String {
        self.0.unit()
    }

    fn range(&self) -> String {
        self.0.range()
    }

    fn example(&self) -> String {
        self.0.example()
    }

    fn read_text(&self, text: &str) -> Result<Self::Value, Wrong> {
        self.0.read_text(text).map(Some)
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<Self::Value, Wrong> {
        self.0.read_value(value).map(Some)
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, wrongs: &mut Wrongs) -> Option<Self::Value> {
        self.0.read(value, wrongs).map(Some)
    }

    fn render(&self, value: &Self::Value) -> Option<String> {
        self.0.render(value.as_ref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{token, upstream_addr};
    use super::*;

    #[test]
    fn each_wrong_item_is_reported_at_its_place() {
        let list = List::of(token());
        let value = DeValue::parse(r#"["a", 1, "b b", "a"]"#).unwrap();
        let mut wrongs = Vec::new();
        assert_eq!(list.read(&value, &mut wrongs), None);
        let found: Vec<_> = wrongs.iter().map(|(at, wrong)| (*at, &wrong.message[..9])).collect();
        assert_eq!(found, [(6, "found an "), (9, "found \"b "), (16, "the value")]);
    }

    #[test]
    fn a_variable_lists_values_with_commas() {
        let list = List::of(upstream_addr());
        let two = list.read_text("http://a:1, http://b:2").unwrap();
        assert_eq!(list.render(&two).unwrap(), r#"["http://a:1", "http://b:2"]"#);
        assert_eq!(list.read_text(""), Ok(Vec::new()));
        assert!(list.read_text("http://a:1,http://A:1").is_err(), "one address twice");
        assert!(List::of_some(token()).read_text("").is_err(), "at least one");
    }
}
