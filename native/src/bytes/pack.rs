//! Frames of the journal: the twin of `pack_by_twin` (gateway/backends/embedded/journal_format.py), whose module
//! says what a frame holds and why. The same bytes for the same batch.
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const MARKER: [u8; 4] = *b"\xe1NF\xd7";
/// Marker 4, CRC 4, length 4, left 4, attempt 4, position 8, durable_before 8.
const HEADER_BYTES: usize = 36;
/// The CRC is over all behind it.
const CRC_END: usize = 8;
/// Behind the CRC three numbers of 4 bytes, then two of 8.
const LONG_AT: usize = 12;

/// Frames of one batch, written into the bytes that Python gets.
#[pyfunction]
#[pyo3(signature = (payloads, *, seed, attempt, first, durable))]
pub fn pack_batch<'py>(
    py: Python<'py>,
    payloads: Vec<Bound<'py, PyBytes>>,
    seed: u32,
    attempt: u32,
    first: i64,
    durable: i64,
) -> PyResult<Bound<'py, PyBytes>> {
    let size = payloads.iter().map(|payload| HEADER_BYTES + payload.as_bytes().len()).sum();
    PyBytes::new_with(py, size, |mut rest| {
        for (at, payload) in payloads.iter().enumerate() {
            let payload = payload.as_bytes();
            let (frame, behind) = rest.split_at_mut(HEADER_BYTES + payload.len());
            let position =
                i64::try_from(at).ok().and_then(|at| first.checked_add(at)).ok_or_else(too_large)?;
            let numbers = [short(payload.len())?, short(payloads.len() - 1 - at)?, attempt];
            put_frame(frame, payload, seed, numbers, [position, durable]);
            rest = behind;
        }
        Ok(())
    })
}

fn put_frame(frame: &mut [u8], payload: &[u8], seed: u32, numbers: [u32; 3], positions: [i64; 2]) {
    let (lead, rest) = frame.split_at_mut(CRC_END);
    let (header, body) = rest.split_at_mut(HEADER_BYTES - CRC_END);
    let (short, long) = header.split_at_mut(LONG_AT);
    short.copy_from_slice(numbers.map(u32::to_le_bytes).as_flattened());
    long.copy_from_slice(positions.map(i64::to_le_bytes).as_flattened());
    body.copy_from_slice(payload);
    let mut crc = crc32fast::Hasher::new_with_initial(seed);
    crc.update(rest);
    lead[..4].copy_from_slice(&MARKER);
    lead[4..].copy_from_slice(&crc.finalize().to_le_bytes());
}

fn short(number: usize) -> PyResult<u32> {
    u32::try_from(number).map_err(|_| too_large())
}

fn too_large() -> PyErr {
    PyOverflowError::new_err("a number of the batch does not fit into its field")
}
