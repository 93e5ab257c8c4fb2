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

use crate::config::{LogConfig, LogFormat, LogLevel};

/// What the filter lets through of the audit log.
const AUDIT: &str = "weir::audit=info";
/// Lines that may wait for the terminal.
const LINES_MAX: usize = 16 * 1024;

/// Starts logging for the whole process; the guard writes what is left when it is dropped.
///
/// `WEIR_LOG` overrides the level with a filter (`weir_node=debug`), but for the audit log. A second call
/// changes nothing.
#[must_use = "dropping the guard ends logging"]
pub fn start(config: &LogConfig) -> WorkerGuard {
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).lossy(true).finish(stderr());
    let filter = filter(std::env::var("WEIR_LOG").ok().as_deref(), config.level);
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

/// What is let through: `asked` if that is a filter, else what is as severe as `level`.
fn filter(asked: Option<&str>, level: LogLevel) -> EnvFilter {
    let asked = asked.filter(|asked| !asked.is_empty());
    let filter = asked.and_then(|asked| EnvFilter::try_new(asked).ok()).unwrap_or_else(|| {
        // The access log has a switch of its own and is not a matter of level.
        EnvFilter::new(format!("{},weir::access=info", level.as_str()))
    });
    // Who changed what is a record and no message: no setting leaves it out.
    match AUDIT.parse() {
        Ok(audit) => filter.add_directive(audit),
        Err(_unlike) => filter,
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn no_setting_leaves_out_the_audit_log() {
        // (WEIR_LOG, level, whether a message of level info is let through)
        let cases = [
            (None, LogLevel::Warn, false),
            (None, LogLevel::Error, false),
            (None, LogLevel::Info, true),
            (Some(""), LogLevel::Error, false),
            (Some("off"), LogLevel::Info, false),
            (Some("weir_node=warn"), LogLevel::Info, false),
            (Some("error,weir::audit=off"), LogLevel::Info, false),
            (Some("info"), LogLevel::Error, true),
        ];
        for (asked, level, message) in cases {
            let written = Written::default();
            let layer = tracing_subscriber::fmt::layer().with_writer(written.clone());
            let subscriber = tracing_subscriber::registry().with(filter(asked, level)).with(layer);
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: "weir::audit", "a record");
                tracing::info!(target: "weir_node::x", "a message");
            });
            let text = String::from_utf8(written.0.lock().clone()).unwrap();
            assert!(text.contains("a record"), "{asked:?} {level:?}: {text}");
            assert_eq!(text.contains("a message"), message, "{asked:?} {level:?}: {text}");
        }
    }
}
