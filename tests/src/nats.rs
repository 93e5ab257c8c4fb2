//! A NATS server of one scenario.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{Folder, soon, until_so};

/// A running `nats-server` with JetStream, which keeps its files when it is killed.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    address: SocketAddr,
    folder: Folder,
    user: Option<(&'static str, &'static str)>,
}

impl NatsServer {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        Self::start_for(None).await
    }

    /// The same for this user with this password only.
    pub async fn start_for(user: Option<(&'static str, &'static str)>) -> Self {
        let (address, folder) = (own_addr(), Folder::new());
        let child = spawn(address, &folder, user);
        let server = Self { child, address, folder, user };
        server.ready().await;
        server
    }

    /// Where it is, as a configuration has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills it as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again at the same address, with what it has written.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.address, &self.folder, self.user);
        self.ready().await;
    }

    /// Forgets everything that it has written; only while it is not running.
    pub fn lose_everything(&self) {
        std::fs::remove_dir_all(self.folder.path()).unwrap();
    }

    /// A copy of what it has written, to go back to; only while it is not running.
    #[must_use]
    pub fn files(&self) -> Folder {
        let copy = Folder::new();
        copy_folder(self.folder.path(), copy.path());
        copy
    }

    /// Goes back to `files`, as a server does that has not written in time; only while it is not
    /// running.
    pub fn go_back_to(&self, files: &Folder) {
        self.lose_everything();
        copy_folder(files.path(), self.folder.path());
    }

    /// Puts `count` messages into the stream that listens to `subject` while nobody else can reach the
    /// server; only while it is not running.
    pub async fn write_in_secret(&self, subject: &str, count: usize) {
        let elsewhere = own_addr();
        let mut child = spawn(elsewhere, &self.folder, self.user);
        until_so("the NATS server's start", async || reaches(elsewhere).await).await;
        let mut stream = TcpStream::connect(elsewhere).await.unwrap();
        stream.write_all(b"CONNECT {\"verbose\":false}\r\n").await.unwrap();
        // The stream confirms each message to the reply subject; the last word is the last of them.
        stream.write_all(b"SUB confirmed 1\r\n").await.unwrap();
        for _ in 0..count {
            let message = format!("PUB {subject} confirmed 1\r\nx\r\n");
            stream.write_all(message.as_bytes()).await.unwrap();
        }
        let mut lines = BufReader::new(stream).lines();
        for _ in 0..count {
            while !soon("a confirmation", lines.next_line())
                .await
                .unwrap()
                .unwrap()
                .starts_with("MSG")
            {}
        }
        child.kill().await.unwrap();
    }

    async fn ready(&self) {
        until_so("the NATS server's start", async || reaches(self.address).await).await;
    }
}

/// An address that nobody else takes while the server is down: of ports that the system gives to nobody who
/// asks for any, each once.
fn own_addr() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 20_000 + NEXT.fetch_add(1, Relaxed) % 10_000;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().unwrap();
        }
    }
}

async fn reaches(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

fn spawn(address: SocketAddr, folder: &Folder, user: Option<(&str, &str)>) -> Child {
    let user = user.map(|(name, password)| ["--user", name, "--pass", password]);
    Command::new("nats-server")
        .args(user.into_iter().flatten())
        .arg("-js")
        .args(["-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-sd"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("nats-server does not start ({error}); install it: apt-get install nats-server")
        })
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
