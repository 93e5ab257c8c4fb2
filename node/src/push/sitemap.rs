//! Which URLs does a sitemap or a manifest name?
//!
//! A sitemap (sitemaps.org 0.9) is read for its `loc` elements and nothing else: no entity but the
//! predefined ones is known, nothing is included, and what is not a sitemap names nothing. A manifest
//! has one URL a line; empty lines and lines that begin with `#` are passed over.

/// What a document names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Pages.
    Urls(Vec<String>),
    /// Further sitemaps.
    Sitemaps(Vec<String>),
}

/// Why a document cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadDocument {
    /// It is neither kind of sitemap.
    #[error("it is no sitemap (expected <urlset> or <sitemapindex> in UTF-8)")]
    NoSitemap,
    /// It is not text.
    #[error("it is not text in UTF-8")]
    NotText,
    /// It names too much.
    #[error("it names more than {0} URLs")]
    TooMany(usize),
}

/// Bytes of the longest entity with its semicolon: `#x10FFFF;`, with some zeros before it.
const ENTITY_BYTES_MAX: usize = 16;

/// Reads a sitemap that names at most `max` URLs.
///
/// # Errors
///
/// [`BadDocument`]; nothing of it is used.
pub(crate) fn read_sitemap(bytes: &[u8], max: usize) -> Result<Named, BadDocument> {
    let text = std::str::from_utf8(bytes).map_err(|_not_text| BadDocument::NoSitemap)?;
    let mut scanner = Scanner { rest: text.strip_prefix('\u{feff}').unwrap_or(text) };
    let root = scanner.next_tag().ok_or(BadDocument::NoSitemap)?;
    let (prefix, kind) = match root.rsplit_once(':') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, root),
    };
    let is_index = match kind {
        "urlset" => false,
        "sitemapindex" => true,
        _ => return Err(BadDocument::NoSitemap),
    };
    let mut named = Vec::new();
    while let Some(tag) = scanner.next_tag() {
        // An image or a video has a `loc` of its own, under another prefix.
        let is_loc = match tag.rsplit_once(':') {
            Some((before, "loc")) => Some(before) == prefix,
            None => tag == "loc" && prefix.is_none(),
            Some(_) => false,
        };
        if !is_loc {
            continue;
        }
        let url = scanner.text();
        if url.is_empty() {
            continue;
        }
        if named.len() == max {
            return Err(BadDocument::TooMany(max));
        }
        named.push(url);
    }
    Ok(if is_index { Named::Sitemaps(named) } else { Named::Urls(named) })
}

/// Reads a manifest that names at most `max` URLs.
///
/// # Errors
///
/// [`BadDocument`]; nothing of it is used.
pub(crate) fn read_manifest(bytes: &[u8], max: usize) -> Result<Vec<String>, BadDocument> {
    let text = std::str::from_utf8(bytes).map_err(|_not_text| BadDocument::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let urls: Vec<String> = lines
        .filter(|line| !line.starts_with('#'))
        .take(max.saturating_add(1))
        .map(str::to_owned)
        .collect();
    if urls.len() > max { Err(BadDocument::TooMany(max)) } else { Ok(urls) }
}

/// Goes over XML text from one opening tag to the next.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// The name in the next opening tag; comments, declarations and sections are passed over.
    fn next_tag(&mut self) -> Option<&'a str> {
        loop {
            let (_, after) = self.rest.split_once('<')?;
            if let Some(end) = hidden_until(after) {
                self.rest = after.split_once(end)?.1;
                continue;
            }
            let (tag, rest) = after.split_once('>')?;
            self.rest = rest;
            let is_opening = !tag.starts_with(['/', '?', '!']) && !tag.ends_with('/');
            if is_opening {
                return tag.split_ascii_whitespace().next();
            }
        }
    }

    /// The text up to the next tag, entities replaced, without space around it.
    fn text(&mut self) -> String {
        let mut text = String::new();
        loop {
            let end = self.rest.find('<').unwrap_or(self.rest.len());
            let (plain, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
            unescape_into(plain, &mut text);
            self.rest = rest;
            let Some(section) = rest.strip_prefix("<![CDATA[") else { break };
            let Some((verbatim, after)) = section.split_once("]]>") else { break };
            text.push_str(verbatim);
            self.rest = after;
        }
        text.trim().to_owned()
    }
}

/// What ends the part that begins after `<` and in which tags mean nothing.
fn hidden_until(after: &str) -> Option<&'static str> {
    match after {
        _ if after.starts_with("!--") => Some("-->"),
        _ if after.starts_with("![CDATA[") => Some("]]>"),
        _ => None,
    }
}

