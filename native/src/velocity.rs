//! Velocity counts in memory: the twin of `EmbeddedVelocity` (gateway/backends/embedded/velocity.py), whose
//! docstring says what is counted. Same counts for the same calls, and the same snapshot to the byte.
//!
//! A snapshot shares slabs and generations through `Arc`: freezing copies nothing, a slab is copied when it
//! is next written, and the generations stand still until the snapshot is released.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::velocity_frozen::{Frozen, ROW_BYTES};
use crate::velocity_keys::{Dying, Keys};
use crate::velocity_record::{Counts, EMPTY, Record, count};

const MINUTE_MS: i64 = 60_000;
const SHORT_MASK: u64 = (1 << 60) - 1;
/// In place of a key where there is none: keys are 60 bits.
const NONE: u64 = u64::MAX;
pub const SLAB_SHIFT: u32 = 6;
pub const SLAB_RECORDS: usize = 1 << SLAB_SHIFT;
/// 12 GiB of counts: a larger number is a mistake, and slots are 32 bits.
const KEYS_MAX: usize = 1 << 26;

/// 64 records, 10 KiB: copied in less than a microsecond when a snapshot needs the old one.
pub type Slab = [Record; SLAB_RECORDS];

/// While a snapshot is written, keys new to the young generation go over both.
struct Held {
    released: Arc<AtomicBool>,
    over: Keys,
}

#[pyclass(module = "ein_native")]
pub struct Velocity {
    half: usize,
    young: Arc<Keys>,
    old: Arc<Keys>,
    dying: Vec<Dying>,
    slabs: Vec<Arc<Slab>>,
    slots: u32,
    ready: bool,
    held: Option<Held>,
    /// By place in an attempt: the place of the key whose different ones are counted; none beyond.
    others: Vec<Option<usize>>,
    /// The keys of the attempt in hand, kept for its room.
    shorts: Vec<u64>,
}

#[pymethods]
impl Velocity {
    #[new]
    fn new(max_keys: usize, others: Vec<Option<usize>>) -> PyResult<Self> {
        if max_keys < 2 {
            return Err(PyValueError::new_err("max_keys must be at least 2"));
        }
        if max_keys > KEYS_MAX {
            return Err(PyValueError::new_err("max_keys must be at most 2^26"));
        }
        let half = max_keys / 2;
        Ok(Self {
            half,
            young: Arc::new(Keys::new(half)),
            old: Arc::new(Keys::new(half)),
            dying: Vec::new(),
            slabs: Vec::new(),
            slots: 0,
            ready: false,
            held: None,
            others,
            shorts: Vec::new(),
        })
    }

    #[getter]
    fn ready(&self) -> bool {
        self.ready
    }

    fn caught_up(&mut self) {
        self.ready = true;
    }

    /// Records ever made: the measure of memory.
    #[getter]
    fn slots(&self) -> u32 {
        self.slots
    }

    fn __len__(&self) -> usize {
        let over = self.held.as_ref().map_or(0, |held| {
            let entries = held.over.entries().iter();
            entries.filter(|entry| self.old.get(entry.key()).is_none()).count()
        });
        self.young.len() + self.old.len() + over
    }

