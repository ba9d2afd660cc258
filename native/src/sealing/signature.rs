//! What stands around a signature of a compact JWS: its segments joined (the twin of `joined` in
//! gateway/sealing/base64url.py), and a payload written as one (of `written` in gateway/sealing/compact.py). The
//! signature itself is es256.rs's, or of a library, a module or a vault.
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::bytes::json;
use crate::sealing::seal_base64;

/// What most payloads fit in.
const FIRST_CAPACITY: usize = 4096;

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

/// `head`, a dot, and in base64url what the parts come to: bytes as they are, all else as JSON.
#[pyfunction]
pub fn written<'py>(
    py: Python<'py>,
    head: &[u8],
    parts: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyBytes>> {
    joined(py, head, &payload_of(parts)?)
}

/// What the parts come to.
pub fn payload_of(parts: &Bound<'_, PyTuple>) -> PyResult<Vec<u8>> {
    let mut payload = Vec::with_capacity(FIRST_CAPACITY);
    for part in parts.iter_borrowed() {
        match part.cast::<PyBytes>() {
            Ok(bytes) => payload.extend_from_slice(bytes.as_bytes()),
            Err(_) => json::write(&mut payload, &part, 0)?,
        }
    }
    Ok(payload)
}
