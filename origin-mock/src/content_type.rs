//! Which media type has a file of this name?

use std::path::Path;

/// Returns the media type by the extension of `path`, in any case.
pub(crate) fn by_extension(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "css" => "text/css; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webp" => "image/webp",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_counts_in_any_case() {
        for (name, expected) in [
            ("a/B.HTML", "text/html; charset=utf-8"),
            ("a.tar.css", "text/css; charset=utf-8"),
            ("a.gz", "application/octet-stream"),
            (".html", "application/octet-stream"),
            ("html", "application/octet-stream"),
        ] {
            assert_eq!(by_extension(Path::new(name)), expected, "{name}");
        }
    }
}
