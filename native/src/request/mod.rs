//! A request as it was read: from bytes on the wire to the checked payment, and what is taken from it later.
pub mod columns;
pub mod doubts;
pub mod features;
pub mod read_request;
pub mod reader;
pub mod shapes;
pub mod slots;
pub mod verdicts;
