//! The command `weir-origin-mock`.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use weir_origin_mock::OriginMock;

use crate::client::Client;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-origin-mock"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output and standard error of a run that ends by itself.
fn finish(args: &[&str]) -> (Option<i32>, String, String) {
    let output = command(args).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Starts the binary and reads its ready line.
fn start(args: &[&str]) -> (Child, String) {
    let mut child = command(args).spawn().expect("the binary runs");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a ready line");
    (child, line)
}

#[tokio::test]
async fn signals_end_it_cleanly_after_the_ready_line() {
    for signal in ["TERM", "INT"] {
        let (mut child, line) = start(&["--listen", "127.0.0.1:0", "--json"]);
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let addr = ready["origin"].as_str().unwrap().strip_prefix("http://").unwrap();
        let response = Client::connect(addr.parse().unwrap()).await.get("/hello").await;
        assert_eq!(response.text(), "path: /hello\nversion: 1\n");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "", "{signal}");
    }
}

#[test]
fn without_json_the_ready_line_is_for_people() {
    let (mut child, line) = start(&["--listen", "127.0.0.1:0"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("origin listens on http://127.0.0.1:"), "{line}");
}

#[tokio::test]
async fn a_start_that_fails_says_what_to_do() {
    let taken = OriginMock::start().await;
    let addr = taken.addr().to_string();
    let (code, out, err) = finish(&["--listen", &addr]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with(&format!("error: cannot listen on {addr}: ")), "{err}");
    assert!(err.contains("--listen ADDR:PORT"), "{err}");
    let (code, _, err) = finish(&["--listen", "127.0.0.1:0", "--dir", "/no/such/folder"]);
    assert!(code == Some(1) && err.contains("/no/such/folder"), "{code:?} {err}");
}

#[test]
fn usage_errors_and_help_have_their_exit_codes() {
    let (code, _, err) = finish(&["--listen", "nowhere"]);
    assert!(code == Some(2) && err.contains("nowhere"), "{code:?} {err}");
    assert_eq!(finish(&["--unknown"]).0, Some(2));
    let (code, help, _) = finish(&["--help"]);
    assert_eq!(code, Some(0));
    let parameters = [
        "size", "status", "header", "delay", "drip", "chunked", "trailer", "info", "cut", "reset",
        "length", "close", "hold", "echo",
    ];
    for parameter in parameters {
        assert!(help.contains(&format!("  {parameter}=")), "{parameter} is explained");
    }
}
