//! Clients that speak TLS to nodes, and the files that nodes read for it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use weir_node::config::CertificateConfig;

use crate::secure::{Authority, Issued};
use crate::{Reply, Request, soon};

impl Issued {
    /// Writes `NAME.pem` and `NAME.key` into `folder`, the key for its owner only.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> CertificateConfig {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(folder).unwrap();
        let files = CertificateConfig {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        // In one step, so that a node that reads them meanwhile reads old files or new ones.
        for (path, text) in [(&files.certificate, &self.pem), (&files.key, &self.key)] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::rename(&new, path).unwrap();
        }
        files
    }

    fn parts(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        (certificate, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}

/// How a client speaks TLS. Keeps sessions from one connection to the next.
#[derive(Clone)]
pub struct TlsClient {
    config: ClientConfig,
}

impl TlsClient {
    /// A client that believes `authority`, offers no protocol by name and shows no certificate.
    #[must_use]
    pub fn trusting(authority: &Authority) -> Self {
        Self::trusting_pem(authority.pem())
    }

    /// The same, with the authority as a file has it.
    #[must_use]
    pub fn trusting_pem(pem: &str) -> Self {
        Self::new(pem, None, &[&TLS13, &TLS12])
    }

    /// The same with a certificate.
    #[must_use]
    pub fn showing(authority: &Authority, own: &Issued) -> Self {
        Self::new(authority.pem(), Some(own), &[&TLS13, &TLS12])
    }

    /// One that speaks TLS 1.2 only.
    #[must_use]
    pub fn old(authority: &Authority) -> Self {
        Self::new(authority.pem(), None, &[&TLS12])
    }

    fn new(
        pem: &str,
        own: Option<&Issued>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            Some(own) => {
                let (certificate, key) = own.parts();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(16)));
        Self { config }
    }

    /// Offers these protocols (ALPN).
    #[must_use]
    pub fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols =
            protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Names no host in its handshakes.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.config.enable_sni = false;
        self
    }

    /// Shakes hands with the server at `to`, which is to be `name`.
    ///
    /// # Errors
    ///
    /// What broke it off. With TLS 1.3 a server's refusal of the client comes later.
    pub async fn connect(&self, to: SocketAddr, name: &str) -> io::Result<TlsStream<TcpStream>> {
        soon("a handshake", async {
            let stream = TcpStream::connect(to).await?;
            let name = ServerName::try_from(name.to_owned()).unwrap();
            TlsConnector::from(Arc::new(self.config.clone())).connect(name, stream).await
        })
        .await
    }

    /// The same, for requests.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    pub async fn open(&self, to: SocketAddr, name: &str) -> io::Result<TlsConnection> {
        let stream = self.connect(to, name).await?;
        let tls = stream.get_ref().1;
        let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let (version, alpn) = (tls.protocol_version(), tls.alpn_protocol().map(<[u8]>::to_vec));
        let certificate =
            tls.peer_certificates().and_then(|chain| chain.first()).map(|der| der.to_vec());
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        Ok(TlsConnection { sender, resumed, version, alpn, certificate })
    }

    /// Sends `request` over a connection of its own. Fails the scenario where there is no answer.
    pub async fn send(&self, to: SocketAddr, name: &str, request: &Request) -> Reply {
        let mut connection = self.open(to, name).await.unwrap();
        connection.send(request).await.unwrap()
    }
}

/// An open connection.
#[derive(Debug)]
pub struct TlsConnection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The version of TLS.
    pub version: Option<ProtocolVersion>,
    /// The protocol that was agreed on by name.
    pub alpn: Option<Vec<u8>>,
    /// The server's certificate.
    pub certificate: Option<Vec<u8>>,
}

impl TlsConnection {
    /// Sends `request` and waits for the whole answer; `None` where the connection ends instead.
    pub async fn send(&mut self, request: &Request) -> Option<Reply> {
        soon("an answer over TLS", async {
            self.sender.ready().await.ok()?;
            let response = self.sender.send_request(request.build()).await.ok()?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await;
            let cut = body.is_err();
            let body = body.map(|whole| whole.to_bytes()).unwrap_or_default();
            Some(Reply { status: parts.status, headers: parts.headers, body, cut })
        })
        .await
    }

    /// Waits until the connection has ended.
    pub async fn ended(&mut self) {
        let sender = &mut self.sender;
        soon("the end of a connection", async {
            while !sender.is_closed() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
