//! Certificates: from files, or self-signed and kept, and taken over again when the files change.
//! Knows nothing of connections.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, IsCa, KeyPair};
use tokio::sync::watch;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ServerConfig, SignatureAlgorithm};

use super::changes::Changes;
use crate::auth::Folder;

const CERTIFICATE: &str = "tls-cert.pem";
const KEY: &str = "tls-key.pem";

/// The protocols a client may choose from; Jumpstarter's own insists on the first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a self-signed certificate is good, ten years: nobody is there to renew it.
const GOOD_FOR: Duration = Duration::from_secs(3_652 * 24 * 60 * 60);

/// Where the certificate and its private key are, both in PEM form.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The server's own certificate first, then those that lead to the root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Those of a self-signed certificate that is kept in this folder.
    #[must_use]
    pub fn own(folder: &Path) -> Self {
        Self {
            certificate: folder.join(CERTIFICATE),
            key: folder.join(KEY),
        }
    }
}

/// What connections are secured with at present.
#[derive(Clone, Debug)]
pub struct Certificates(watch::Receiver<Loaded>);

/// Replaces what [`Certificates`] give.
#[derive(Debug)]
pub struct Renewal {
    files: CertificateFiles,
    present: watch::Sender<Loaded>,
}

/// What was made of the files.
#[derive(Clone, Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    end: Option<i64>,
}

/// Why there is no usable certificate: a sentence.
#[derive(Debug)]
pub struct CertificateError(String);

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateError {}

impl Certificates {
    /// Reads the files; later changes are taken over by [`Renewal::follow`].
    ///
    /// # Errors
    /// A file cannot be read, or the two do not belong together.
    pub fn load(files: CertificateFiles) -> Result<(Self, Renewal), CertificateError> {
        let (present, receiver) = watch::channel(load(&files)?);
        Ok((Self(receiver), Renewal { files, present }))
    }

    /// What the next connection is secured with.
    #[must_use]
    pub fn present(&self) -> Arc<ServerConfig> {
        self.0.borrow().config.clone()
    }

    /// When the server's own certificate ends, in seconds since 1970, if it can be told.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        self.0.borrow().end
    }
}

impl Renewal {
    /// Takes over every change of the files, as long as there is somebody to use them. Files with
    /// errors are told of in the log and change nothing.
    pub async fn follow(self, mut changes: Changes) {
        while changes.next().await {
            match load(&self.files) {
                Ok(config) => {
                    self.present.send_replace(config);
                    tracing::info!("the TLS certificate was read again");
                }
                Err(error) => {
                    tracing::error!("{error}; the server keeps the certificate it has");
                }
            }
        }
    }
}

/// The self-signed certificate that is kept in a folder. It is made when there is none, or when the
/// one that is there lacks a name; else it stays, since clients were told to trust this very one.
///
/// `needed` are names it must have, `usual` what else is put into a new one.
///
/// # Errors
/// A name is not one that a certificate can have, or the folder cannot be written.
pub fn self_signed(
    folder: &Folder,
    needed: &[String],
    usual: &[String],
) -> Result<CertificateFiles, CertificateError> {
    let files = CertificateFiles {
        certificate: folder.file(CERTIFICATE),
        key: folder.file(KEY),
    };
    if files.certificate.exists() && files.key.exists() {
        let lacking = lacking(&files.certificate, needed)?;
        if lacking.is_empty() {
            return Ok(files);
        }
        tracing::warn!(
            "{} is not for {}; a new certificate takes its place, which clients have to be given",
            files.certificate.display(),
            lacking.join(", ")
        );
    }
    let mut names = needed.to_vec();
    names.extend(usual.iter().cloned());
    names.sort();
    names.dedup();
    let fault = |error: rcgen::Error| {
        CertificateError(format!("no self-signed certificate can be made: {error}"))
    };
    let (certificate, key) = make(names).map_err(fault)?;
    let fault = |error: std::io::Error| CertificateError(error.to_string());
    // The key first: a certificate without its key would be found and kept.
    folder.replace(KEY, &key).map_err(fault)?;
    folder.replace(CERTIFICATE, &certificate).map_err(fault)?;
    tracing::info!(
        "made a self-signed certificate, {}",
        files.certificate.display()
    );
    Ok(files)
}

/// The names by which a server that listens on an address is reached without anybody saying so: the
/// address itself, and those of this machine.
#[must_use]
pub fn usual_names(listen: SocketAddr) -> (Vec<String>, Vec<String>) {
    let needed = match listen.ip() {
        address if address.is_unspecified() => vec![],
        address => vec![address.to_string()],
    };
    let mut usual = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    let hostname = gethostname::gethostname().to_string_lossy().into_owned();
    if ServerName::try_from(hostname.as_str()).is_ok() {
        usual.push(hostname);
    }
    (needed, usual)
}

