//! Masks of fields, one bit a field, as numbers of the interpreter and back. Most have fewer than 63 bits, and those
//! are read and made in half the time of wider ones.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyInt;

/// None for what is no plain number of 128 bits.
pub fn bits(value: &Bound<'_, PyAny>) -> Option<u128> {
    let value = value.cast_exact::<PyInt>().ok()?;
    let mut beyond = 0;
    // SAFETY: what stands there is an int, of which this call raises nothing: it says what was beyond.
    let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &mut beyond) };
    match beyond {
        0 => u128::try_from(small).ok(),
        _ => value.extract().ok(),
    }
}

pub fn number<'py>(py: Python<'py>, mask: u128) -> Bound<'py, PyAny> {
    match i64::try_from(mask) {
        Ok(small) => infallible(small.into_pyobject(py)),
        Err(_) => infallible(mask.into_pyobject(py)),
    }
}

fn infallible<'py>(made: Result<Bound<'py, PyInt>, std::convert::Infallible>) -> Bound<'py, PyAny> {
    match made {
        Ok(number) => number.into_any(),
    }
}
