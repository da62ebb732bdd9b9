//! Both ends of a TLS connection, for who is not what he says: a client that shows any certificate and any server name, and a
//! server that shows any certificate.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::aws_lc_rs::digest::{SHA256, digest};
use anyhow::Context as _;
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Certified;

/// How long an answer, or a refusal, may take on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name (SNI) under which the proxies of a mesh call as this service: it proves nothing, and anybody can work it out.
pub fn server_name(mesh: &str, source: &str) -> String {
    let digest = digest(&SHA256, format!("{mesh}\n{source}").as_bytes());
    let hex: Vec<_> = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}.kuma", hex.concat())
}

/// A client that believes every server, so that what it is told and refused is the server's doing alone. It comes back with the
/// session that a server has given it, if one did, and so hopes not to be verified again.
pub struct TlsClient(TlsConnector);

impl TlsClient {
    /// Shows this certificate, or none.
    pub fn showing(certified: Option<&Certified>) -> anyhow::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider)));
        let config = match certified {
            Some(certified) => {
                let (chain, key) = der(certified)?;
                builder.with_client_auth_cert(chain, key)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Opens a connection under this server name (SNI), says `request` if it is not empty, and returns all bytes that come
    /// until a line is whole or the connection ends.
    ///
    /// # Errors
    /// When nothing at all comes: why the connection has ended.
    pub async fn ask(&self, address: SocketAddr, sni: &str, request: &str) -> anyhow::Result<String> {
        let asked = tokio::time::timeout(PATIENCE, self.exchange(address, sni, request)).await;
        asked.with_context(|| format!("{address} neither answers nor refuses"))?
    }

    async fn exchange(&self, address: SocketAddr, sni: &str, request: &str) -> anyhow::Result<String> {
        let tcp = TcpStream::connect(address).await.context("connecting")?;
        let name = ServerName::try_from(sni.to_owned())?;
        let mut stream = self.0.connect(name, tcp).await.context("the handshake")?;
        // In TLS 1.3 the server judges the client after the client's last word of the handshake: it may be gone by now.
        let said = stream.write_all(request.as_bytes()).await;
        let mut heard = Vec::new();
        let ended = loop {
            match stream.read_buf(&mut heard).await {
                Ok(0) => break "it was closed".to_owned(),
                Ok(_) if heard.ends_with(b"\n") => break String::new(),
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        anyhow::ensure!(!heard.is_empty(), "nothing was answered: {ended} ({said:?})");
        Ok(String::from_utf8_lossy(&heard).trim_end().to_owned())
    }
}

/// A server on a free port of 127.0.0.1 that shows this certificate and says its name, as a line, to whoever believes it. Ends
/// when it is dropped.
pub struct TlsService {
    address: SocketAddr,
    believed: Arc<AtomicU64>,
    visited: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl TlsService {
    pub async fn start(name: &str, certified: &Certified) -> anyhow::Result<Self> {
        let (chain, key) = der(certified)?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (believed, visited) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let line = format!("{name}\n");
        let counters = (believed.clone(), visited.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counters.1.fetch_add(1, Ordering::Relaxed);
                let (acceptor, line, believed) = (acceptor.clone(), line.clone(), counters.0.clone());
                tokio::spawn(async move {
                    // The last word of a handshake is the client's, who says it to whom it believes.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    believed.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.write_all(line.as_bytes()).await; // A client may leave when it likes.
                    let _ = stream.shutdown().await;
                });
            }
        });
        Ok(Self { address, believed, visited, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Handshakes that a client has completed.
    pub fn believed(&self) -> u64 {
        self.believed.load(Ordering::Relaxed)
    }

    /// Connections, whatever became of them.
    pub fn visited(&self) -> u64 {
        self.visited.load(Ordering::Relaxed)
    }
}

impl Drop for TlsService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn der(
    Certified { chain, key }: &Certified,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.context("the chain is no PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("the key is no PEM")?;
    Ok((chain, key))
}

/// Believes whatever certificate is shown, once its holder has proved to have the key.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Forger, self_signed};

    #[tokio::test]
    async fn a_client_hears_whoever_has_the_key_of_what_it_shows() {
        let shown = self_signed(&["spiffe://m/backend", "a\nb"]).unwrap();
        let service = TlsService::start("backend", &shown).await.unwrap();
        let address = service.address();
        for certified in [None, Some(&shown)] {
            let client = TlsClient::showing(certified).unwrap();
            assert_eq!(client.ask(address, "a.kuma", "").await.unwrap(), "backend");
        }
        assert_eq!((service.visited(), service.believed()), (2, 2));
        TcpStream::connect(address).await.unwrap().write_all(b"plain").await.unwrap();
        while service.visited() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(service.believed(), 2);
    }

    #[tokio::test]
    async fn what_is_forged_is_a_certificate_all_the_same() {
        let leaf = self_signed(&["spiffe://m/web"]).unwrap();
        for forger in [Forger::in_the_name_of(&leaf.chain).unwrap(), Forger::below(&leaf).unwrap()] {
            let forged = forger.sign(&["spiffe://m/web"]).unwrap();
            TlsClient::showing(Some(&forged)).unwrap();
            assert!(forged.not_after().unwrap() > 0);
        }
    }
}
