use crate::formats::der::write;
use crate::trust::certificate::Certificate;
use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

pub struct Party {
    key: SigningKey,
    pub cert: Certificate,
}

impl Party {
    /// A key and a self-signed certificate for it, made now.
    pub fn new(name: &str) -> Self {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
        let common_name = write::sequence(&[write::oid("2.5.4.3"), write::utf8(name)]);
        let subject = write::sequence(&[write::set_of(&[common_name])]);
        let day = |text: &str| write::certificate_time(super::at(text));
        let tbs = write::sequence(&[
            write::explicit(0, &write::small(2)),
            write::small(1),
            key.algorithm().identifier(),
            subject.clone(),
            write::sequence(&[day("2025-01-01T00:00:00Z"), day("2035-01-01T00:00:00Z")]),
            subject,
            key.public_key().to_spki(),
        ]);
        let signature = write::bit_string(&key.sign(&tbs).unwrap());
        let der = write::sequence(&[tbs, key.algorithm().identifier(), signature]);
        Self { key, cert: Certificate::parse(&der).unwrap() }
    }

    pub fn key(&self) -> &dyn Signer {
        &self.key
    }
}
