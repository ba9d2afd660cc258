//! Engines of the hot path. Rules stay in Python: nothing here knows of programs, consent or points.
//! Each engine has a twin in Python that it must equal; the twins' tests run on both.
use pyo3::prelude::*;

#[pymodule]
fn ein_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}
