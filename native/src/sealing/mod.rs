//! What leaves: names under a key, bodies, encryption, signatures.
pub mod es256;
pub mod mac;
pub mod mac_keyed;
pub mod seal;
pub mod seal_base64;
pub mod share;
pub mod share_elements;
pub mod share_fields;
pub mod share_keys;
pub mod signature;
pub mod template;
