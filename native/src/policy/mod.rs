//! What may leave: arms, release by program, and consents.
pub mod arms;
pub mod consent_buckets;
pub mod consent_rows;
pub mod consents;
pub mod covering;
pub mod masks;
pub mod release;