fn unescape_into(mut plain: &str, text: &mut String) {
    while let Some((before, entity)) = plain.split_once('&') {
        text.push_str(before);
        match named_first(entity) {
            Some((character, rest)) => {
                text.push(character);
                plain = rest;
            }
            None => {
                // No entity that is known: most often an ampersand that should have been one.
                text.push('&');
                plain = entity;
            }
        }
    }
    text.push_str(plain);
}

/// The character of the entity that `text` begins with, behind its ampersand, and what follows.
fn named_first(text: &str) -> Option<(char, &str)> {
    // Looking further would read a text of ampersands once for each of them.
    let end = text.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';')?;
    let (name, rest) = text.split_at_checked(end)?;
    Some((character(name)?, rest.get(1..)?))
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn urls(text: &str) -> Vec<String> {
        match read_sitemap(text.as_bytes(), 100).unwrap() {
            Named::Urls(urls) => urls,
            Named::Sitemaps(_) => panic!("an index"),
        }
    }

    #[test]
    fn pages_are_named_by_loc_and_by_nothing_else() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?><!-- <loc>http://no/</loc> -->
            <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="x">
              <url><loc> http://a.test/x?a=1&amp;b=2 </loc><lastmod>2020-01-01</lastmod>
                <image:image><image:loc>http://a.test/i.png</image:loc></image:image></url>
              <url><loc><![CDATA[http://a.test/c&d]]></loc></url>
              <url><loc/></url><url><loc></loc></url><url><loc>http://a.test/&#x41;&#66;</loc></url>
              <![CDATA[<loc>http://no/</loc>]]>
            </urlset>"#;
        let expected = ["http://a.test/x?a=1&b=2", "http://a.test/c&d", "http://a.test/AB"];
        assert_eq!(urls(text), expected);
        let prefixed = "<s:urlset><s:url><s:loc>http://a/</s:loc><loc>http://no/</loc></s:url>";
        assert_eq!(urls(prefixed), ["http://a/"]);
    }

    #[test]
    fn an_index_names_sitemaps() {
        let text = "<sitemapindex><sitemap><loc>http://a/1.xml</loc></sitemap></sitemapindex>";
        let named = Named::Sitemaps(vec!["http://a/1.xml".to_owned()]);
        assert_eq!(read_sitemap(text.as_bytes(), 5), Ok(named));
    }

    #[test]
    fn what_is_no_sitemap_or_too_long_is_refused() {
        for junk in ["", "hello", "<html><loc>http://a/</loc></html>", "<urlset", "<!-- <urlset>"] {
            assert_eq!(read_sitemap(junk.as_bytes(), 5), Err(BadDocument::NoSitemap), "{junk:?}");
        }
        let long = format!("<urlset>{}", "<loc>http://a/</loc>".repeat(6));
        assert_eq!(read_sitemap(long.as_bytes(), 5), Err(BadDocument::TooMany(5)));
        assert_eq!(read_manifest(b"a\nb\n", 1), Err(BadDocument::TooMany(1)));
        assert_eq!(read_manifest(b"\xff", 1), Err(BadDocument::NotText));
    }

    #[test]
    fn a_text_of_ampersands_is_read_once() {
        // 2 MiB that were read once for each byte would take hours.
        let text = format!("<urlset><loc>{}</loc>", "&".repeat(2 << 20));
        assert_eq!(urls(&text)[0].len(), 2 << 20);
        let sections = format!("<urlset><loc>{}", "<![CDATA[".repeat(1 << 20));
        assert_eq!(urls(&sections), <[String; 0]>::default());
        assert_eq!(
            urls("<urlset><loc>&#x0000041;&é;&amp;&#x0000000000000041;</loc>"),
            ["A&é;&&#x0000000000000041;"]
        );
    }

    #[test]
    fn a_manifest_has_one_url_a_line() {
        let urls = read_manifest(b"# hot\r\nhttp://a/1\r\n\n  http://a/2  \n", 5).unwrap();
        assert_eq!(urls, ["http://a/1", "http://a/2"]);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_names_more_than_is_allowed(
            text in r"(<urlset>|<sitemapindex>)?([<>&;!\[\]/:?-]|loc|<loc>|</loc>|<!--|-->|CDATA|#x|\PC){0,40}",
        ) {
            if let Ok(Named::Urls(named) | Named::Sitemaps(named)) = read_sitemap(text.as_bytes(), 3) {
                prop_assert!(named.len() <= 3);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let manifest = read_manifest(&bytes, 3);
            prop_assert!(manifest.is_err() || manifest.is_ok_and(|urls| urls.len() <= 3));
            let sitemap = [b"<urlset>".as_slice(), &bytes].concat();
            prop_assert!(read_sitemap(&sitemap, 1_000).is_ok() || std::str::from_utf8(&bytes).is_err());
        }
    }
}
