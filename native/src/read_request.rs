//! A request that was read, kept beside its payment for the steps that are in the engine: nothing is read twice.
//! It lives as long as the payment. It shows nothing, and is no more copied or pickled than a card number is.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::slots::{Found, Request};

#[pyclass(frozen, module = "ein_native")]
pub struct ReadRequest {
    payload: Py<PyBytes>,
    found: Found,
}

#[pymethods]
impl ReadRequest {
    fn __repr__(&self) -> &'static str {
        "ReadRequest(<masked>)"
    }
}

impl ReadRequest {
    /// `found` is what a walk over this payload left.
    pub fn of(payload: &Bound<'_, PyBytes>, found: Found) -> Self {
        Self { payload: payload.clone().unbind(), found }
    }

    pub fn request<'a>(&'a self, py: Python<'a>) -> Request<'a> {
        Request::of(self.payload.as_bytes(py), &self.found)
    }

    pub fn slots(&self) -> usize {
        self.found.slots.len()
    }
}

/// What was read of a payment; None of one that the twin has read.
pub fn read_of<'py>(payment: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, ReadRequest>>> {
    let read = payment.getattr(intern!(payment.py(), "read"))?;
    Ok(if read.is_none() { None } else { Some(read.cast_into::<ReadRequest>()?) })
}
