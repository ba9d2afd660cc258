//! Velocity counts in memory: the twin of `EmbeddedVelocity` (gateway/backends/embedded/velocity.py), whose
//! docstring says what is counted and what is forgotten. Same counts for the same calls, and the same snapshot
//! to the byte.
//!
//! A snapshot shares slabs through `Arc`: freezing copies nothing, a slab is copied when it is next written.
pub mod counted;
pub mod frozen;
pub mod keys;
pub mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::velocity::counted::Counted;
use crate::velocity::frozen::{Frozen, ROW_BYTES};
use crate::velocity::keys::{Places, SLOTS_MAX};
use crate::velocity::record::{Counts, EMPTY, Record, count};
use crate::bytes::wire::{Fields, Value};

const MINUTE_MS: i64 = 60_000;
const SHORT_MASK: u64 = (1 << 60) - 1;
/// In place of a key where there is none: keys are 60 bits.
const NONE: u64 = u64::MAX;
/// Of storage.v1.Evaluation.
const INITIATED_AT_MS: usize = 10;
const VELOCITY_KEYS: usize = 21;
const SLAB_SHIFT: u32 = 6;
pub const SLAB_ROWS: usize = 1 << SLAB_SHIFT;

/// A key and its counts, beside each other: who finds the one needs the other.
#[derive(Clone, Copy)]
pub struct Row {
    pub key: u64,
    pub record: Record,
}

/// 64 rows, 10 KiB: copied in less than a microsecond when a snapshot needs the old ones.
pub type Slab = [Row; SLAB_ROWS];

