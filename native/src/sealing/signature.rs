//! What stands around a signature of a compact JWS: its segments joined (the twin of `joined` in
//! gateway/sealing/base64url.py). The signature itself is es256.rs's, or of a library, a module or a vault.
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::sealing::seal_base64;

/// `head`, a dot, and `data` in base64url.
#[pyfunction]
pub fn joined<'py>(py: Python<'py>, head: &[u8], data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, joined_length(head.len(), data.len()), |out| {
        join_into(out, head, data);
        Ok(())
    })
}

/// Bytes of a head of so many with a segment more, of data of so many.
pub fn joined_length(head: usize, data: usize) -> usize {
    head + 1 + seal_base64::length(data)
}

/// As `joined`, into `out`, which has room for exactly that.
pub fn join_into(out: &mut [u8], head: &[u8], data: &[u8]) {
    let (before, behind) = out.split_at_mut(head.len());
    before.copy_from_slice(head);
    behind[0] = b'.';
    seal_base64::encode(&mut behind[1..], data);
}
