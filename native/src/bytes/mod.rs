//! Forms of bytes: protobuf, JSON, numbers, frames of the journal.
pub mod decimal;
pub mod json;
pub mod pack;
pub mod row_reader;
pub mod wire;
pub mod writer;
