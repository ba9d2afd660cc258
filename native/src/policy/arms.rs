//! A unit's arm by its place under a salt: the twin of `TwinLine` in gateway/programs/arms.py.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::sealing::mac_keyed::Keyed;

/// `Line(salt, treated_below, held_out_from, (treatment, holdout, pending))`; `draw(unit_key)` is one of the three.
#[pyclass(frozen, module = "ein_native")]
pub struct Line {
    salt: Keyed<8>,
    /// Wider than a place: behind the last one is a cut too.
    treated_below: u128,
    held_out_from: u128,
    treatment: Py<PyAny>,
    holdout: Py<PyAny>,
    pending: Py<PyAny>,
}

#[pymethods]
impl Line {
    #[new]
    fn new(
        salt: &[u8],
        treated_below: u128,
        held_out_from: u128,
        arms: (Py<PyAny>, Py<PyAny>, Py<PyAny>),
    ) -> PyResult<Self> {
        let salt = Keyed::new(salt, &[]).map_err(|_| PyValueError::new_err("a salt is not empty"))?;
        let (treatment, holdout, pending) = arms;
        Ok(Self { salt, treated_below, held_out_from, treatment, holdout, pending })
    }

    fn place(&self, unit_key: &[u8]) -> u64 {
        u64::from_be_bytes(self.salt.digest(&[unit_key]))
    }

    fn draw(&self, py: Python<'_>, unit_key: &[u8]) -> Py<PyAny> {
        self.arm_of(unit_key).clone_ref(py)
    }

    fn __repr__(&self) -> &'static str {
        "Line(****)"
    }
}

impl Line {
    fn arm(&self, place: u128) -> &Py<PyAny> {
        if place >= self.held_out_from {
            &self.holdout
        } else if place < self.treated_below {
            &self.treatment
        } else {
            &self.pending
        }
    }

    pub fn arm_of(&self, unit_key: &[u8]) -> &Py<PyAny> {
        self.arm(u128::from(self.place(unit_key)))
    }
}
