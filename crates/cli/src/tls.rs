//! What is shown to those who speak TLS: a certificate and its key, from files; and whom we believe ourselves.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use node::{SipTls, Tls};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What `dev` shows to those who speak SIP by TLS, in the data folder.
pub const DEV_CERTIFICATE: &str = "sip-tls.pem";
/// Its key; nobody else may read it.
const DEV_KEY: &str = "sip-tls.key";

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, and those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

fn told(file: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

impl Files {
    /// Reads both, for HTTP.
    ///
    /// # Errors
    /// One line that names the file; of a certificate that has expired, also its name and date.
    pub fn read(&self) -> Result<ServerConfig, String> {
        let mut config = self.read_for_sip()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Reads both, for SIP.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_for_sip(&self) -> Result<ServerConfig, String> {
        let chain = certificates(&self.certificate)?;
        for certificate in &chain {
            expired(certificate).map_err(|error| told(&self.certificate, error))?;
        }
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(|error| told(&self.key, error))?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        config.map_err(|error| told(&self.key, error))
    }

    /// Makes of them what SIP over TLS needs; `authorities` are believed beside the system's.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn sip_tls(
        &self,
        address: SocketAddr,
        authorities: Option<&Path>,
    ) -> Result<SipTls, String> {
        let server = Tls::new(self.read_for_sip()?);
        Ok(SipTls { address, server, client: believed(authorities)? })
    }

    /// Returns those of a data folder, made where they are not there yet: good for this machine's names and for
    /// `addresses`, and signed by nobody else.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn of_dev(data: &Path, addresses: &[IpAddr]) -> Result<Self, String> {
        let files = Self { certificate: data.join(DEV_CERTIFICATE), key: data.join(DEV_KEY) };
        if files.certificate.exists() && files.key.exists() {
            return Ok(files);
        }
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        for ip in addresses.iter().filter(|ip| !ip.is_unspecified()).map(IpAddr::to_string) {
            if !names.contains(&ip) {
                names.push(ip);
            }
        }
        let made = |error: rcgen::Error| told(&files.certificate, error);
        let mut params = CertificateParams::new(names).map_err(made)?;
        params.distinguished_name.push(DnType::CommonName, "Sidetone dev, this machine alone");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2049, 12, 31);
        let key = KeyPair::generate().map_err(made)?;
        let certificate = params.self_signed(&key).map_err(made)?;
        fs::create_dir_all(data).map_err(|error| told(data, error))?;
        // Half of a pair is of no use.
        let _ = fs::remove_file(&files.key);
        let mut options = fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&files.key);
        opened
            .and_then(|mut file| file.write_all(key.serialize_pem().as_bytes()))
            .map_err(|error| told(&files.key, error))?;
        fs::write(&files.certificate, certificate.pem())
            .map_err(|error| told(&files.certificate, error))?;
        Ok(files)
    }
}

/// Returns whom we believe when we connect by TLS: the system's authorities, and those of a file.
///
/// # Errors
/// One line that names the file.
pub fn believed(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    // A system may have none; whoever is not believed is told when it is asked.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authorities {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| told(file, error))?;
        }
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| told(file, error))?;
    if chain.is_empty() {
        return Err(told(file, "there is no certificate in it"));
    }
    Ok(chain)
}

/// Says of whom a certificate is and since when it holds no more, where it does not.
fn expired(certificate: &CertificateDer<'_>) -> Result<(), String> {
    let (_, read) = X509Certificate::from_der(certificate)
        .map_err(|_| "there is a certificate in it that cannot be read".to_owned())?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let until = read.validity().not_after;
    if i64::try_from(now.as_secs()).unwrap_or(i64::MAX) <= until.timestamp() {
        return Ok(());
    }
    Err(format!("the certificate of {} expired at {until}", read.subject()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_for_development_is_made_once_and_its_key_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let address = "192.0.2.7".parse().expect("an address");
        let files = Files::of_dev(folder.path(), &[address]).expect("it is made");
        let first = fs::read(&files.certificate).expect("it is there");
        assert!(files.read_for_sip().is_ok());
        assert!(believed(Some(&files.certificate)).is_ok());
        let again = Files::of_dev(folder.path(), &[]).expect("it is read");
        assert_eq!(fs::read(&again.certificate).expect("it is there"), first);
        let key = fs::metadata(&files.key).expect("it is there");
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_expired_certificate_is_refused_with_its_name_and_date() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::of_dev(folder.path(), &[]).expect("it is made");
        let key = KeyPair::generate().expect("a key");
        let mut params =
            CertificateParams::new(vec!["sip.example.com".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, "sip.example.com");
        params.not_after = date_time_ymd(2021, 3, 4);
        let certificate = params.self_signed(&key).expect("it is signed");
        fs::write(&files.certificate, certificate.pem()).expect("it is written");
        fs::write(&files.key, key.serialize_pem()).expect("it is written");
        let told = files.read_for_sip().expect_err("it has expired");
        for part in ["sip-tls.pem", "sip.example.com", "2021"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
