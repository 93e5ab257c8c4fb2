//! The programs as a user runs them: processes with arguments, an environment and two outputs.
//!
//! What is run is always built from the present sources, once per run of the scenarios.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::sync::watch;

use crate::soon;

/// The folder with the programs, built.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    // The folder of this program is `target/<profile>/deps`.
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().and_then(Path::parent).unwrap().to_owned();
    let profile = folder.file_name().and_then(|name| name.to_str()).unwrap();
    let profile = if profile == "debug" { "dev" } else { profile };
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--workspace",
            // With the tests, so that dependencies have the features that they were built with.
            "--bins",
            "--tests",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(folder.parent().unwrap())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .status()
        .unwrap();
    assert!(built.success(), "the programs do not build");
    folder
});

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    /// What it wrote to standard output and nobody has read before.
    pub stdout: String,
    /// All that it wrote to standard error.
    pub stderr: String,
}

/// A program that is to be run. Its environment has no setting of ours but those given.
#[derive(Debug)]
pub struct Program {
    command: Command,
    input: Option<File>,
}

impl Program {
    /// The program called `name`, such as `weir-edge`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut command = Command::new(PROGRAMS.join(name));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("WEIR") {
                command.env_remove(variable);
            }
        }
        Self { command, input: None }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds the arguments in `line`, separated by spaces.
    #[must_use]
    pub fn args(mut self, line: &str) -> Self {
        self.command.args(line.split_whitespace());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Lets it read the file at `path` as its standard input, which is empty otherwise.
    #[must_use]
    pub fn input(mut self, path: &Path) -> Self {
        self.input = Some(File::open(path).unwrap());
        self
    }

    /// Starts it.
    #[must_use]
    pub fn spawn(mut self) -> Process {
        let input = self.input.take().map_or_else(Stdio::null, Stdio::from);
        self.command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(self.command);
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut pipe = BufReader::new(child.stderr.take().unwrap()).lines();
        let (said, stderr) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = pipe.next_line().await {
                said.send_modify(|text| *text = format!("{text}{line}\n"));
            }
        });
        Process { child, stdout, stderr }
    }

    /// Runs it to its end.
    pub async fn run(self) -> Ended {
        self.spawn().end().await
    }

    /// The same for one that works for up to `within` before its first line on standard output.
    pub async fn run_within(self, within: Duration) -> Ended {
        let mut process = self.spawn();
        let first = tokio::time::timeout(within, process.stdout.next_line()).await;
        let first = first.unwrap().unwrap();
        let mut ended = process.end().await;
        if let Some(line) = first {
            ended.stdout = format!("{line}\n{}", ended.stdout);
        }
        ended
    }
}

/// A program that is running. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// What came so far; its sender goes when standard error ends.
    stderr: watch::Receiver<String>,
}

impl Process {
    /// The next line on standard output; `None` at the end.
    pub async fn line(&mut self) -> Option<String> {
        soon("a line on standard output", self.stdout.next_line()).await.unwrap()
    }

    /// Waits until it has written `words` to standard error.
    pub async fn says(&mut self, words: &str) {
        let said = self.stderr.wait_for(|text| text.contains(words));
        assert!(soon(words, said).await.is_ok(), "it ended without a word of {words:?}");
    }

    /// Its number in the system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").arg(format!("-{name}")).arg(id).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ended {
        let mut stdout = String::new();
        while let Some(line) = self.line().await {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let status = soon("the end of a process", self.child.wait()).await.unwrap();
        soon("the end of standard error", async { while self.stderr.changed().await.is_ok() {} })
            .await;
        let stderr = self.stderr.borrow().clone();
        Ended { code: status.code(), stdout, stderr }
    }
}

/// A port from which `weir up` and `weir init` may count: every port that follows from it is free.
///
/// All ports of a stack are the same modulo 100 up to its number of nodes in a tier, so stacks ten
/// apart never meet. Below the ports that the system hands out by itself.
#[must_use]
pub fn free_base_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10).unwrap() * 1_500;
    loop {
        let serial = NEXT.fetch_add(1, Relaxed);
        let base = 12_000 + (start + serial / 10 * 1_500) % 18_000 + serial % 10 * 10;
        let tiers = [0, 1, 100, 101, 200, 300].into_iter();
        let mut ports = tiers.flat_map(|above| [base + above, base + above + 1_000]);
        if ports.all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
        assert!(serial < 1_000, "no free ports");
    }
}

/// Asks until `ask` says so. For what another process does in its own time.
pub async fn until_so(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    soon(what, async {
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while !ask().await {
            pace.tick().await;
        }
    })
    .await;
}
