//! With which settings does an origin start, and what can go wrong?

use std::{io, net::SocketAddr, path::PathBuf};

use http::HeaderValue;

/// Cache-Control of successful answers, unless another is chosen.
pub const CACHE_CONTROL_DEFAULT: &str = "public, max-age=60";

/// Settings of an origin.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder to serve; `None` for generated pages.
    pub dir: Option<PathBuf>,
    /// Cache-Control of successful answers to GET and HEAD.
    pub cache_control: String,
}

impl Default for Config {
    /// Generated pages on a free port of the loopback address.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dir: None,
            cache_control: CACHE_CONTROL_DEFAULT.to_owned(),
        }
    }
}

/// Why an origin could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, not of this machine, or not allowed. Choose another.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The Cache-Control value cannot be sent in a field.
    #[error("{value:?} is not a field value for Cache-Control")]
    CacheControl {
        /// The value asked for.
        value: String,
    },
    /// The folder is not there, not a folder, or cannot be read.
    #[error("cannot serve the folder {}", path.display())]
    Dir {
        /// The folder asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<StartError> for io::Error {
    /// Keeps the kind of the cause; the error itself becomes the source.
    fn from(error: StartError) -> Self {
        let kind = match &error {
            StartError::Bind { source, .. } | StartError::Dir { source, .. } => source.kind(),
            StartError::CacheControl { .. } => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl Config {
    /// Checks the Cache-Control value and resolves the folder, which is touched here only.
    pub(crate) fn check(mut self) -> Result<Self, StartError> {
        if HeaderValue::from_str(&self.cache_control).is_err() {
            return Err(StartError::CacheControl { value: self.cache_control });
        }
        if let Some(path) = self.dir.take() {
            self.dir = Some(resolve(&path).map_err(|source| StartError::Dir { path, source })?);
        }
        Ok(self)
    }
}

/// Resolves all symbolic links of `path` and makes sure that it can be listed.
fn resolve(path: &std::path::Path) -> io::Result<PathBuf> {
    let resolved = path.canonicalize()?;
    drop(resolved.read_dir()?);
    Ok(resolved)
}
