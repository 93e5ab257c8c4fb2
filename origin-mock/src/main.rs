//! The command `weir-origin-mock`: an origin to try a CDN with.
//!
//! Reads the command line and reports how the start went; everything else is in the library.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use weir_origin_mock::{CACHE_CONTROL_DEFAULT, Config, StartError, run, url};

const EXAMPLES: &str = "\
What a request can ask for (any path, parameters combine; times in milliseconds):
  size=BYTES           body of so many deterministic bytes, at most 16 GiB
  status=N             answer with this status, 200 to 599
  header=Name:Value    add a field or replace a default one; repeatable, percent-encoded
  delay=MS             wait before the head; at most 10 minutes
  drip=MS              spread the body over this time; at most 10 minutes
  chunked=1            send the body in chunks
  trailer=Name:Value   send the body in chunks and this field after it; repeatable
  info=103             interim response with a Link field before the answer; repeatable
  cut=BYTES            close after so many bytes of the body, the head promises all of it
  reset=BYTES          the same with a TCP reset
  length=N             say this Content-Length, true or not
  close=1              close the connection after the answer
  hold=NAME            wait until POST /__origin/release?gate=NAME
  echo=1               answer with the body of the request

Examples:
  curl -i 'http://127.0.0.1:8380/a'                          a page that names path and version
  curl -i 'http://127.0.0.1:8380/slow?delay=2000'            a slow answer
  curl -o film 'http://127.0.0.1:8380/film?size=1000000&drip=5000'
  curl -i 'http://127.0.0.1:8380/broken?size=1000&cut=400'   a body that ends early
  curl -i 'http://127.0.0.1:8380/down?status=503&header=Retry-After:5'
  curl -i 'http://127.0.0.1:8380/tagged?header=Cache-Tag:news,home'
  curl -i 'http://127.0.0.1:8380/a?hold=door' &              waits at the gate
  curl -X POST 'http://127.0.0.1:8380/__origin/release?gate=door'    opens it (DELETE closes it)
  curl -X POST http://127.0.0.1:8380/__origin/deploy         publish the next version
  curl http://127.0.0.1:8380/__origin/stats                  what arrived (DELETE sets it to 0)

It is a tool for tests and demos: whoever can reach it can use all of this.";

/// A scriptable origin to try a CDN with: serves a folder or generated pages, and misbehaves when
/// the query says so.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8380")]
    listen: SocketAddr,
    /// Folder to serve; without it every path answers with a generated page
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Cache-Control of successful answers
    #[arg(long, value_name = "VALUE", default_value = CACHE_CONTROL_DEFAULT)]
    cache_control: String,
    /// Print the ready line as JSON: {"origin":"http://127.0.0.1:8380"}
    #[arg(long)]
    json: bool,
    /// Ask the origin at this address whether it answers; exit 0 if it does, 1 if not. For
    /// container checks
    #[arg(long, value_name = "URL", value_parser = address_of)]
    healthcheck: Option<SocketAddr>,
}

/// How long a health check waits for each step.
const HEALTHCHECK_WAIT: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(addr) = args.healthcheck {
        return if answers(addr).unwrap_or(false) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let advice = error.downcast_ref::<StartError>().map_or("", advice);
            // Without a standard error the exit code is all that can be said.
            writeln!(io::stderr(), "error: {error:#}{advice}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let Args { listen, dir, cache_control, json, .. } = args;
    // Before the ready line: whoever has read it may send a signal.
    let ended = Ended::install().context("cannot wait for signals")?;
    let ready = |addr| {
        // Serving goes on if nobody reads the line.
        writeln!(io::stdout(), "{}", ready_line(addr, json)).ok();
    };
    run(Config { listen, dir, cache_control }, ready, ended.wait()).await?;
    Ok(())
}

/// The address in `http://ADDR:PORT`, or an address alone.
fn address_of(url: &str) -> Result<SocketAddr, String> {
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    address
        .parse()
        .map_err(|_malformed| "expected http://ADDR:PORT with a numeric address".to_owned())
}

/// Whether an origin at `addr` answers 200. Blocking, for a process that does nothing else.
fn answers(addr: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&addr, HEALTHCHECK_WAIT)?;
    stream.set_read_timeout(Some(HEALTHCHECK_WAIT))?;
    stream.set_write_timeout(Some(HEALTHCHECK_WAIT))?;
    let request = "GET /__origin/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status == *b"HTTP/1.1 200")
}

fn ready_line(addr: SocketAddr, json: bool) -> String {
    let origin = url(addr);
    if json {
        serde_json::json!({ "origin": origin }).to_string()
    } else {
        format!("origin listens on {origin} (try: curl -i {origin}/hello; stop: Ctrl-C)")
    }
}

/// What the user can do about it.
fn advice(error: &StartError) -> &'static str {
    match error {
        StartError::Bind { .. } => {
            "\nhelp: choose another address with --listen ADDR:PORT; port 0 takes a free one"
        }
        StartError::CacheControl { .. } => {
            "\nhelp: --cache-control takes one line of text, such as 'public, max-age=60'"
        }
        StartError::Dir { .. } => "\nhelp: --dir takes a folder that exists and can be read",
    }
}

struct Ended {
    interrupt: Signal,
    terminate: Signal,
}

impl Ended {
    fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
