//! The authority of `sidetone dev-proxy`: made once, kept in the data folder, trusted by whoever is told to.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// The certificate, beside the database.
const CERTIFICATE: &str = "dev-proxy-ca.pem";
/// Its key; nobody else may read it.
const KEY: &str = "dev-proxy-ca.key";

/// Who signs for Twilio's hosts on this machine.
pub struct Authority(Issuer<'static, KeyPair>);

/// Returns where the certificate lies that clients are to trust.
pub fn certificate(data: &Path) -> PathBuf {
    data.join(CERTIFICATE)
}

impl Authority {
    /// Reads the authority from a folder, or makes it there.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn open(data: &Path) -> Result<Self, String> {
        let (key_file, file) = (data.join(KEY), certificate(data));
        let told =
            |file: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let key = match fs::read_to_string(&key_file) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| told(&key_file, &error))?,
            Err(_) => {
                let key = KeyPair::generate().map_err(|error| error.to_string())?;
                let mut options = fs::OpenOptions::new();
                let opened = options.write(true).create_new(true).mode(0o600).open(&key_file);
                opened
                    .and_then(|mut opened| opened.write_all(key.serialize_pem().as_bytes()))
                    .map_err(|error| told(&key_file, &error))?;
                key
            }
        };
        let params = params();
        if !file.exists() {
            let made = params.self_signed(&key).map_err(|error| error.to_string())?;
            fs::write(&file, made.pem()).map_err(|error| told(&file, &error))?;
        }
        Ok(Self(Issuer::new(params, key)))
    }

    /// Makes a certificate for a host, good for a year, and what a server needs to show it.
    ///
    /// # Errors
    /// When `host` cannot be in a certificate.
    pub fn vouch(&self, host: &str) -> Result<ServerConfig, String> {
        let told = |error: rcgen::Error| format!("{host}: {error}");
        let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(told)?;
        let year = this_year();
        params.not_before = date_time_ymd(year - 1, 1, 1);
        params.not_after = date_time_ymd(year + 1, 12, 31);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(told)?;
        let certificate = params.signed_by(&key, &self.0).map_err(told)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())
            .map_err(|error| format!("{host}: {error}"))
    }
}

/// What the authority is called. A change of these makes certificates that its file does not vouch for.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Sidetone dev-proxy, this machine alone");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let twilio = GeneralSubtree::DnsName("twilio.com".to_owned());
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: vec![twilio], excluded_subtrees: Vec::new() });
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn this_year() -> i32 {
    const YEAR_S: u64 = 31_556_952;
    let since = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    1970 + i32::try_from(since / YEAR_S).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_its_key_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        Authority::open(folder.path()).expect("it is made");
        let read = || fs::read(certificate(folder.path())).expect("it is there");
        let first = read();
        let again = Authority::open(folder.path()).expect("it is read");
        assert_eq!(read(), first);
        let key = fs::metadata(folder.path().join(KEY)).expect("it is there");
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        assert!(again.vouch("api.twilio.com").is_ok());
        assert!(again.vouch("höst.twilio.com").is_err());
    }
}
