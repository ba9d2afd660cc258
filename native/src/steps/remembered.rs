//! What was asked in the last minutes: the twin of `TwinRecent` (gateway/sharing/remembered.py), whose docstrings
//! say what is kept and for how long. Same answers for the same keys; the keys are this process's own, since both
//! twins hash with a secret seed, so that nobody can choose ids that push out those of others.
use std::hash::{BuildHasher, RandomState};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::member;

/// Slots looked at for one key; the twin says why eight.
const PROBES: u64 = 8;
/// Answers that the ring can find.
const RING_ANSWERS: usize = 1 << 16;
/// 1.5 GiB of slots, 1 GiB of answers: more is a mistake, and a start of an answer must fit into 32 bits.
const SLOTS_MAX: usize = 1 << 26;
const RING_BYTES_MAX: usize = 1 << 30;
/// Position 8, digest 16, size 4, CRC 4: in front of each answer, so that one look at memory finds both.
const HEADER_BYTES: usize = 32;
const DIGEST_BYTES: usize = 16;
const NOWHERE: u32 = u32::MAX;

/// `Recent(slots, ring_bytes)`: where the requests and attempts of the last minutes stand, and the last answers.
#[pyclass(module = "ein_native")]
pub struct Recent {
    seed: RandomState,
    positions: Positions,
    ring: Ring,
}

#[pymethods]
impl Recent {
    #[new]
    fn new(slots: usize, ring_bytes: usize) -> PyResult<Self> {
        if !slots.is_power_of_two() || slots > SLOTS_MAX {
            return Err(PyValueError::new_err("slots must be a power of two, at most 2^26"));
        }
        if ring_bytes > RING_BYTES_MAX {
            return Err(PyValueError::new_err("ring_bytes must be at most 2^30"));
        }
        let seed = RandomState::new();
        Ok(Self { seed, positions: Positions::new(slots), ring: Ring::new(ring_bytes) })
    }

    /// Key of the request, key of the attempt, where the request stands, whether the attempt was seen.
    fn look(
        &self,
        sender_id: &str,
        payment_intent_id: &str,
        attempt_no: i64,
        request_id: &str,
        since_ms: i64,
    ) -> (u64, u64, Option<i64>, bool) {
        let (request, attempt) = self.keys(sender_id, payment_intent_id, attempt_no, request_id);
        let seen = self.positions.get(attempt, since_ms).is_some();
        (request, attempt, self.positions.get(request, since_ms), seen)
    }

    fn position(&self, key: u64, since_ms: i64) -> Option<i64> {
        self.positions.get(key, since_ms)
    }

    /// Of each: request key, attempt key, position, digest, answer.
    fn recorded_all(&mut self, at_ms: i64, works: &Bound<'_, PyList>) -> PyResult<()> {
        for work in works {
            let (request, attempt, position, digest, answer): (u64, u64, i64, &[u8], &[u8]) =
                work.extract()?;
            self.positions.put(request, position, at_ms);
            self.positions.put(attempt, position, at_ms);
            self.ring.put(position, digest, answer);
        }
        Ok(())
    }

    /// The same of works of a batch, and where the record of each stands.
    fn recorded_works(
        &mut self,
        at_ms: i64,
        works: &Bound<'_, PyList>,
        positions: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if positions.len()? != works.len() {
            return Err(PyValueError::new_err("as many positions as works"));
        }
        for (at, work) in works.iter().enumerate() {
            let position = positions.get_item(at)?.extract()?;
            self.positions.put(member!(work, "request_key")?.extract()?, position, at_ms);
            self.positions.put(member!(work, "attempt_key")?.extract()?, position, at_ms);
            let (digest, answer) = (member!(work, "digest")?, member!(work, "answer")?);
            let (digest, answer) = (digest.cast::<PyBytes>()?, answer.cast::<PyBytes>()?);
            self.ring.put(position, digest.as_bytes(), answer.as_bytes());
        }
        Ok(())
    }

    /// Digest and answer recorded at `position`, while the ring has them.
    fn answer<'py>(
        &self,
        py: Python<'py>,
        position: i64,
    ) -> Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let (digest, answer) = self.ring.get(position)?;
        Some((PyBytes::new(py, digest), PyBytes::new(py, answer)))
    }
}

