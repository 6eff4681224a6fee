//! TLS 1.3 with a pinned key in place of a web PKI.

use super::{LinkKey, LinkSecret};
use crate::hardware::has_aes;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme,
};
use std::sync::Arc;

/// The protocol that both sides must name in ALPN.
pub(super) const ALPN: &[u8] = b"coinfuse/1";

/// The name in every certificate. It is the same everywhere, never sent by the dialling side, and says nothing:
/// the key is what is checked.
pub(super) const SERVER_NAME: &str = "link.coinfuse.invalid";

/// Why no TLS configuration came out. None of these depends on a peer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("no certificate could be made from the link key")]
    Certificate(#[from] rcgen::Error),
    #[error("the TLS library refused the configuration")]
    Config(#[from] Error),
    #[error("the TLS library lacks the cipher suite that QUIC starts with")]
    Suite(#[from] NoInitialCipherSuite),
}

/// The dialling side: accepts `key` and no other, and shows no certificate of its own.
pub(super) fn client_config(key: LinkKey) -> Result<QuicClientConfig, TlsError> {
    Ok(client_tls(key)?.try_into()?)
}

fn client_tls(key: LinkKey) -> Result<rustls::ClientConfig, Error> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedKey::new(key)))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    // A ticket would let the relay recognise a client that comes back.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The dialled side: a self-signed certificate of the link key, asks nobody for theirs.
pub(super) fn server_config(secret: &LinkSecret) -> Result<QuicServerConfig, TlsError> {
    let pkcs8 = secret.to_pkcs8();
    let der = PrivatePkcs8KeyDer::from(pkcs8.as_bytes());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)?;
    let params = rcgen::CertificateParams::new([SERVER_NAME.to_owned()])?;
    let certificate = params.self_signed(&pair)?.der().clone();
    let private = PrivateKeyDer::Pkcs8(der.clone_key());

    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config.try_into()?)
}

/// ring, with the fastest suite of this machine first: the dialling side's order counts.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    let place = |suite: CipherSuite| match suite {
        // Without AES hardware it is several times faster than the others.
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 if !has_aes() => 0,
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 1,
        CipherSuite::TLS13_AES_256_GCM_SHA384 => 2,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 3,
        // Those of older versions, which are not used.
        _ => 4,
    };
    provider
        .cipher_suites
        .sort_by_key(|suite| place(suite.suite()));
    Arc::new(provider)
}

/// Accepts the holder of one key.
#[derive(Debug)]
struct PinnedKey {
    key: LinkKey,
    /// The key as a SubjectPublicKeyInfo, which is what certificates carry.
    spki: SubjectPublicKeyInfoDer<'static>,
}

impl PinnedKey {
    fn new(key: LinkKey) -> Self {
        // SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING key } (RFC 8410, section 4)
        const HEADER: [u8; 12] = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        let spki = [&HEADER[..], key.as_bytes()].concat();
        Self {
            key,
            spki: spki.into(),
        }
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        if shown != self.spki {
            tracing::debug!(expected = ?self.key, "a relay showed another link key");
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    /// Checks the signature under the pinned key itself, so that nothing in the certificate matters.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &self.spki, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::sign::{CertifiedKey, SingleCertAndKey};

    fn certificate(secret: &LinkSecret) -> CertificateDer<'static> {
        let pkcs8 = secret.to_pkcs8();
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_bytes());
        let pair =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).unwrap();
        let params = rcgen::CertificateParams::new([SERVER_NAME.to_owned()]).unwrap();
        params.self_signed(&pair).unwrap().der().clone()
    }

    fn verify(pinned: LinkKey, shown: &CertificateDer<'_>) -> Result<ServerCertVerified, Error> {
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let now = UnixTime::since_unix_epoch(core::time::Duration::ZERO);
        PinnedKey::new(pinned).verify_server_cert(shown, &[], &name, &[], now)
    }

    #[test]
    fn the_same_seed_gives_the_same_certificate() {
        let secret = LinkSecret::from_seed([1; 32]);
        assert_eq!(certificate(&secret), certificate(&secret.clone()));
    }

    #[test]
    fn only_the_pinned_key_passes() {
        let (ours, other) = (
            LinkSecret::from_seed([1; 32]),
            LinkSecret::from_seed([2; 32]),
        );
        assert!(verify(ours.key(), &certificate(&ours)).is_ok());
        assert_eq!(
            verify(ours.key(), &certificate(&other)).unwrap_err(),
            CertificateError::ApplicationVerificationFailure.into()
        );
        assert!(verify(ours.key(), &CertificateDer::from(&[0x30, 0x00][..])).is_err());
    }

    /// The certificate is public: whoever shows it without its key must fail at the signature.
    #[test]
    fn a_copied_certificate_is_not_enough() {
        let (relay, thief) = (
            LinkSecret::from_seed([1; 32]),
            LinkSecret::from_seed([2; 32]),
        );
        assert_eq!(shake_hands(relay.key(), &relay, &relay), Ok(()));
        assert_eq!(
            shake_hands(relay.key(), &relay, &thief),
            Err(CertificateError::BadSignature.into())
        );
    }

    /// A whole TLS handshake in memory, with the certificate of one key and the signature of another.
    fn shake_hands(pinned: LinkKey, shown: &LinkSecret, signs: &LinkSecret) -> Result<(), Error> {
        let pkcs8 = signs.to_pkcs8();
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_bytes());
        let signer = ring::sign::any_eddsa_type(&der)?;
        let certified = CertifiedKey::new(vec![certificate(shown)], signer);
        let mut server = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        server.alpn_protocols = vec![ALPN.to_vec()];
        let mut server = rustls::ServerConnection::new(Arc::new(server))?;
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client_tls(pinned)?), name)?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn chacha_is_first_only_without_aes_hardware() {
        let first = provider().cipher_suites[0].suite();
        let aes = first == CipherSuite::TLS13_AES_128_GCM_SHA256;
        assert_eq!(aes, has_aes());
    }
}