#[pyclass(module = "ein_native")]
pub struct Velocity {
    max_keys: usize,
    places: Places,
    slabs: Vec<Arc<Slab>>,
    /// Rows in use: from the first, without a gap.
    keys: u32,
    /// Which row is looked at next when one has to be forgotten.
    hand: u32,
    /// A bit a row: touched again since it came or the hand was there.
    touched: Vec<u64>,
    ready: bool,
    /// Whether the last snapshot is written.
    held: Option<Arc<AtomicBool>>,
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
        if max_keys > SLOTS_MAX {
            return Err(PyValueError::new_err("max_keys must be below 2^26"));
        }
        Ok(Self {
            max_keys,
            places: Places::new(max_keys),
            slabs: Vec::new(),
            keys: 0,
            hand: 0,
            touched: vec![0; max_keys.div_ceil(SLAB_ROWS)],
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

    fn __len__(&self) -> usize {
        self.keys as usize
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
        let answers = PyList::empty(py);
        for item in batch.try_iter()? {
            let item = item?;
            let pair = item.cast::<PyTuple>()?;
            if pair.len() != 2 {
                return Err(PyTypeError::new_err("an attempt is (payment_time_ms, keys)"));
            }
            let minute = minute_of(&*pair.get_borrowed_item(0)?)?;
            self.take_in(&*pair.get_borrowed_item(1)?)?;
            answers.append(Bound::new(py, self.touch_keys(minute))?)?;
        }
        Ok(answers)
    }

    /// Counts an attempt read back from the journal.
    fn replay(&mut self, keys: &Bound<'_, PyAny>, payment_time_ms: &Bound<'_, PyAny>) -> PyResult<()> {
        let minute = minute_of(payment_time_ms)?;
        self.take_in(keys)?;
        for place in 0..self.shorts.len() {
            self.count(place, minute);
        }
        Ok(())
    }

    /// Counts the attempts of journal records (storage.v1.Evaluation), up to the first that is unusual on the wire:
    /// the number of those counted.
    fn replay_records(&mut self, records: &Bound<'_, PyList>) -> PyResult<usize> {
        for (number, record) in records.iter().enumerate() {
            let Some(minute) = self.take_in_record(record.cast::<PyBytes>()?.as_bytes()) else {
                return Ok(number);
            };
            for place in 0..self.shorts.len() {
                self.count(place, minute);
            }
        }
        Ok(records.len())
    }

    /// The state as it is now; None while an earlier one is still being written.
    fn freeze(&mut self) -> Option<Frozen> {
        if self.held.as_ref().is_some_and(|released| !released.load(Ordering::Acquire)) {
            return None;
        }
        let released = Arc::new(AtomicBool::new(false));
        self.held = Some(released.clone());
        Some(Frozen::new(&self.slabs, self.keys as usize, self.hand, released))
    }

    /// Forgets all, before the rows of a snapshot come.
    fn clear(&mut self) {
        self.places = Places::new(self.max_keys);
        self.touched.fill(0);
        (self.slabs, self.keys, self.hand, self.held) = (Vec::new(), 0, 0, None);
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
            for (unit, two) in self.row(slot).record.iter_mut().zip(units.as_chunks::<2>().0) {
                *unit = u16::from_ne_bytes(*two);
            }
        }
        Ok(())
    }

    /// Where the hand stood, once all rows are taken up.
    fn set_hand(&mut self, hand: u32) {
        self.hand = if hand < self.keys { hand } else { 0 };
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

    /// The keys of a recorded attempt; its minute.
    fn take_in_record(&mut self, record: &[u8]) -> Option<u32> {
        self.shorts.clear();
        let mut time_ms = 0;
        for field in Fields::of(record) {
            match field.ok()? {
                (INITIATED_AT_MS, Value::Varint(number)) => time_ms = number as i64,
                (VELOCITY_KEYS, Value::Bytes(key)) => self.shorts.push(short_or_none(key)),
                _ => {}
            }
        }
        Some(minute(time_ms))
    }

    /// One answer: counts by key, None where there is no key.
    fn touch_keys(&mut self, minute: u32) -> Counted {
        Counted::new((0..self.shorts.len()).map(|place| self.count(place, minute)).collect())
    }

    /// Counts under the key at one place of the attempt in hand.
    fn count(&mut self, place: usize, minute: u32) -> Option<Counts> {
        let short = self.shorts[place];
        if short == NONE {
            return None;
        }
        let other = self.others.get(place).copied().flatten();
        let other = other.and_then(|other| self.shorts.get(other)).map_or(0, |&other| hash_of(other));
        let slot = match self.places.find(short, |slot| row_of(&self.slabs, slot).key) {
            Some(slot) => {
                self.touched[(slot >> SLAB_SHIFT) as usize] |= 1 << (slot as usize % SLAB_ROWS);
                slot
            }
            None => self.admit(short),
        };
        Some(count(&mut self.row(slot).record, minute, other))
    }

    /// The row, its slab copied first where a snapshot still holds it.
    fn row(&mut self, slot: u32) -> &mut Row {
        let slab = &mut self.slabs[(slot >> SLAB_SHIFT) as usize];
        &mut Arc::make_mut(slab)[slot as usize % SLAB_ROWS]
    }

    /// Slot of a key that is not here.
    fn admit(&mut self, short: u64) -> u32 {
        let slot = if (self.keys as usize) < self.max_keys { self.new_slot() } else { self.forget() };
        *self.row(slot) = Row { key: short, record: EMPTY };
        self.places.insert(short, slot);
        slot
    }

    fn new_slot(&mut self) -> u32 {
        let slot = self.keys;
        if (slot >> SLAB_SHIFT) as usize == self.slabs.len() {
            self.slabs.push(Arc::new([Row { key: 0, record: EMPTY }; SLAB_ROWS]));
        }
        self.keys += 1;
        slot
    }

    /// Takes the first key from the hand on that was not touched since the hand was there.
    fn forget(&mut self) -> u32 {
        loop {
            let (slot, word) = (self.hand, (self.hand >> SLAB_SHIFT) as usize);
            let bit = 1 << (slot as usize % SLAB_ROWS);
            let passed = if self.touched[word] == u64::MAX && bit == 1 {
                self.touched[word] = 0;
                SLAB_ROWS as u32 // a whole word of them at once: going round is never a pause
            } else if self.touched[word] & bit != 0 {
                self.touched[word] &= !bit;
                1
            } else {
                let key = row_of(&self.slabs, slot).key;
                self.places.remove(key, slot, |slot| row_of(&self.slabs, slot).key);
                self.hand = (slot + 1) % self.keys;
                return slot;
            };
            self.hand = (slot + passed) % self.keys;
        }
    }
}

fn row_of(slabs: &[Arc<Slab>], slot: u32) -> &Row {
    &slabs[(slot >> SLAB_SHIFT) as usize][slot as usize % SLAB_ROWS]
}

fn short_of(key: &Bound<'_, PyAny>) -> PyResult<u64> {
    if key.is_none() {
        return Ok(NONE);
    }
    Ok(short_or_none(key.cast::<PyBytes>()?.as_bytes()))
}

fn short_or_none(key: &[u8]) -> u64 {
    if key.is_empty() { NONE } else { short(key) }
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
    Ok(minute(ms))
}

fn minute(ms: i64) -> u32 {
    ms.div_euclid(MINUTE_MS).clamp(0, i64::from(u32::MAX)) as u32
}
