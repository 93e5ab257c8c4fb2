//! Certificates that are wrong, and certificates that are read again.

use std::path::Path;

use http::Method;
use weir_origin_mock::OriginMock;
use weir_tests::{Authority, Folder, Program, Reply, Request, TlsClient, free_base_port, until_so};

const TOKEN: &str = "token-for-tests";

fn file(folder: &Path, port: u16, origin: &str, rest: &str) -> String {
    let at = folder.display();
    format!(
        "[node]\nname = 'edge-0'\nlisten = '127.0.0.1:{port}'\n\
         [tls]\nlisten = '127.0.0.1:{}'\nreread_interval = '0s'\n\
         [[tls.certificate]]\ncertificate = '{at}/a.pem'\nkey = '{at}/a.key'\n{rest}\n\
         [[site]]\nname = 'www'\nhosts = ['*']\norigins = ['{origin}']\n",
        port + 100,
    )
}

async fn reload(port: u16) -> Reply {
    let request = Request::new(Method::POST, "/v1/config/reload");
    let request = request.header("authorization", &format!("Bearer {TOKEN}"));
    request.send(format!("127.0.0.1:{}", port + 1_000).parse().unwrap()).await
}

#[tokio::test]
async fn a_reload_takes_new_certificates_and_a_bad_one_changes_nothing() {
    let (authority, folder, origin) = (Authority::new(), Folder::new(), OriginMock::start().await);
    let port = free_base_port();
    let to = format!("127.0.0.1:{}", port + 100).parse().unwrap();
    let _files = authority.certify(&["www.test"]).write(folder.path(), "a");
    let path = folder.path().join("edge.toml");
    std::fs::write(&path, file(folder.path(), port, &origin.url(), "")).unwrap();
    let edge = Program::new("weir-edge").arg("--config").arg(&path);
    let mut edge = edge.env("WEIR_ADMIN_TOKEN", TOKEN).spawn();
    assert!(edge.line().await.unwrap().contains("is ready"));
    let client = TlsClient::trusting(&authority);
    let mut open = client.open(to, "www.test").await.unwrap();
    assert_eq!(open.send(&Request::get("/a")).await.unwrap().status, 200);

    // A second certificate, and then one that is not there.
    let _files = authority.certify(&["second.test"]).write(folder.path(), "b");
    let at = folder.path().display();
    let more = |name: &str| {
        format!("[[tls.certificate]]\ncertificate = '{at}/{name}.pem'\nkey = '{at}/{name}.key'\n")
    };
    assert!(client.open(to, "second.test").await.is_err());
    std::fs::write(&path, file(folder.path(), port, &origin.url(), &more("b"))).unwrap();
    assert_eq!(reload(port).await.status, 200);
    assert!(client.open(to, "second.test").await.is_ok());

    std::fs::write(&path, file(folder.path(), port, &origin.url(), &more("gone"))).unwrap();
    let refused = reload(port).await;
    let said = String::from_utf8_lossy(&refused.body).into_owned();
    assert_eq!(refused.status.as_u16(), 422, "{said}");
    assert!(said.contains("gone.pem") && said.contains("expected a PEM file"), "{said}");
    assert!(client.open(to, "second.test").await.is_ok(), "nothing changed");
    assert_eq!(open.send(&Request::get("/a")).await.unwrap().status, 200, "connections stay");

    // The same by a signal.
    let _files = authority.certify(&["third.test"]).write(folder.path(), "b");
    std::fs::write(&path, file(folder.path(), port, &origin.url(), &more("b"))).unwrap();
    edge.signal("HUP");
    until_so("the third certificate", async || client.open(to, "third.test").await.is_ok()).await;
    assert!(client.open(to, "second.test").await.is_err());
    edge.signal("TERM");
    assert_eq!(edge.end().await.code, Some(0));
}

#[tokio::test]
async fn a_node_with_wrong_files_says_which_and_what_was_expected() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let port = free_base_port();
    let good = authority.certify(&["www.test"]);
    let other = authority.certify(&["www.test"]);
    let no_name = authority.issue(&[], |_| {});
    let path = folder.path().join("edge.toml");
    // (certificate, key, words of the problem)
    let cases = [
        (&*good.pem, &*other.key, ["does not belong to the certificate", "a.key"]),
        (&*no_name.pem, &*no_name.key, ["is for no host", "DNS:www.example.com"]),
        ("", &*good.key, ["there is no certificate in it", "a.pem"]),
        (&*good.key, &*good.key, ["there is no certificate in it", "a.pem"]),
        (&*good.pem, "", ["expected a PEM file with one key", "a.key"]),
        (&*good.pem, &*good.pem, ["expected a PEM file with one key", "a.key"]),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &*good.key,
            ["cannot be read", "a.pem"],
        ),
    ];
    for (certificate, key, words) in cases {
        let issued = weir_tests::Issued { pem: certificate.to_owned(), key: key.to_owned() };
        let _files = issued.write(folder.path(), "a");
        std::fs::write(&path, file(folder.path(), port, "http://127.0.0.1:1", "")).unwrap();
        let ended = Program::new("weir-edge").arg("--config").arg(&path).run().await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
        }
        let check = Program::new("weir").args("config check").arg(&path).run().await;
        assert_eq!(check.code, Some(1), "{}", check.stdout);
        assert!(check.stderr.contains(words[0]), "{}", check.stderr);
    }
}

/// What works and is a danger is said, and nothing more.
#[tokio::test]
async fn a_certificate_that_is_over_and_a_key_for_all_to_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let (authority, folder) = (Authority::new(), Folder::new());
    let port = free_base_port();
    let over = authority.issue(&["www.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2_001, 1, 1);
    });
    let files = over.write(folder.path(), "a");
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = folder.path().join("edge.toml");
    std::fs::write(&path, file(folder.path(), port, "http://127.0.0.1:1", "")).unwrap();
    let mut edge = Program::new("weir-edge").arg("--config").arg(&path).spawn();
    assert!(edge.line().await.unwrap().contains("is ready"));
    edge.says("a certificate is over").await;
    edge.says("every user of this machine can read this key").await;
}

#[tokio::test]
async fn up_with_tls_makes_a_certificate_and_keeps_it() {
    let folder = Folder::new();
    let mut shown = Vec::new();
    for _ in 0..2 {
        let port = free_base_port();
        let up = Program::new("weir")
            .args(&format!(
                "up --json --edges 1 --regionals 0 --port {port} --tls --tls-name cdn.test"
            ))
            .arg("--data-dir")
            .arg(folder.path());
        let mut up = up.spawn();
        let line: serde_json::Value = serde_json::from_str(&up.line().await.unwrap()).unwrap();
        let url = line["edges"][0]["tls"].as_str().unwrap();
        assert_eq!(url, format!("https://127.0.0.1:{}", port + 400));
        assert!(line["shield"].get("tls").is_none());
        let pem = std::fs::read_to_string(folder.path().join("tls/certificate.pem")).unwrap();
        let client = TlsClient::trusting_pem(&pem);
        let to = url.trim_start_matches("https://").parse().unwrap();
        for name in ["localhost", "127.0.0.1", "cdn.test"] {
            let request = Request::get("/hello").header("host", name);
            assert_eq!(client.send(to, name, &request).await.status, 200, "{name}");
        }
        let key = std::fs::metadata(folder.path().join("tls/key.pem")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&key) & 0o777, 0o600);
        shown.push(pem);
        up.signal("TERM");
        assert_eq!(up.end().await.code, Some(0));
    }
    assert_eq!(shown[0], shown[1], "kept between runs");
}
