//! The hot part of sealing: a message under a content key that is wrapped already, as a compact JWE. The twin of
//! `ContentKey` in gateway/sealing/content_key.py. How long a key serves is for Python to say.
use std::sync::atomic::{AtomicU64, Ordering};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha2::{Digest, Sha256};

use crate::sealing::seal_base64;

const NONCE_BYTES: usize = 12;
/// Of the tag (RFC 7518 5.3), and of a nonce in base64url.
const TAG_BYTES: usize = 16;

type Sealed<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// `ContentKey(secret, prefix, header, first_nonce)`; `prefix` is all that is before the nonce, and `header` the
/// segment that is authenticated with each message.
#[pyclass(module = "ein_native", frozen)]
pub struct ContentKey {
    /// Zeroised when it is dropped.
    cipher: Aes256Gcm,
    prefix: Vec<u8>,
    header: Vec<u8>,
    first_nonce: u128,
    used: AtomicU64,
    /// Behind the prefix, which is the same for each message.
    hashed: Sha256,
}

#[pymethods]
impl ContentKey {
    #[new]
    fn new(secret: &[u8], prefix: &[u8], header: &[u8], first_nonce: &[u8]) -> PyResult<Self> {
        let Ok(cipher) = Aes256Gcm::new_from_slice(secret) else {
            return Err(PyValueError::new_err("a content key of A256GCM has 32 bytes"));
        };
        if first_nonce.len() != NONCE_BYTES {
            return Err(PyValueError::new_err("a nonce of A256GCM has 12 bytes"));
        }
        Ok(Self {
            cipher,
            prefix: prefix.to_vec(),
            header: header.to_vec(),
            first_nonce: first_nonce.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)),
            used: AtomicU64::new(0),
            hashed: Sha256::new_with_prefix(prefix),
        })
    }

    fn __repr__(&self) -> &'static str {
        "ContentKey(****)"
    }

    /// The compact JWE, and its SHA-256.
    fn seal<'py>(&self, py: Python<'py>, plaintext: &Bound<'py, PyAny>) -> PyResult<Sealed<'py>> {
        // The counter moves before all that may fail: a fault skips a nonce and repeats none.
        let nonce = self.next_nonce();
        let mut message = plaintext.cast::<PyBytes>()?.as_bytes().to_vec();
        let tag = self.encrypt(&nonce, &mut message)?;
        let mut hash = Default::default();
        let jwe = PyBytes::new_with(py, self.length(message.len()), |out| {
            hash = self.join(out, &nonce, &message, &tag);
            Ok(())
        })?;
        Ok((jwe, PyBytes::new(py, &hash)))
    }
}

type OurNonce = Nonce<<Aes256Gcm as aes_gcm::aead::AeadCore>::NonceSize>;

impl ContentKey {
    /// Bytes of the JWE of a message of so many.
    pub fn length(&self, message: usize) -> usize {
        self.prefix.len()
            + seal_base64::length(NONCE_BYTES)
            + 1
            + seal_base64::length(message)
            + 1
            + seal_base64::length(TAG_BYTES)
    }

    /// As `seal`, into `out`, which has room for exactly that; the message is encrypted in its place. Its SHA-256.
    pub fn seal_into(&self, out: &mut [u8], message: &mut [u8]) -> PyResult<[u8; 32]> {
        let nonce = self.next_nonce(); // as above
        let tag = self.encrypt(&nonce, message)?;
        Ok(self.join(out, &nonce, message, &tag))
    }

    fn encrypt(&self, nonce: &OurNonce, message: &mut [u8]) -> PyResult<Tag> {
        let tag = self.cipher.encrypt_inout_detached(nonce, &self.header, message.into());
        tag.map_err(|_| PyValueError::new_err("longer than A256GCM seals"))
    }

    fn next_nonce(&self) -> OurNonce {
        let number = u128::from(self.used.fetch_add(1, Ordering::Relaxed));
        // After the last of the 2^96 comes 0: only the low bytes are taken.
        let wide = (self.first_nonce + number).to_be_bytes();
        let mut nonce = Nonce::default();
        nonce.copy_from_slice(&wide[wide.len() - NONCE_BYTES..]);
        nonce
    }

    /// RFC 7516 7.1; header and wrapped key are the prefix. Gives the SHA-256 of all.
    fn join(&self, out: &mut [u8], nonce: &[u8], message: &[u8], tag: &Tag) -> [u8; 32] {
        let (prefix, behind) = out.split_at_mut(self.prefix.len());
        prefix.copy_from_slice(&self.prefix);
        let rest = seal_base64::encode(behind, nonce);
        rest[0] = b'.';
        let rest = seal_base64::encode(&mut rest[1..], message);
        rest[0] = b'.';
        seal_base64::encode(&mut rest[1..], tag);
        let mut hash = self.hashed.clone();
        hash.update(behind);
        hash.finalize().into()
    }
}
