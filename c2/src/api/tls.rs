// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Certificates: the operator's, or those of an authority of our own that is made at the first
//! start. TLS 1.2 and 1.3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// Days that a server certificate of ours lasts: what browsers and phones still take.
const DAYS: u32 = 397;
/// It is made anew when so many of them are left.
const DAYS_LEFT: i64 = 30;
/// Days that our authority lasts.
const AUTHORITY_DAYS: u32 = 7300;

/// Files of a server.
#[derive(Clone, Debug)]
pub struct Files {
    /// Certificates, the server's first (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// Authority of client certificates (PEM).
    pub client_ca: Option<PathBuf>,
}

/// The TLS of a server.
///
/// # Errors
/// A file that cannot be read or used; it is named, what is in it is not.
pub fn load(files: &Files) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| fail(path, error))?;
            }
            // Who shows none may have a token.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| fail(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fail(&files.key, error))?;
    let mut config = builder
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|error| fail(&files.certificate, error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads certificates.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| fail(path, error))?.collect();
    let all = all.map_err(|error| fail(path, error))?;
    if all.is_empty() { Err(fail(path, "there is no certificate in it")) } else { Ok(all) }
}

fn fail(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// The certificate of our own in a directory, made where there is none or it ends soon. `names`
/// are names and addresses beyond those of this machine's loopback.
///
/// # Errors
/// The directory cannot be written.
pub fn own(
    directory: &Path,
    names: &[String],
    now: i64,
    write: impl Fn(&Path, &[u8]) -> Result<(), String>,
) -> Result<Files, String> {
    let at = |name: &str| directory.join(name);
    let files = Files { certificate: at("cert.pem"), key: at("key.pem"), client_ca: None };
    let (ca, ca_key, until) = (at("ca.pem"), at("ca-key.pem"), at("renew-after"));
    let wanted = names.join(" ");
    let noted = std::fs::read_to_string(&until).unwrap_or_default();
    let (renew_at, known) = noted.trim().split_once(' ').unwrap_or((noted.trim(), ""));
    let fresh = renew_at.parse().is_ok_and(|at: i64| now < at) && known == wanted;
    if fresh && files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    let broken = |error: rcgen::Error| format!("a certificate could not be made: {error}");
    let authority_key = match std::fs::read_to_string(&ca_key) {
        Ok(text) => KeyPair::from_pem(&text).map_err(|error| fail(&ca_key, error))?,
        Err(_) => KeyPair::generate().map_err(broken)?,
    };
    let issuer = if ca_key.exists() && ca.exists() {
        let text = std::fs::read_to_string(&ca).map_err(|error| fail(&ca, error))?;
        Issuer::from_ca_cert_pem(&text, authority_key).map_err(|error| fail(&ca, error))?
    } else {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "E4 C2 authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lasts(&mut params, now, AUTHORITY_DAYS);
        let certificate = params.self_signed(&authority_key).map_err(broken)?;
        write(&ca_key, authority_key.serialize_pem().as_bytes())?;
        write(&ca, certificate.pem().as_bytes())?;
        Issuer::new(params, authority_key)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "E4 C2");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    params.subject_alt_names = loopback.map(SanType::IpAddress).to_vec();
    for name in std::iter::once("localhost").chain(names.iter().map(String::as_str)) {
        params.subject_alt_names.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => {
                let wrong = || format!("{name:?} is no name of a host");
                DnsName::try_from(name).map_err(|_| wrong())?;
                SanType::DnsName(name.try_into().map_err(|_| wrong())?)
            }
        });
    }
    lasts(&mut params, now, DAYS);
    let key = KeyPair::generate().map_err(broken)?;
    let certificate = params.signed_by(&key, &issuer).map_err(broken)?;
    write(&files.key, key.serialize_pem().as_bytes())?;
    write(&files.certificate, certificate.pem().as_bytes())?;
    let renew_at = now + (i64::from(DAYS) - DAYS_LEFT) * 86_400;
    write(&until, format!("{renew_at} {wanted}\n").as_bytes())?;
    Ok(files)
}

/// From yesterday on, as clocks differ. `now` is in seconds since 1970.
fn lasts(params: &mut CertificateParams, now: i64, days: u32) {
    let at = |seconds: i64| {
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    params.not_before = at(now - 86_400);
    params.not_after = at(now + i64::from(days) * 86_400);
}
