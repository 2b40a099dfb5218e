//! Certificates of an authority of the test's own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A year in which a certificate still holds.
pub const HOLDS: i32 = 2200;
/// One in which it no longer did.
pub const EXPIRED: i32 = 2021;

/// Who signs for hosts.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its own certificate, for those who trust it.
    pub fn written(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.pem");
        std::fs::write(&file, &self.pem).unwrap();
        file
    }

    /// Signs for a host, or an address, until a year.
    fn sign(&self, host: &str, until: i32) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        params.not_after = date_time_ymd(until, 2, 3);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Returns what a phone shows who is called so.
    pub fn vouch(&self, host: &str, until: i32) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(host, until);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let chain = vec![certificate.der().clone()];
        let config = ServerConfig::builder().with_no_client_auth();
        Arc::new(config.with_single_cert(chain, key.into()).unwrap())
    }

    /// Writes what a server shows, and returns the settings that name it, and this authority as trusted.
    pub fn settings(&self, folder: &Path, ip: IpAddr) -> String {
        let (certificate, key) = self.sign(&ip.to_string(), HOLDS);
        let (shown, secret) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&shown, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        let trusted = self.written(folder);
        format!(
            "[sip_tls]\naddress = \"{ip}:0\"\ncertificate_file = {shown:?}\nkey_file = {secret:?}\n\
             ca_file = {trusted:?}\n"
        )
    }
}
