//! Which values only the servers of a site take: a server with its weight, what checks ask for, and which
//! statuses are good.

use http::uri::PathAndQuery;
use toml::de::DeValue;

use super::text::Text;
use super::{Kind, toml_string};
use crate::config::origin::{OriginServer, StatusRange};
use crate::config::problem::{Wrong, quote};

/// A server of a site.
pub(in crate::config) const fn origin_server() -> Text<OriginServer> {
    Text {
        unit: "URL",
        range: "http://host:port or https://host:port, port 80 or 443 when left out, then weight=1 to weight=1000 and backup where wanted",
        example: "http://127.0.0.1:8000",
        // The text is not repeated: it may hold a password.
        parse: |text| text.parse().map_err(|why: crate::config::OriginError| why.to_string()),
        write: OriginServer::to_string,
    }
}

/// What a check asks for.
pub(in crate::config) const fn check_path() -> Text<String> {
    Text {
        unit: "path",
        range: "a path that begins with /, with or without a query",
        example: "/healthz",
        parse: |text| {
            let path = text.parse::<PathAndQuery>().ok();
            let path = path.filter(|path| text.starts_with('/') && path.as_str() == text);
            path.map(|path| path.to_string()).ok_or_else(|| format!("found {}", quote(text)))
        },
        write: String::clone,
    }
}

/// One status, which may be written as a number, or several.
pub(in crate::config) struct Statuses;

/// One status or several.
pub(in crate::config) const fn status_range() -> Statuses {
    Statuses
}

impl Kind for Statuses {
    type Value = StatusRange;

    fn unit(&self) -> String {
        "status code".to_owned()
    }

    fn range(&self) -> String {
        "100 to 599, or a range such as 200-399".to_owned()
    }

    fn example(&self) -> String {
        toml_string("200-299")
    }

    fn read_text(&self, text: &str) -> Result<StatusRange, Wrong> {
        text.parse().map_err(|()| self.expected(format!("found {}", quote(text))))
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<StatusRange, Wrong> {
        match value {
            DeValue::Integer(number) => self.read_text(&number.to_string()),
            DeValue::String(text) => self.read_text(text),
            other => Err(self.mismatch(other)),
        }
    }

    fn render(&self, value: &StatusRange) -> Option<String> {
        Some(toml_string(&value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_ask_for_a_path() {
        for good in ["/", "/healthz", "/a/b?deep=1"] {
            assert_eq!(check_path().read_text(good).as_deref(), Ok(good));
        }
        for bad in ["", "healthz", "*", "http://a/b", "/a b", "/a#b", "?x"] {
            assert!(check_path().read_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_status_may_be_a_number() {
        let read = |text: &str| status_range().read_value(DeValue::parse(text).unwrap().get_ref());
        assert_eq!(read("204"), read("\"204\""));
        assert!(read("204").is_ok() && read("\"200-299\"").is_ok());
        let wrong = read("20").unwrap_err().message;
        assert!(
            wrong.ends_with(
                "expected status code (100 to 599, or a range such as 200-399), for example \"200-299\""
            ),
            "{wrong}"
        );
    }

    #[test]
    fn a_server_does_not_give_its_password_away() {
        let wrong = origin_server().read_text("http://u:secret@a weight=2").unwrap_err().message;
        assert!(!wrong.contains("secret"), "{wrong}");
    }
}
