//! ES256 by the crate `ring`, which takes three fifths of the time of OpenSSL: alone, and around the whole of a
//! compact JWS. `LocalSigner` in gateway/sealing/signer.py is its twin, by the library `cryptography`.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Signature};

use crate::sealing::seal_base64;
use crate::sealing::signature::{join_into, joined_length};
use crate::sealing::template::Template;

/// R || S of P-256 (RFC 7518 3.4).
const RAW_BYTES: usize = 64;

/// `Es256(pkcs8)`, a private key in DER with its public half inside. Nothing gives it back. Its nonces are of the
/// system's randomness, mixed with key and message.
#[pyclass(module = "ein_native", frozen)]
pub struct Es256 {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

#[pymethods]
impl Es256 {
    #[new]
    fn new(pkcs8: &[u8]) -> PyResult<Self> {
        let random = SystemRandom::new();
        match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random) {
            Ok(key) => Ok(Self { key, random }),
            // The reason is of the key, and says nothing that its owner could mend.
            Err(_) => Err(PyValueError::new_err("not a private key of P-256 in PKCS #8")),
        }
    }

    fn __repr__(&self) -> &'static str {
        "Es256(****)"
    }

    /// R || S over the SHA-256 of `signing_input`.
    fn sign<'py>(&self, py: Python<'py>, signing_input: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.signature(signing_input)?.as_ref()))
    }

    /// The compact JWS of what `template` comes to with its values.
    fn compact<'py>(
        &self,
        py: Python<'py>,
        template: &Template,
        values: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (head, payload) = (template.head(), template.payload(values)?);
        let signed = joined_length(head.len(), payload.len());
        PyBytes::new_with(py, joined_length(signed, RAW_BYTES), |out| {
            let (input, behind) = out.split_at_mut(signed);
            join_into(input, head, &payload);
            let signature = self.signature(input)?;
            behind[0] = b'.';
            seal_base64::encode(&mut behind[1..], signature.as_ref());
            Ok(())
        })
    }
}

impl Es256 {
    fn signature(&self, signing_input: &[u8]) -> PyResult<Signature> {
        // Only where the system has no randomness.
        self.key.sign(&self.random, signing_input).map_err(|_| PyValueError::new_err("no signature was made"))
    }
}
