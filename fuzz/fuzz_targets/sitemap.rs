//! Sitemaps and manifests: documents as they come, and documents that are written here.
//!
//! A line of how they are written; a section of URLs, one a line; then a document as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_fuzz::Input;
use weir_node::fuzzing::{manifest, sitemap};

const MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let shape = input.number(6);
    let section = String::from_utf8_lossy(input.section()).into_owned();
    let document = input.rest();
    check_any(document);
    check_any(&[b"<urlset>", document].concat());
    check_any(&[b"<s:sitemapindex x='y'>", document].concat());
    check_written(shape, &section);
    check_manifest(&section);
});

/// Nothing panics, nothing is longer than allowed, and nothing is made up.
fn check_any(document: &[u8]) {
    let Some(urls) = sitemap(document, MAX) else { return };
    let text = std::str::from_utf8(document).expect("a sitemap is text");
    assert!(urls.len() <= MAX);
    for url in &urls {
        assert!(!url.is_empty() && url.trim() == url);
        let plain = !text.contains('&') && !text.contains("CDATA");
        assert!(!plain || text.contains(url.as_str()), "{url} is made up");
    }
}

/// What is written as a sitemap is read back.
fn check_written(shape: u64, section: &str) {
    let urls: Vec<&str> = section.lines().map(str::trim).filter(|url| !url.is_empty()).collect();
    let (open, close) = [("", ""), ("s:", "s:")][usize::from(shape >= 3)];
    let mut text =
        format!("\u{feff}<?xml version='1.0'?><!-- <loc>no</loc> -->\n<{open}urlset xmlns='x'>");
    for url in &urls {
        let url = match shape % 3 {
            0 => escaped(url),
            1 => format!("<![CDATA[{}]]>", url.replace("]]>", "]]]]><![CDATA[>")),
            _ => url.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        };
        text.push_str(&format!(
            "<{open}url><{open}loc>\n {url} </{close}loc><i:loc>no</i:loc></{open}url>"
        ));
    }
    text.push_str(&format!("</{close}urlset>"));
    let read = sitemap(text.as_bytes(), MAX);
    let expected = (urls.len() <= MAX).then(|| urls.iter().map(|url| (*url).to_owned()).collect());
    assert_eq!(read, expected, "{text}");
}

fn escaped(url: &str) -> String {
    url.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn check_manifest(section: &str) {
    let read = manifest(section.as_bytes(), MAX);
    let text = section.strip_prefix('\u{feff}').unwrap_or(section);
    let lines = text.split('\n').map(str::trim);
    let urls: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let expected = (urls.len() <= MAX).then_some(urls);
    assert_eq!(read, expected);
}
