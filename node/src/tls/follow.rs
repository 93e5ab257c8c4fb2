//! Reads the files of TLS again when they have changed, as they do when certificates are renewed.
//!
//! A file that is half written, or a certificate whose key is not there yet, changes nothing: the next look
//! sees the rest.

use std::sync::Arc;
use std::time::Duration;

use super::state::NodeTls;

/// How often the log hears of certificates that end soon.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at the files every `interval`, for as long as the node runs. Zero: never; only the warnings go on.
pub(crate) async fn follow(tls: Arc<NodeTls>, interval: Duration) {
    let look_every = if interval.is_zero() { WARN_EVERY } else { interval };
    let mut since_warning = Duration::ZERO;
    let mut said = String::new();
    loop {
        tokio::time::sleep(look_every).await;
        since_warning += look_every;
        if since_warning >= WARN_EVERY {
            since_warning = Duration::ZERO;
            tls.warn_of_ends();
        }
        if interval.is_zero() {
            continue;
        }
        let looking = Arc::clone(&tls);
        let looked = tokio::task::spawn_blocking(move || look(&looking)).await;
        let problem = looked.unwrap_or_else(|lost| Err(lost.to_string()));
        match problem {
            Ok(true) => tracing::info!("certificates were read again"),
            Ok(false) => said.clear(),
            // Said once, not at every look.
            Err(why) if why != said => {
                tracing::error!("certificates have changed and were not read again:\n{why}");
                said = why;
            }
            Err(_) => {}
        }
    }
}

/// Reads the files again where they have changed; returns whether they had.
fn look(tls: &NodeTls) -> Result<bool, String> {
    if !tls.has_changed() {
        return Ok(false);
    }
    let _turn = tls.turn.blocking_lock();
    let current = tls.prepare(&tls.config()).map_err(|problems| problems.to_string())?;
    tls.replace(current);
    Ok(true)
}
