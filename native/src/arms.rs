//! A unit's place under a salt: what `place` of gateway/programs/arms.py gives.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::mac_keyed::Keyed;

/// `Salt(secret)`, taken in once; `place(unit_key)` is a number of 64 bits.
#[pyclass(frozen, module = "ein_native")]
pub struct Salt(Keyed<8>);

#[pymethods]
impl Salt {
    #[new]
    fn new(secret: &[u8]) -> PyResult<Self> {
        Keyed::new(secret, &[]).map(Self).map_err(|_| PyValueError::new_err("a salt is not empty"))
    }

    fn place(&self, unit_key: &[u8]) -> u64 {
        u64::from_be_bytes(self.0.digest(&[unit_key]))
    }

    fn __repr__(&self) -> &'static str {
        "Salt(****)"
    }
}
