//! An origin that speaks TLS and HTTP/2, with certificates of an authority of its own.
//!
//! By hyper and rustls, because a scripted origin on raw sockets would have to be one of each.
//!
//! | target | answer |
//! |---|---|
//! | `/big` | 3,000,000 bytes, in many frames |
//! | `/trailers` | a body and the trailer `x-sum: 1` |
//! | `/together` | only once all requests for it that [`SecureOrigin::gather`] says are there |
//! | else | `hello`, or the body of the request |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::{Folder, soon};

/// Who vouches for certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one, which nobody knows.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A file with its certificate in `folder`.
    #[must_use]
    pub fn file(&self, folder: &Folder) -> PathBuf {
        std::fs::create_dir_all(folder.path()).unwrap();
        let path = folder.path().join("authority.pem");
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// What a server for `name` needs that speaks `protocols` (ALPN).
    #[must_use]
    pub fn server(&self, name: &str, protocols: &[&str]) -> Arc<ServerConfig> {
        self.server_until(name, protocols, 2_200)
    }

    /// The same with a certificate that holds until the first day of `year`.
    #[must_use]
    pub fn server_until(&self, name: &str, protocols: &[&str], year: i32) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2_000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A certificate with its key, in PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub pem: String,
    /// The key (PKCS#8).
    pub key: String,
}

impl Authority {
    /// Its own certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server with these names.
    #[must_use]
    pub fn certify(&self, names: &[&str]) -> Issued {
        self.issue(names, |_| {})
    }

    /// A certificate for a client or a node called `name`.
    #[must_use]
    pub fn certify_client(&self, name: &str) -> Issued {
        self.issue(&[], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// A certificate with what `edit` says of it.
    pub fn issue(&self, names: &[&str], edit: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.not_before = date_time_ymd(2_000, 1, 1);
        params.not_after = date_time_ymd(2_200, 1, 1);
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { pem, key: key.serialize_pem() }
    }
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Over which HTTP.
    pub version: Version,
    /// Whom it was for: `:authority` or Host.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers.
    pub trailers: HeaderMap,
}

/// A running origin; it ends when it is dropped.
pub struct SecureOrigin {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    open: watch::Sender<bool>,
}

#[derive(Debug)]
struct Shared {
    connections: AtomicUsize,
    arrived: parking_lot::Mutex<Vec<Arrived>>,
    together: parking_lot::Mutex<Arc<Barrier>>,
}

impl SecureOrigin {
    /// Starts one; without `tls` it speaks HTTP/2 by prior knowledge.
    pub async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            connections: AtomicUsize::new(0),
            arrived: parking_lot::Mutex::default(),
            together: parking_lot::Mutex::new(Arc::new(Barrier::new(1))),
        });
        let (open, opened) = watch::channel(true);
        let serving = tokio::spawn(accept(listener, tls, Arc::clone(&shared), opened));
        Self { addr, shared, serving, open }
    }

    /// Connections accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// Requests that arrived whole, in that order.
    #[must_use]
    pub fn arrived(&self) -> Vec<Arrived> {
        self.shared.arrived.lock().clone()
    }

    /// Has `/together` wait for `count` requests.
    pub fn gather(&self, count: usize) {
        *self.shared.together.lock() = Arc::new(Barrier::new(count));
    }

    /// Ends all connections, each when its answers have gone (GOAWAY), and goes on listening.
    pub fn end_connections(&self) {
        self.open.send_replace(false);
        self.open.send_replace(true);
    }
}

impl Drop for SecureOrigin {
    fn drop(&mut self) {
        self.serving.abort();
        self.open.send_replace(false);
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    open: watch::Receiver<bool>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Relaxed);
        let (tls, shared, open) = (tls.clone(), Arc::clone(&shared), open.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => secure(stream, tls, shared, open).await,
                None => serve(stream, true, shared, open).await,
            }
        });
    }
}

async fn secure(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    open: watch::Receiver<bool>,
) {
    // A client that does not believe the certificate ends the handshake.
    if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        serve(stream, http2, shared, open).await;
    }
}

async fn serve<T>(stream: T, http2: bool, shared: Arc<Shared>, mut open: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = TokioIo::new(stream);
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    // How a connection ends is for the other side to judge.
    if http2 {
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let mut connection = std::pin::pin!(http.serve_connection(stream, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = open.changed() => connection.as_mut().graceful_shutdown(),
        }
        drop(connection.await);
    } else {
        let http = hyper::server::conn::http1::Builder::new();
        drop(http.serve_connection(stream, service).await);
    }
}

type AnswerBody = BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<AnswerBody>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let collected = body.collect().await?;
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(|authority| authority.as_str()).or(host);
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    let arrived = Arrived {
        version: parts.version,
        authority: authority.unwrap_or_default().to_owned(),
        trailers: collected.trailers().cloned().unwrap_or_default(),
        body: collected.to_bytes(),
        headers: parts.headers,
        target: target.clone(),
    };
    let echo = if arrived.body.is_empty() { "hello".into() } else { arrived.body.clone() };
    shared.arrived.lock().push(arrived);
    let response = Response::builder().header("cache-control", "no-store");
    let response = match target.as_str() {
        "/big" => response.body(frames((0..300).map(|_| Frame::data(vec![7; 10_000].into())))),
        "/trailers" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", http::HeaderValue::from_static("1"));
            let both = [Frame::data("whole".into()), Frame::trailers(trailers)];
            response.header("trailer", "x-sum").body(frames(both.into_iter()))
        }
        _ => {
            if target == "/together" {
                let together = Arc::clone(&shared.together.lock());
                soon("all requests", together.wait()).await;
            }
            response.body(Full::new(echo).boxed())
        }
    };
    Ok(response.unwrap())
}

fn frames(frames: impl Iterator<Item = Frame<Bytes>> + Send + Sync + 'static) -> AnswerBody {
    StreamBody::new(futures_util::stream::iter(frames.map(Ok))).boxed()
}
