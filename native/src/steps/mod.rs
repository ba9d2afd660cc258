//! Steps over a batch: payments in, decisions, answers and records out.
pub mod admit;
pub mod asked;
pub mod conclude;
pub mod decide;
pub mod left;
pub mod remembered;
pub mod told;
