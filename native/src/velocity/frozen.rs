//! The state of the velocity store at one moment, given out piece by piece to the thread that writes it.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::velocity::{SLAB_ROWS, Slab};
use crate::velocity::record::UNITS;

/// A key (8 bytes) and its record.
pub const ROW_BYTES: usize = 8 + 2 * UNITS;

/// 84 KiB of rows: as long as they are copied the interpreter is held, some 20 microseconds.
const SLABS_AT_ONCE: usize = 8;

#[pyclass(module = "ein_native")]
pub struct Frozen {
    slabs: Vec<Arc<Slab>>,
    /// Rows that were not given out yet.
    rows: usize,
    keys: usize,
    hand: u32,
    released: Arc<AtomicBool>,
}

#[pymethods]
impl Frozen {
    #[getter]
    fn released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// Keys, and where the hand stands.
    fn sizes(&self) -> (usize, u32) {
        (self.keys, self.hand)
    }

    /// The next rows of the body; empty behind the last. What is given out is held no more.
    fn next_piece<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let slabs = self.slabs.split_off(self.slabs.len().saturating_sub(SLABS_AT_ONCE));
        let rows = self.rows.min(slabs.len() * SLAB_ROWS);
        self.rows -= rows;
        PyBytes::new_with(py, rows * ROW_BYTES, |bytes| {
            let held = slabs.iter().rev().flat_map(|slab| slab.iter());
            for (bytes, row) in bytes.as_chunks_mut::<ROW_BYTES>().0.iter_mut().zip(held) {
                let (key, units) = bytes.split_at_mut(8);
                key.copy_from_slice(&row.key.to_ne_bytes());
                for (two, unit) in units.as_chunks_mut().0.iter_mut().zip(&row.record) {
                    *two = unit.to_ne_bytes();
                }
            }
            Ok(())
        })
    }

    /// Gives back what is still held.
    fn release(&mut self) {
        (self.slabs, self.rows) = (Vec::new(), 0);
        self.released.store(true, Ordering::Release);
    }

    fn __repr__(&self) -> &'static str {
        "Frozen(****)"
    }
}

impl Frozen {
    pub fn new(slabs: &[Arc<Slab>], keys: usize, hand: u32, released: Arc<AtomicBool>) -> Self {
        // Backwards: what is given out is taken off the end.
        Self { slabs: slabs.iter().rev().cloned().collect(), rows: keys, keys, hand, released }
    }
}
