//! What is the same in many tokens, kept in one place: the first segment of a compact JWS, and of its payload what
//! stands around the values. The twin of `TwinTemplate` in gateway/sealing/compact.py.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::bytes::json;
use crate::sealing::signature::joined;

/// Of values that are no bytes: ids and numbers, with quotation marks.
const VALUE_CAPACITY: usize = 64;

/// `Template(head, chunks)`: a value of each token stands between each two chunks.
#[pyclass(module = "ein_native", frozen)]
pub struct Template {
    /// The head and the chunks, one behind the other.
    text: Box<[u8]>,
    /// Where the head ends, and then each chunk.
    ends: Box<[usize]>,
}

#[pymethods]
impl Template {
    #[new]
    fn new(head: &[u8], chunks: Vec<Bound<'_, PyBytes>>) -> PyResult<Self> {
        if chunks.is_empty() {
            return Err(PyValueError::new_err("a payload has at least one chunk"));
        }
        let (mut text, mut ends) = (head.to_vec(), vec![head.len()]);
        for chunk in chunks {
            text.extend_from_slice(chunk.as_bytes());
            ends.push(text.len());
        }
        Ok(Self { text: text.into_boxed_slice(), ends: ends.into_boxed_slice() })
    }

    fn __repr__(&self) -> String {
        format!("Template(gaps={})", self.ends.len() - 2)
    }

    /// The head, a dot, and in base64url the payload: what is signed.
    fn written<'py>(&self, py: Python<'py>, values: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyBytes>> {
        joined(py, self.head(), &self.payload(values)?)
    }
}

impl Template {
    pub fn head(&self) -> &[u8] {
        &self.text[..self.ends[0]]
    }

    /// The chunks with the values between them: bytes as they are, all else as JSON.
    pub fn payload(&self, values: &Bound<'_, PyTuple>) -> PyResult<Vec<u8>> {
        if values.len() + 2 != self.ends.len() {
            return Err(PyValueError::new_err("a value for each gap"));
        }
        let all = values.iter_borrowed();
        let room: usize = all.map(|one| one.cast::<PyBytes>().map_or(VALUE_CAPACITY, |b| b.as_bytes().len())).sum();
        let mut payload = Vec::with_capacity(self.text.len() + room);
        let mut from = self.ends[1];
        payload.extend_from_slice(&self.text[self.ends[0]..from]);
        for (value, to) in values.iter_borrowed().zip(&self.ends[2..]) {
            if let Ok(text) = value.cast::<PyString>() {
                json::quoted(&mut payload, text.to_str()?);
            } else if let Ok(bytes) = value.cast::<PyBytes>() {
                payload.extend_from_slice(bytes.as_bytes());
            } else {
                json::write(&mut payload, &value, 0)?;
            }
            payload.extend_from_slice(&self.text[from..*to]);
            from = *to;
        }
        Ok(payload)
    }
}
