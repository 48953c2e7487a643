//! The gateway over TLS: who is served, who is not, and that nobody keeps the others waiting.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use reqwest::Certificate;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, version};

use crate::harness::answer;
use crate::program::Program;
use crate::signal::signal;

const CLIENT: &str = "apiVersion: jumpstarter.dev/v1alpha1\nkind: Client\nmetadata: {name: demo}\n";
const SELF_SIGNED: &[&str] = &[
    "--no-auth",
    "--tls-self-signed",
    "--keys=FOLDER/keys",
    "--log=debug",
];

fn address(program: &Program) -> SocketAddr {
    program
        .url
        .strip_prefix("https://")
        .unwrap()
        .parse()
        .unwrap()
}

/// An HTTP client that trusts one certificate and nothing else.
fn client(certificate: &Path) -> reqwest::Client {
    let root = Certificate::from_pem(&fs::read(certificate).unwrap()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
    client.build().unwrap()
}

/// A bare TLS connection with these protocols to choose from.
async fn connect(program: &Program, protocols: &[&str], newest: bool) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(program.file("keys/tls-cert.pem"));
    roots.add(certificate.unwrap()).unwrap();
    let version = if newest {
        &version::TLS13
    } else {
        &version::TLS12
    };
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address(program)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let program = Program::start(SELF_SIGNED, CLIENT);
    for (newest, expected) in [
        (true, ProtocolVersion::TLSv1_3),
        (false, ProtocolVersion::TLSv1_2),
    ] {
        for (offered, chosen) in [
            (&["h2"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let stream = connect(&program, offered, newest).await;
            let connection = stream.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(expected));
            assert_eq!(
                connection.alpn_protocol(),
                chosen.map(str::as_bytes),
                "{offered:?}"
            );
        }
    }
    let trusting = client(&program.file("keys/tls-cert.pem"));
    let health = answer(trusting.get(format!("{}/healthz", program.url))).await;
    assert_eq!(health.status, 200, "{health:?}");
    let local = program.url.replace("127.0.0.1", "localhost");
    assert_eq!(
        answer(trusting.get(format!("{local}/healthz")))
            .await
            .status,
        200
    );
}

/// Jumpstarter's own clients first connect only to see the certificate.
#[tokio::test]
async fn who_hangs_up_or_says_nothing_is_in_nobodys_way() {
    let mut program = Program::start(SELF_SIGNED, CLIENT);
    let silent = TcpStream::connect(address(&program)).await.unwrap();
    drop(connect(&program, &[], true).await);
    drop(TcpStream::connect(address(&program)).await.unwrap());
    let log = program.logged("a TLS handshake failed").await;
    assert!(log.contains("DEBUG"), "{log}");
    let trusting = client(&program.file("keys/tls-cert.pem"));
    let health = answer(trusting.get(format!("{}/healthz", program.url))).await;
    assert_eq!(health.status, 200, "{health:?}");
    // Nor does the silent one keep the server from stopping.
    signal(&program.process, "-TERM");
    program.logged("stopped").await;
    for line in program.log_so_far() {
        assert!(
            !line.contains(" WARN ") && !line.contains(" ERROR "),
            "{line}"
        );
    }
    drop(silent);
}

/// gRPC's own servers send clients away that ping without data; idle sessions break on it.
#[tokio::test]
async fn a_client_may_ping_without_data_for_ever() {
    let program = Program::start(SELF_SIGNED, CLIENT);
    let stream = connect(&program, &["h2"], true).await;
    let (_requests, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let connection = tokio::spawn(connection);
    for count in 0..500 {
        let answered = pings.ping(h2::Ping::opaque()).await;
        assert!(answered.is_ok(), "ping {count}: {answered:?}");
    }
    assert!(!connection.is_finished(), "{:?}", connection.await);
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |certificate: &str, key: &str| {
        fs::write(folder.path().join("tls.key"), key).unwrap();
        fs::write(folder.path().join("tls.crt"), certificate).unwrap();
    };
    let make = || {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let (first, second) = (make(), make());
    write(&first.0, &first.1);
    let path = folder.path().to_owned();
    let flags = [
        "--no-auth",
        "--tls-cert=FOLDER/tls.crt",
        "--tls-key=FOLDER/tls.key",
    ];
    let mut program = Program::start_in(folder, &flags, CLIENT);
    let health = format!("{}/healthz", program.url);
    let trust = |certificate: &str| {
        fs::write(path.join("trusted.pem"), certificate).unwrap();
        client(&path.join("trusted.pem"))
    };
    assert_eq!(answer(trust(&first.0).get(&health)).await.status, 200);

    fs::write(path.join("tls.crt"), &second.0).unwrap();
    let line = program.logged("keeps the certificate it has").await;
    assert!(line.contains("does not go with"), "{line}");
    assert_eq!(answer(trust(&first.0).get(&health)).await.status, 200);

    fs::write(path.join("tls.key"), &second.1).unwrap();
    signal(&program.process, "-HUP");
    program.logged("the TLS certificate was read again").await;
    assert_eq!(answer(trust(&second.0).get(&health)).await.status, 200);
    assert!(trust(&first.0).get(&health).send().await.is_err());
}

#[tokio::test]
async fn plain_text_gets_no_answer_but_the_end() {
    let program = Program::start(SELF_SIGNED, CLIENT);
    let mut stream = TcpStream::connect(address(&program)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}
