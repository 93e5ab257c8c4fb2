//! Serving a folder.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command, time::Duration};

use weir_origin_mock::{OriginMock, pattern_bytes};

use crate::client::Client;

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(path.join("site/docs")).expect("a folder for tests");
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join("site").join(name), content).expect("a file for tests");
    }

    async fn serve(&self) -> OriginMock {
        OriginMock::builder().dir(self.0.join("site")).start().await.expect("the folder is there")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[tokio::test]
async fn files_have_types_and_validators() {
    let folder = Folder::new("validators");
    folder.write("a.html", "<p>hello");
    folder.write("b c.bin", "x");
    let origin = folder.serve().await;
    let mut client = Client::connect(origin.addr()).await;
    let first = client.get("/a.html?v=1").await;
    assert_eq!((first.status, first.text()), (200, "<p>hello"));
    assert_eq!(first.get("Content-Type"), "text/html; charset=utf-8");
    assert_eq!(first.get("Cache-Control"), "public, max-age=60");
    let (etag, date) = (first.get("ETag"), first.get("Last-Modified"));
    for (condition, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"), 200),
    ] {
        assert_eq!(client.get_with("/a.html", &condition).await.status, status, "{condition}");
    }
    let escaped = client.get("/b%20c.bin").await;
    assert_eq!((escaped.status, escaped.get("Content-Type")), (200, "application/octet-stream"));
    origin.deploy();
    assert_ne!(client.get("/a.html").await.get("ETag"), etag, "a deploy changes every tag");
}

#[tokio::test]
async fn a_changed_file_of_the_same_length_has_another_tag() {
    let folder = Folder::new("changed");
    folder.write("a.txt", "one");
    let origin = folder.serve().await;
    let mut client = Client::connect(origin.addr()).await;
    let old = client.get("/a.txt").await;
    folder.write("a.txt", "two");
    let file = fs::File::options().write(true).open(folder.0.join("site/a.txt")).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.set_modified(modified + Duration::from_nanos(1_000)).unwrap();
    let new = client.get("/a.txt").await;
    assert_eq!(new.text(), "two");
    assert_ne!(old.get("ETag"), new.get("ETag"));
}

#[tokio::test]
async fn large_files_and_ranges_of_them_arrive_whole() {
    let folder = Folder::new("large");
    let content = pattern_bytes("/large", 1, 0..1_500_000);
    folder.write("large.mp4", &content);
    let origin = folder.serve().await;
    let mut client = Client::connect(origin.addr()).await;
    assert!(client.get("/large.mp4").await.body == content, "the bytes differ");
    assert!(client.get("/large.mp4?chunked=1").await.body == content, "the bytes differ");
    let range = client.get_with("/large.mp4", "Range: bytes=700000-1399999\r\n").await;
    assert_eq!((range.status, range.get("Content-Length")), (206, "700000"));
    assert!(range.body == content[700_000..1_400_000], "the bytes differ");
    let after = client.get_with("/large.mp4", "Range: bytes=1500000-\r\n").await;
    assert_eq!((after.status, after.get("Content-Range")), (416, "bytes */1500000"));
    let fields = format!("Range: bytes=0-9\r\nIf-Range: {}\r\n", range.get("ETag"));
    assert_eq!(client.get_with("/large.mp4", &fields).await.body, &content[..10]);
    let fields = "Range: bytes=0-9\r\nIf-Range: \"old\"\r\n";
    assert_eq!(client.get_with("/large.mp4", fields).await.status, 200);
    let cut = client.get("/large.mp4?cut=100000").await;
    assert!(cut.body == content[..100_000] && cut.end.is_some(), "cut at {}", cut.body.len());
}

#[tokio::test]
async fn folders_answer_with_their_index() {
    let folder = Folder::new("index");
    folder.write("index.html", "root");
    folder.write("docs/index.html", "docs");
    fs::create_dir(folder.0.join("site/empty")).unwrap();
    let origin = folder.serve().await;
    let mut client = Client::connect(origin.addr()).await;
    assert_eq!(client.get("/").await.text(), "root");
    assert_eq!(client.get("/docs/").await.text(), "docs");
    let redirect = client.get("//docs?x=1").await;
    assert_eq!(
        (redirect.status, redirect.get("Location")),
        (301, "/docs/?x=1"),
        "not another host"
    );
    for missing in ["/empty/", "/none", "/none/", "/index.html/", "/index.html/x"] {
        assert_eq!(client.get(missing).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn nothing_outside_of_the_folder_is_served() {
    let folder = Folder::new("outside");
    folder.write("inside.txt", "inside");
    fs::write(folder.0.join("secret.txt"), "secret").unwrap();
    let site = folder.0.join("site");
    symlink(folder.0.join("secret.txt"), site.join("leaves.txt")).unwrap();
    symlink(&folder.0, site.join("up")).unwrap();
    symlink("inside.txt", site.join("stays.txt")).unwrap();
    assert!(Command::new("mkfifo").arg(site.join("pipe")).status().unwrap().success());
    let origin = folder.serve().await;
    let mut client = Client::connect(origin.addr()).await;
    assert_eq!(client.get("/stays.txt").await.text(), "inside");
    for (target, status) in [
        ("/../secret.txt", 400),
        ("/docs/../../secret.txt", 400),
        ("/%2e%2e/secret.txt", 400),
        ("/..%2fsecret.txt", 400),
        ("/docs%2f..%2f..%2fsecret.txt", 400),
        ("/inside.txt%00", 400),
        ("/%", 400),
        ("/leaves.txt", 404),
        ("/up/secret.txt", 404),
        ("/up", 404),
        ("/pipe", 404),
    ] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn files_can_only_be_read() {
    let folder = Folder::new("methods");
    folder.write("a.txt", "text");
    let origin = folder.serve().await;
    let mut client = Client::connect(origin.addr()).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        client.ask(method, "/a.txt", "").await;
        let response = client.read().await;
        assert_eq!((response.status, response.get("Allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(client.post("/a.txt?echo=1", b"x").await.text(), "x", "echo is asked for");
    assert_eq!(client.get("/a.txt?size=3").await.body, pattern_bytes("/a.txt", 1, 0..3));
}
