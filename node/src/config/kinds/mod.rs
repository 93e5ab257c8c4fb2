//! How the value of a key is read from TOML or from a variable, described, and written again.
//!
//! A [`Kind`] knows one form of value with its unit and range. It knows neither the key nor the
//! place of the value, which the reader adds to what is [`Wrong`].
//!
//! # Invariant
//!
//! What [`Kind::render`] writes, [`Kind::read`] reads as the same value.

mod many;
mod number;
mod origin;
mod rate;
mod rule;
mod text;

use toml::Spanned;
use toml::de::DeValue;

pub(super) use self::many::{List, Maybe};
pub(super) use self::number::{Count, Size, Span};
pub(super) use self::origin::{check_path, origin_server, status_range};
pub(super) use self::rate::{bandwidth, least_bandwidth, network, rate};
pub(super) use self::rule::{ByStatus, Percent, path_glob};
pub(super) use self::text::{
    Choice, Flag, Text, authority, cookie_name, directory, file, file_pattern, header_name,
    host_pattern, key_header_name, listen_addr, nats_addr, origin_field_name, parameter_pattern,
    pem_file, stream_name, text, tls_name, token, upstream_addr,
};

use super::problem::Wrong;

/// What is wrong with parts of a value, each with the byte offset where the part stands.
pub(super) type Wrongs = Vec<(usize, Wrong)>;

/// One form of value.
pub(super) trait Kind {
    /// What the value is inside the program.
    type Value;

    /// Names the form, for example `duration`.
    fn unit(&self) -> String;

    /// Describes which values are allowed, for example `1ms to 24h`.
    fn range(&self) -> String;

    /// Returns a valid value in TOML.
    fn example(&self) -> String;

    /// Reads the text of a TOML string or of a variable.
    fn read_text(&self, text: &str) -> Result<Self::Value, Wrong>;

    /// Reads a TOML value. A form that TOML writes as a string need not override this.
    fn read_value(&self, value: &DeValue<'_>) -> Result<Self::Value, Wrong> {
        match value {
            DeValue::String(text) => self.read_text(text),
            other => Err(self.mismatch(other)),
        }
    }

    /// Reads a TOML value at its place. A form with several parts overrides this to report each.
    fn read(&self, value: &Spanned<DeValue<'_>>, wrongs: &mut Wrongs) -> Option<Self::Value> {
        match self.read_value(value.get_ref()) {
            Ok(value) => Some(value),
            Err(wrong) => {
                wrongs.push((value.span().start, wrong));
                None
            }
        }
    }

    /// Writes a value in TOML; `None` when the key is to be left out.
    fn render(&self, value: &Self::Value) -> Option<String>;

    /// Completes a message with what was expected.
    fn expected(&self, found: impl AsRef<str>) -> Wrong {
        let example = self.example();
        Wrong::new(format!(
            "{}; expected {} ({}), for example {example}",
            found.as_ref(),
            self.unit(),
            self.range()
        ))
    }

    /// Says that a value has the wrong type altogether.
    fn mismatch(&self, value: &DeValue<'_>) -> Wrong {
        let article =
            if matches!(value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
        self.expected(format!("found {article} {}", value.type_str()))
    }
}

/// Writes a text as a TOML basic string.
pub(super) fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_are_read_back(text: String) {
            let quoted = toml_string(&text);
            let value = DeValue::parse(&quoted).unwrap();
            prop_assert_eq!(value.get_ref().as_str(), Some(text.as_str()));
        }
    }
}
