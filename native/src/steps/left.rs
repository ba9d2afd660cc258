//! A step over the works of a batch, and whom it leaves to its twin in Python.
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// The works of which `step` says None, or with which it goes wrong: what it is stays with them, and the twin says it.
pub fn left_of<'py>(
    works: &Bound<'py, PyList>,
    mut step: impl FnMut(&Bound<'py, PyAny>) -> PyResult<Option<()>>,
) -> PyResult<Bound<'py, PyList>> {
    let left = PyList::empty(works.py());
    for work in works.iter() {
        match step(&work) {
            Ok(Some(())) => {}
            Ok(None) => left.append(work)?,
            Err(error) if error.is_instance_of::<PyException>(works.py()) => left.append(work)?,
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}
