//! How do events leave the process?
//!
//! Logs go to standard error through a bounded queue, so that a slow terminal never slows a request;
//! lines that do not fit are dropped and counted by the queue.

use std::error::Error;
use std::fmt::{self, Display};
use std::io::stderr;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Lines that may wait for the terminal.
const LINES_MAX: usize = 16 * 1024;

/// Starts logging for the whole process; the guard writes what is left when it is dropped.
///
/// `WEIR_LOG` overrides the level with a filter (`weir_node=debug`). A second call changes nothing.
#[must_use = "dropping the guard ends logging"]
pub fn start(config: &LogConfig) -> WorkerGuard {
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).lossy(true).finish(stderr());
    // The access log has a switch of its own and is not a matter of level.
    let directives = format!("{},weir::access=info", config.level.as_str());
    let filter =
        EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_unset| EnvFilter::new(directives));
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(layer).try_init(),
    };
    match started {
        Ok(()) => log_panics(),
        Err(_) => tracing::debug!("logging was started before"),
    }
    guard
}

/// Has panics go where the events go, a line each, instead of beside them.
///
/// Those that are caught are seen here as well, such as one of a library over a file that was spoilt.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let at = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("without a message");
        tracing::error!(thread = thread.name(), at, "panicked: {message}");
    }));
}

/// Shows an error with all its causes, outermost first.
pub fn chain(error: &dyn Error) -> impl Display + '_ {
    Chain(error)
}

struct Chain<'a>(&'a dyn Error);

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
