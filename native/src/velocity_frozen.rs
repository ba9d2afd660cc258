//! The state of the velocity store at one moment, given out piece by piece to the thread that writes it.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::velocity::Slab;
use crate::velocity_keys::{Entry, Keys};

/// 32 KiB of keys: as long as a slab holds the interpreter, some microseconds.
const ENTRIES_AT_ONCE: usize = 4096;

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

    /// Slabs, keys of the old generation, keys of the young.
    fn sizes(&self) -> (usize, usize, usize) {
        let [old, young] =
            self.generations.as_ref().map_or([0, 0], |both| both.each_ref().map(|one| one.len()));
        (self.slabs.len(), old, young)
    }

    /// The body of a snapshot: slabs, keys (8 bytes each, old before young), their slots (4 bytes each).
    fn pieces(&self) -> usize {
        self.slabs.len() + 2 * self.runs().count()
    }

    /// One piece of the body, from 0; empty beyond the last.
    fn piece<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Bound<'py, PyBytes>> {
        if let Some(slab) = self.slabs.get(number) {
            return PyBytes::new_with(py, size_of::<Slab>(), |bytes| {
                for (two, unit) in bytes.as_chunks_mut().0.iter_mut().zip(slab.as_flattened()) {
                    *two = unit.to_ne_bytes();
                }
                Ok(())
            });
        }
        let (number, runs) = (number - self.slabs.len(), self.runs().count());
        let mut bytes = Vec::with_capacity(ENTRIES_AT_ONCE * size_of::<u64>());
        if number < runs {
            self.live(number).for_each(|entry| bytes.extend_from_slice(&entry.key.to_ne_bytes()));
        } else {
            self.live(number - runs).for_each(|entry| bytes.extend_from_slice(&entry.slot.to_ne_bytes()));
        }
        Ok(PyBytes::new(py, &bytes))
    }

    /// Gives back what is held.
    fn release(&mut self) {
        self.generations = None;
        self.slabs = Vec::new();
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
        both.flat_map(|one| one.entries().chunks(ENTRIES_AT_ONCE))
    }

    /// Keys of one run that were not taken out since.
    fn live(&self, run: usize) -> impl Iterator<Item = &Entry> {
        self.runs().nth(run).unwrap_or_default().iter().filter(|entry| entry.is_live())
    }
}