    fn __repr__(&self) -> &'static str {
        "Velocity(****)"
    }

    /// Counts `[(payment_time_ms, keys), ...]`; see `EmbeddedVelocity.touch`.
    fn touch<'py>(&mut self, batch: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = batch.py();
        if !self.ready {
            return PyList::new(py, (0..batch.len()?).map(|_| py.None()));
        }
        self.thaw_if_released();
        let answers = PyList::empty(py);
        for item in batch.try_iter()? {
            let item = item?;
            let pair = item.cast::<PyTuple>()?;
            if pair.len() != 2 {
                return Err(PyTypeError::new_err("an attempt is (payment_time_ms, keys)"));
            }
            let minute = minute_of(&*pair.get_borrowed_item(0)?)?;
            self.take_in(&*pair.get_borrowed_item(1)?)?;
            answers.append(self.touch_keys(py, minute)?)?;
        }
        Ok(answers)
    }

    /// Counts an attempt read back from the journal.
    fn replay(&mut self, keys: &Bound<'_, PyAny>, payment_time_ms: &Bound<'_, PyAny>) -> PyResult<()> {
        self.thaw_if_released();
        let minute = minute_of(payment_time_ms)?;
        self.take_in(keys)?;
        for place in 0..self.shorts.len() {
            self.count(place, minute);
        }
        Ok(())
    }

    /// The state as it is now; None while an earlier one is still being written.
    fn freeze(&mut self) -> Option<Frozen> {
        if let Some(held) = &self.held {
            if !held.released.load(Ordering::Acquire) {
                return None;
            }
            self.thaw();
        }
        let released = Arc::new(AtomicBool::new(false));
        self.held = Some(Held { released: released.clone(), over: Keys::new(self.half) });
        Some(Frozen::new(self.old.clone(), self.young.clone(), self.slabs.clone(), released))
    }

    /// Takes back what a released snapshot held, at once and not with the next attempt.
    fn thaw_if_released(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.released.load(Ordering::Acquire)) {
            self.thaw();
        }
    }

    /// Forgets all, before the rows of a snapshot come.
    fn clear(&mut self) {
        self.young = Arc::new(Keys::new(self.half));
        self.old = Arc::new(Keys::new(self.half));
        (self.dying, self.slabs, self.slots, self.held) = (Vec::new(), Vec::new(), 0, None);
    }

    /// Takes up rows of a snapshot whose sum was checked.
    fn load(&mut self, rows: &[u8]) -> PyResult<()> {
        let (rows, odd) = rows.as_chunks::<ROW_BYTES>();
        if !odd.is_empty() {
            return Err(PyValueError::new_err("a snapshot has other rows than it says"));
        }
        for row in rows {
            let Some((key, units)) = row.split_first_chunk() else { continue };
            let slot = self.admit(u64::from_ne_bytes(*key) & SHORT_MASK);
            for (unit, two) in self.record(slot).iter_mut().zip(units.as_chunks::<2>().0) {
                *unit = u16::from_ne_bytes(*two);
            }
        }
        Ok(())
    }
}

impl Velocity {
    /// The keys of one attempt. An empty key stands for none, as records have it.
    fn take_in(&mut self, keys: &Bound<'_, PyAny>) -> PyResult<()> {
        self.shorts.clear();
        if let Ok(keys) = keys.cast::<PyTuple>() {
            for key in keys.iter_borrowed() {
                self.shorts.push(short_of(&key)?);
            }
        } else {
            for key in keys.try_iter()? {
                self.shorts.push(short_of(&key?)?);
            }
        }
        Ok(())
    }

