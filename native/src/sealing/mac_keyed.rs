//! The two keyed hashes of docs/decisions/0007, each with its key taken in ahead: HMAC-SHA256 (RFC 2104) and
//! keyed BLAKE2b (RFC 7693 2.9). Only the states are kept, never the secrets.
use blake2::Blake2bVarCore;
use blake2::digest::block_api::{Block, Buffer, UpdateCore, VariableOutputCore};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const KEY_BYTES_MAX: usize = 64;

/// An empty key would make BLAKE2b an unkeyed hash.
pub struct NoKey;

/// Keyed BLAKE2b of `BYTES` of output, its use in the `person` parameter.
#[derive(Clone)]
pub struct Keyed<const BYTES: usize> {
    /// Behind the block of the key, so that a name of up to 128 bytes is one block of work.
    primed: Blake2bVarCore,
    /// What an empty message is made from: the block of the key is then the last one.
    unprimed: Blake2bVarCore,
    key: Block<Blake2bVarCore>,
}

impl<const BYTES: usize> Keyed<BYTES> {
    /// `label` has at most 16 bytes. A key longer than 64 bytes stands by its SHA-256.
    pub fn new(secret: &[u8], label: &[u8]) -> Result<Self, NoKey> {
        let hashed;
        let secret = if secret.len() > KEY_BYTES_MAX {
            hashed = Sha256::digest(secret);
            hashed.as_slice()
        } else {
            secret
        };
        if secret.is_empty() {
            return Err(NoKey);
        }
        let mut key = Block::<Blake2bVarCore>::default();
        for (to, from) in key.iter_mut().zip(secret) {
            *to = *from;
        }
        let unprimed = Blake2bVarCore::new_with_params(&[], label, secret.len(), BYTES);
        let mut primed = unprimed.clone();
        primed.update_blocks(std::slice::from_ref(&key));
        Ok(Self { primed, unprimed, key })
    }

    /// The MAC of the parts one behind the other.
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; BYTES] {
        let mut buffer = Buffer::<Blake2bVarCore>::default();
        let mut core = self.primed.clone();
        if parts.iter().all(|part| part.is_empty()) {
            core = self.unprimed.clone();
            buffer.digest_blocks(&self.key, |blocks| core.update_blocks(blocks));
        } else {
            for part in parts {
                buffer.digest_blocks(part, |blocks| core.update_blocks(blocks));
            }
        }
        let mut whole = Default::default();
        core.finalize_variable_core(&mut buffer, &mut whole);
        let mut digest = [0; BYTES];
        for (to, from) in digest.iter_mut().zip(whole) {
            *to = from;
        }
        digest
    }
}

/// HMAC-SHA256 cut to 16 bytes, under a label.
#[derive(Clone)]
pub struct Labelled(Hmac<Sha256>);

impl Labelled {
    pub fn new(secret: &[u8], label: &[u8]) -> Result<Self, NoKey> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| NoKey)?;
        // As `canonical` of the twin begins: the label after its length.
        mac.update(&(label.len() as u16).to_be_bytes());
        mac.update(label);
        Ok(Self(mac))
    }

    /// Each part after its length in bytes, a part being what its pieces are together.
    pub fn digest(&self, parts: &[&[&[u8]]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        for part in parts {
            let length: usize = part.iter().map(|piece| piece.len()).sum();
            mac.update(&(length as u32).to_be_bytes());
            for piece in *part {
                mac.update(piece);
            }
        }
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        digest
    }
}
