//! The state of the velocity store at one moment, given out piece by piece to the thread that writes it.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::velocity::{SLAB_RECORDS, SLAB_SHIFT, Slab};
use crate::velocity_keys::{Entry, Keys};
use crate::velocity_record::{Record, UNITS};

/// A key (8 bytes) and its record.
pub const ROW_BYTES: usize = 8 + 2 * UNITS;

/// 84 KiB of rows: as long as they are gathered the interpreter is held, some 50 microseconds.
const ROWS_AT_ONCE: usize = 512;

#[pyclass(module = "ein_native")]
pub struct Frozen {
    generations: Option<[Arc<Keys>; 2]>,
    slabs: Vec<Arc<Slab>>,
    released: Arc<AtomicBool>,
}

#[pymethods]
impl Frozen {
    #[getter]
    fn released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// Keys of the old generation, keys of the young.
    fn sizes(&self) -> (usize, usize) {
        self.generations.as_ref().map_or((0, 0), |[old, young]| (old.len(), young.len()))
    }

    /// The body of a snapshot is rows, old before young, in so many pieces.
    fn pieces(&self) -> usize {
        self.runs().count()
    }

    /// One piece of the body, from 0; empty beyond the last.
    fn piece<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Bound<'py, PyBytes>> {
        let run = self.runs().nth(number).unwrap_or_default();
        // Keys that were taken out since have no row.
        let rows = run.iter().filter(|entry| entry.is_live());
        PyBytes::new_with(py, rows.clone().count() * ROW_BYTES, |bytes| {
            for (row, entry) in bytes.as_chunks_mut::<ROW_BYTES>().0.iter_mut().zip(rows) {
                let (key, units) = row.split_at_mut(8);
                key.copy_from_slice(&entry.key().to_ne_bytes());
                for (two, unit) in units.as_chunks_mut().0.iter_mut().zip(self.record(entry.slot)) {
                    *two = unit.to_ne_bytes();
                }
            }
            Ok(())
        })
    }

    /// Gives back what is held.
    fn release(&mut self, py: Python<'_>) {
        let held = (self.generations.take(), std::mem::take(&mut self.slabs));
        py.detach(|| drop(held));
        // Last: the store takes the generations back as its own once it sees this.
        self.released.store(true, Ordering::Release);
    }

    fn __repr__(&self) -> &'static str {
        "Frozen(****)"
    }
}

impl Frozen {
    pub fn new(old: Arc<Keys>, young: Arc<Keys>, slabs: Vec<Arc<Slab>>, released: Arc<AtomicBool>) -> Self {
        Self { generations: Some([old, young]), slabs, released }
    }

    fn runs(&self) -> impl Iterator<Item = &[Entry]> {
        let both = self.generations.iter().flatten();
        both.flat_map(|one| one.entries().chunks(ROWS_AT_ONCE))
    }

    fn record(&self, slot: u32) -> &Record {
        &self.slabs[(slot >> SLAB_SHIFT) as usize][slot as usize % SLAB_RECORDS]
    }
}