    /// One answer: counts by key, None where there is no key.
    fn touch_keys<'py>(&mut self, py: Python<'py>, minute: u32) -> PyResult<Bound<'py, PyTuple>> {
        let mut answers = Vec::with_capacity(self.shorts.len());
        for place in 0..self.shorts.len() {
            answers.push(match self.count(place, minute) {
                Some(counts) => Some(PyTuple::new(py, counts)?),
                None => None,
            });
        }
        PyTuple::new(py, answers)
    }

    /// Counts under the key at one place of the attempt in hand.
    fn count(&mut self, place: usize, minute: u32) -> Option<Counts> {
        let short = self.shorts[place];
        if short == NONE {
            return None;
        }
        let other = self.others.get(place).copied().flatten();
        let other = other.and_then(|other| self.shorts.get(other)).map_or(0, |&other| hash_of(other));
        let slot = match self.young.get(short) {
            Some(slot) => slot,
            None => self.admit(short),
        };
        Some(count(self.record(slot), minute, other))
    }

    /// The record, its slab copied first where a snapshot still holds it.
    fn record(&mut self, slot: u32) -> &mut Record {
        let slab = &mut self.slabs[(slot >> SLAB_SHIFT) as usize];
        &mut Arc::make_mut(slab)[slot as usize % SLAB_RECORDS]
    }

    /// Slot of a key that the young generation does not have.
    fn admit(&mut self, short: u64) -> u32 {
        if self.held.is_some() {
            return self.admit_over(short);
        }
        let known = Arc::make_mut(&mut self.old).remove(short);
        self.turn_if_full();
        let slot = known.unwrap_or_else(|| self.new_slot());
        Arc::make_mut(&mut self.young).insert(short, slot);
        slot
    }

    /// The same while a snapshot holds both generations.
    fn admit_over(&mut self, short: u64) -> u32 {
        if let Some(slot) = self.held.as_ref().and_then(|held| held.over.get(short)) {
            return slot;
        }
        let slot = self.old.get(short).unwrap_or_else(|| self.new_slot());
        if let Some(held) = &mut self.held {
            held.over.insert(short, slot);
            if held.over.len() >= self.half {
                // The writer hangs. Rather a pause than memory without a bound; what it holds stays its own.
                self.thaw();
            }
        }
        slot
    }

    /// Puts into the generations what came while a snapshot held them.
    fn thaw(&mut self) {
        let Some(held) = self.held.take() else { return };
        // Out of the old first: a turn on the way would give the record of a key that lives to another.
        let old = Arc::make_mut(&mut self.old);
        for entry in held.over.entries() {
            old.remove(entry.key());
        }
        for entry in held.over.entries() {
            self.turn_if_full();
            Arc::make_mut(&mut self.young).insert(entry.key(), entry.slot);
        }
    }

    /// The generation not touched since the last turn is forgotten; the young one is now the old.
    fn turn_if_full(&mut self) {
        if self.young.len() < self.half {
            return;
        }
        let young = std::mem::replace(&mut self.young, Arc::new(Keys::new(self.half)));
        let old = std::mem::replace(&mut self.old, young);
        if !old.is_empty() {
            self.dying.push(Arc::unwrap_or_clone(old).into_dying());
        }
    }

    /// An empty record; a forgotten one if there is any, so that forgetting is never a pause.
    fn new_slot(&mut self) -> u32 {
        while let Some(last) = self.dying.last_mut() {
            if let Some(slot) = last.pop() {
                *self.record(slot) = EMPTY;
                return slot;
            }
            self.dying.pop();
        }
        let slot = self.slots;
        if (slot >> SLAB_SHIFT) as usize == self.slabs.len() {
            self.slabs.push(Arc::new([EMPTY; SLAB_RECORDS]));
        }
        self.slots += 1;
        slot
    }
}

fn short_of(key: &Bound<'_, PyAny>) -> PyResult<u64> {
    if key.is_none() {
        return Ok(NONE);
    }
    let key = key.cast::<PyBytes>()?.as_bytes();
    Ok(if key.is_empty() { NONE } else { short(key) })
}

/// What a key is among the others of another key: 32 bits of it, none of which is 0.
fn hash_of(short: u64) -> u32 {
    if short == NONE { 0 } else { (short as u32).max(1) }
}

/// 60 bits of the MAC, as the twin keeps and stores them.
fn short(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_le_bytes(bytes) & SHORT_MASK
}

/// Minutes since the epoch, from 0 to 2^32 - 1 wherever the clock of a payment stands.
fn minute_of(time_ms: &Bound<'_, PyAny>) -> PyResult<u32> {
    let ms = match time_ms.extract::<i64>() {
        Ok(ms) => ms,
        Err(fault) if fault.is_instance_of::<PyOverflowError>(time_ms.py()) => {
            if time_ms.lt(0)? {
                i64::MIN
            } else {
                i64::MAX
            }
        }
        Err(fault) => return Err(fault),
    };
    Ok(ms.div_euclid(MINUTE_MS).clamp(0, i64::from(u32::MAX)) as u32)
}