impl Recent {
    /// Of a request and of its attempt.
    pub fn keys(&self, sender_id: &str, payment_intent_id: &str, attempt_no: i64, request_id: &str) -> (u64, u64) {
        // 0 marks a free slot. Texts end with a byte that no text holds, so that no two pairs hash as one.
        let request = self.seed.hash_one((sender_id, request_id)).max(1);
        (request, self.seed.hash_one((sender_id, payment_intent_id, attempt_no)).max(1))
    }

    pub fn is_known(&self, key: u64, since_ms: i64) -> bool {
        self.positions.get(key, since_ms).is_some()
    }
}

/// Key, position and time side by side: nearly always one cache line, where the twin's three arrays are three.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u64,
    position: i64,
    at_ms: i64,
}

struct Positions {
    slots: Vec<Slot>,
    mask: u64,
}

impl Positions {
    /// For a power of two of slots, so that a mask finds the slot.
    fn new(slots: usize) -> Self {
        Self { slots: vec![Slot::default(); slots], mask: slots as u64 - 1 }
    }

    fn place(&self, key: u64, probe: u64) -> usize {
        (key.wrapping_add(probe) & self.mask) as usize
    }

    fn get(&self, key: u64, since_ms: i64) -> Option<i64> {
        for probe in 0..PROBES {
            let slot = &self.slots[self.place(key, probe)];
            if slot.key == 0 {
                return None; // nearly always at once: hardly anything is asked twice
            }
            if slot.key == key {
                return (slot.at_ms >= since_ms).then_some(slot.position);
            }
        }
        None
    }

    /// In place of the oldest neighbour where all slots are taken.
    fn put(&mut self, key: u64, position: i64, at_ms: i64) {
        let mut chosen = self.place(key, 0);
        for probe in 0..PROBES {
            let place = self.place(key, probe);
            let slot = &self.slots[place];
            if slot.key == 0 || slot.key == key {
                chosen = place;
                break;
            }
            if slot.at_ms < self.slots[chosen].at_ms {
                chosen = place;
            }
        }
        self.slots[chosen] = Slot { key, position, at_ms };
    }
}

/// The last answers in one block of bytes. What is overwritten is seen by its CRC.
struct Ring {
    block: Vec<u8>,
    /// Where an answer may start, by the low bits of its position.
    starts: Vec<u32>,
    end: usize,
}

impl Ring {
    fn new(size: usize) -> Self {
        Self { block: vec![0; size], starts: vec![NOWHERE; RING_ANSWERS], end: 0 }
    }

    fn put(&mut self, position: i64, digest: &[u8], answer: &[u8]) {
        let size = HEADER_BYTES + answer.len();
        if size > self.block.len() {
            return;
        }
        let start = if self.end + size > self.block.len() { 0 } else { self.end };
        let Some((header, body)) = self.block[start..start + size].split_first_chunk_mut::<HEADER_BYTES>()
        else {
            return;
        };
        *header = header_of(position, digest, answer);
        body.copy_from_slice(answer);
        self.starts[low_bits(position)] = start as u32; // the block has at most 2^30 bytes
        self.end = start + size;
    }

    /// The digest and the answer.
    fn get(&self, position: i64) -> Option<(&[u8], &[u8])> {
        let start = self.starts[low_bits(position)] as usize;
        let (header, rest) = self.block.get(start..)?.split_first_chunk::<HEADER_BYTES>()?;
        let size = header[24..28].iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let answer = rest.get(..size)?;
        let digest = &header[8..8 + DIGEST_BYTES];
        (*header == header_of(position, digest, answer)).then_some((digest, answer))
    }
}

/// A digest of another length is cut or filled with zeros, as the twin's `16s` does.
fn header_of(position: i64, digest: &[u8], answer: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&position.to_le_bytes());
    for (to, from) in header[8..8 + DIGEST_BYTES].iter_mut().zip(digest) {
        *to = *from;
    }
    header[24..28].copy_from_slice(&(answer.len() as u32).to_le_bytes());
    header[28..].copy_from_slice(&crc32fast::hash(answer).to_le_bytes());
    header
}

fn low_bits(position: i64) -> usize {
    (position as u64 % RING_ANSWERS as u64) as usize
}
