//! Handshakes with real certificates, and files that change or cannot be used.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::*;

/// A CA, and what it issued.
struct Authority(CertifiedIssuer<'static, KeyPair>);

struct Issued {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this CA, and shows what `shown` says.
    fn client(&self, shown: Option<&Issued>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain = CertificateDer::pem_slice_iter(issued.cert.as_bytes()).collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

fn place(directory: &TempDir, issued: &Issued) -> TlsFiles {
    let files =
        TlsFiles { cert: directory.path().join("cert.pem"), key: directory.path().join("key.pem"), client_ca: None };
    fs::write(&files.cert, &issued.cert).unwrap();
    fs::write(&files.key, &issued.key).unwrap();
    files
}

/// Shakes hands for `name`; a byte goes over and back, because a client is told of its refusal only after its own part.
async fn talk(acceptor: TlsAcceptor, client: &TlsConnector, name: &str) -> io::Result<Option<Vec<u8>>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (near, far) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(async move {
        let mut stream = acceptor.accept(far).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await
    });
    let mut stream = client.connect(ServerName::try_from(name.to_owned()).unwrap(), near).await?;
    stream.write_u8(7).await?;
    stream.read_u8().await?;
    served.await.unwrap()?;
    Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn a_client_that_trusts_the_ca_agrees_on_the_protocol() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls = ServerTls::open(place(&directory, &authority.issue("merit.test")), &["h2", "http/1.1"]).unwrap();
    let agreed = talk(tls.acceptor(), &authority.client(None), "merit.test").await.unwrap();
    assert_eq!(agreed, Some(b"h2".to_vec()));
    talk(tls.acceptor(), &authority.client(None), "other.test").await.unwrap_err();
    talk(tls.acceptor(), &Authority::new().client(None), "merit.test").await.unwrap_err();
}

#[tokio::test]
async fn with_a_client_ca_only_clients_of_it_are_served() {
    let (directory, authority, clients) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    let mut files = place(&directory, &authority.issue("merit.test"));
    let ca = directory.path().join("ca.pem");
    fs::write(&ca, clients.0.pem()).unwrap();
    files.client_ca = Some(ca);
    let tls = ServerTls::open(files, &["h2"]).unwrap();
    let check = async |shown: Option<&Issued>, served: bool| {
        let talked = talk(tls.acceptor(), &authority.client(shown), "merit.test").await;
        assert_eq!(talked.is_ok(), served, "{talked:?}");
    };
    check(Some(&clients.issue("broker-1")), true).await;
    check(Some(&authority.issue("broker-1")), false).await;
    check(None, false).await;
}

#[tokio::test]
async fn changed_files_are_used_a_second_later_unless_broken() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let files = place(&directory, &authority.issue("one.test"));
    let tls = ServerTls::open(files.clone(), &["h2"]).unwrap();
    let (client, start) = (authority.client(None), Instant::now());
    let after = |seconds| start + Duration::from_secs(seconds);

    let two = authority.issue("two.test");
    fs::write(&files.cert, &two.cert).unwrap();
    // The certificate is the new one, the key is not yet.
    talk(tls.acceptor_at(after(2)), &client, "one.test").await.unwrap();
    fs::write(&files.key, &two.key).unwrap();
    talk(tls.acceptor_at(after(2)), &client, "one.test").await.unwrap();
    talk(tls.acceptor_at(after(4)), &client, "two.test").await.unwrap();
    fs::write(&files.cert, "nonsense").unwrap();
    talk(tls.acceptor_at(after(6)), &client, "two.test").await.unwrap();
    fs::remove_file(&files.key).unwrap();
    talk(tls.acceptor_at(after(8)), &client, "two.test").await.unwrap();
}

#[test]
fn an_unusable_file_is_refused_by_its_name() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let (one, two) = (authority.issue("one.test"), authority.issue("two.test"));
    let check = |cert: &str, key: &str, client_ca: Option<&str>, said: &str| {
        let mut files = place(&directory, &Issued { cert: cert.to_owned(), key: key.to_owned() });
        files.client_ca = client_ca.map(|text| {
            let path = directory.path().join("ca.pem");
            fs::write(&path, text).unwrap();
            path
        });
        let error = ServerTls::open(files, &["h2"]).err().expect(said).to_string();
        assert!(error.contains(said) && error.contains(directory.path().to_str().unwrap()), "{error}");
    };
    check(&one.cert, &two.key, None, "do not make a pair");
    check("", &one.key, None, "cert.pem holds no certificate");
    check(&one.cert, "", None, "key.pem holds no private key");
    check(&one.cert, &one.cert, None, "key.pem holds no private key");
    check("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &one.key, None, "not well-formed PEM");
    check(&one.cert, &one.key, Some(""), "ca.pem holds no certificate");
    let missing = TlsFiles { cert: "no/such.pem".into(), key: "no/key.pem".into(), client_ca: None };
    assert!(ServerTls::open(missing, &[]).err().unwrap().to_string().contains("could not read no/such.pem"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_given_up() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let tls = ServerTls::open(place(&directory, &authority.issue("merit.test")), &["h2"]).unwrap();
    let (_silent, far) = tokio::io::duplex(64);
    assert!(matches!(tls.accept(far).await, Err(HandshakeError::TimedOut)));
}