fn make(names: Vec<String>) -> Result<(String, String), rcgen::Error> {
    // ECDSA P-256: Jumpstarter's clients refuse Ed25519.
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = CertificateParams::new(names)?;
    parameters
        .distinguished_name
        .push(DnType::CommonName, "jumpstarter-gateway");
    parameters.is_ca = IsCa::ExplicitNoCa;
    // From a day ago, for clients whose clocks are behind.
    parameters.not_before = (SystemTime::now() - DAY).into();
    parameters.not_after = (SystemTime::now() + GOOD_FOR).into();
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Those of the names that the first certificate of a file is not for.
fn lacking(file: &Path, names: &[String]) -> Result<Vec<String>, CertificateError> {
    let unreadable = |error: &dyn fmt::Display| {
        CertificateError(format!(
            "{}: {error}; remove it to have a new one made",
            file.display()
        ))
    };
    let certificate = CertificateDer::from_pem_file(file).map_err(|error| unreadable(&error))?;
    let parsed = ParsedCertificate::try_from(&certificate).map_err(|error| unreadable(&error))?;
    let is_lacking = |name: &&String| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| verify_server_name(&parsed, &name).is_err())
    };
    Ok(names.iter().filter(is_lacking).cloned().collect())
}

/// What rustls needs: TLS 1.2 and 1.3, both protocols, no certificates of clients.
fn load(files: &CertificateFiles) -> Result<Loaded, CertificateError> {
    let CertificateFiles { certificate, key } = files;
    let at = |file: &Path, problem: &dyn fmt::Display| {
        CertificateError(format!("{}: {problem}", file.display()))
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| at(certificate, &error))?;
    if chain.is_empty() {
        return Err(at(
            certificate,
            &"there is no certificate in this file; one begins with -----BEGIN CERTIFICATE-----",
        ));
    }
    let parsed = chain
        .first()
        .map(|own| x509_parser::parse_x509_certificate(own));
    let parsed = parsed.and_then(Result::ok);
    let end = parsed.map(|(_, own)| own.validity().not_after.timestamp());
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let signing = provider.key_provider.load_private_key(private.clone_key());
    let signing = signing.map_err(|error| at(key, &error))?;
    if signing.algorithm() == SignatureAlgorithm::ED25519 {
        tracing::warn!(
            "{}: an Ed25519 key; Jumpstarter's own clients accept ECDSA P-256 and RSA only",
            key.display()
        );
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|error| {
            at(
                certificate,
                &format!("does not go with {}: {error}", key.display()),
            )
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Loaded {
        config: Arc::new(config),
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_self_signed_certificate_stays_as_long_as_it_has_the_names() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(folder.path()).unwrap();
        let content = |needed: &[&str]| {
            let files = self_signed(&folder, &text(needed), &text(&["localhost"])).unwrap();
            std::fs::read_to_string(files.certificate).unwrap()
        };
        let first = content(&["10.0.0.1", "lab.example.com"]);
        assert_eq!(content(&["lab.example.com"]), first);
        assert_eq!(content(&["10.0.0.1"]), first);
        let second = content(&["10.0.0.2", "lab.example.com"]);
        assert_ne!(second, first);
        assert_eq!(content(&["10.0.0.2"]), second);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(folder.path()).unwrap();
        let files = self_signed(&folder, &text(&["::1"]), &[]).unwrap();
        assert_eq!(load(&files).unwrap().config.alpn_protocols, PROTOCOLS);
        let fault = |files: &CertificateFiles| load(files).unwrap_err().to_string();
        let swapped = CertificateFiles {
            certificate: files.key.clone(),
            key: files.key.clone(),
        };
        assert!(
            fault(&swapped).contains("tls-key.pem: there is no certificate"),
            "{}",
            fault(&swapped)
        );
        let missing = CertificateFiles {
            key: folder.file("nothing.pem"),
            ..files.clone()
        };
        assert!(
            fault(&missing).contains("nothing.pem: "),
            "{}",
            fault(&missing)
        );
        let (_, other) = make(text(&["::1"])).unwrap();
        folder.replace("other.pem", &other).unwrap();
        let unrelated = CertificateFiles {
            key: folder.file("other.pem"),
            ..files
        };
        assert!(
            fault(&unrelated).contains("does not go with"),
            "{}",
            fault(&unrelated)
        );
    }
}
