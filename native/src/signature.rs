//! What stands around a signature of a compact JWS: its segments joined (the twin of `joined` in
//! gateway/sealing/base64url.py), a payload written as one (of `written` in gateway/sealing/set.py), and R || S of ECDSA out of DER (the twin of `raw_of_der` in
//! gateway/sealing/signer.py). The signature itself is the library's.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::json;
use crate::seal_base64;

/// What most payloads fit in.
const FIRST_CAPACITY: usize = 4096;

/// R and S of P-256 (RFC 7518 3.4).
const NUMBER_BYTES: usize = 32;
const RAW_BYTES: usize = 2 * NUMBER_BYTES;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// `head`, a dot, and `data` in base64url.
#[pyfunction]
pub fn joined<'py>(py: Python<'py>, head: &[u8], data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, head.len() + 1 + seal_base64::length(data.len()), |out| {
        let (before, behind) = out.split_at_mut(head.len());
        before.copy_from_slice(head);
        behind[0] = b'.';
        seal_base64::encode(&mut behind[1..], data);
        Ok(())
    })
}

/// `head`, a dot, and in base64url what the parts come to: bytes as they are, all else as JSON.
#[pyfunction]
pub fn written<'py>(
    py: Python<'py>,
    head: &[u8],
    parts: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut payload = Vec::with_capacity(FIRST_CAPACITY);
    for part in parts.iter_borrowed() {
        match part.cast::<PyBytes>() {
            Ok(bytes) => payload.extend_from_slice(bytes.as_bytes()),
            Err(_) => json::write(&mut payload, &part, 0)?,
        }
    }
    joined(py, head, &payload)
}

/// Of a signature that the library has made: both lengths are below 128, in one byte each.
#[pyfunction]
pub fn raw_of_der<'py>(py: Python<'py>, der: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut raw = [0; RAW_BYTES];
    let (r, s) = raw.split_at_mut(NUMBER_BYTES);
    let rest = match der {
        [SEQUENCE, length, inside @ ..] if usize::from(*length) == inside.len() => {
            number(inside, r).and_then(|rest| number(rest, s))
        }
        _ => None,
    };
    match rest {
        Some([]) => Ok(PyBytes::new(py, &raw)),
        _ => Err(PyValueError::new_err("not a signature of P-256 in DER")),
    }
}

/// Writes the number that `der` begins with to the end of `out`, and gives what is behind it.
fn number<'a>(der: &'a [u8], out: &mut [u8]) -> Option<&'a [u8]> {
    let [INTEGER, length, rest @ ..] = der else {
        return None;
    };
    let (bytes, behind) = rest.split_at_checked(usize::from(*length))?;
    // A zero in front keeps a high first bit from being a sign, and stands nowhere else.
    let bytes = match bytes {
        [0, second, ..] if *second < 0x80 => return None,
        [0, _, ..] => &bytes[1..],
        [first, ..] if *first < 0x80 => bytes,
        _ => return None,
    };
    let zeros = out.len().checked_sub(bytes.len())?;
    out[zeros..].copy_from_slice(bytes);
    Some(behind)
}
