//! Rows by party, in bytes: what each said, and its id. The store of `Registered`.
//!
//! A party is found by a hash, and then compared id by id: two that collide never get each other's consent.
use std::hash::{BuildHasher, Hasher, RandomState};

/// Each grows alone, in some microseconds where there are a million rows.
const SHARDS: usize = 1024;
const SHARD_SLOTS_FIRST: usize = 8;
/// Rows stand in pieces of 256 KiB, none of which ever moves; 2^14 of them, but for one, are 4 GiB.
const PIECE_SHIFT: u32 = 18;
const PIECE_BYTES: usize = 1 << PIECE_SHIFT;
const PIECES_MAX: usize = (1 << (32 - PIECE_SHIFT)) - 1;
/// A row: from, until, terms, tier, party, length of the id, then the id.
const HEAD_BYTES: usize = 8 + 8 + 4 + 1 + 1 + 2;
const FREE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    at: u32,
}

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

/// What one party said. `terms` is a place among the versions of terms.
#[derive(Clone, Copy)]
pub struct Said {
    pub tier: u8,
    pub terms: u32,
    pub from_ms: i64,
    pub until_ms: i64,
}

pub struct Rows {
    hashes: RandomState,
    shards: Vec<Shard>,
    pieces: Vec<Box<[u8]>>,
    filled: usize,
    pub count: usize,
}

impl Default for Rows {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        Self { hashes: RandomState::new(), shards, pieces: Vec::new(), filled: PIECE_BYTES, count: 0 }
    }
}

impl Rows {
    fn hash(&self, party: u8, party_id: &str) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write_u8(party);
        hasher.write(party_id.as_bytes());
        hasher.finish()
    }

    fn row(&self, at: u32) -> &[u8] {
        &self.pieces[(at >> PIECE_SHIFT) as usize][at as usize & (PIECE_BYTES - 1)..]
    }

    /// Where the party's row stands.
    fn find(&self, hash: u64, party: u8, party_id: &str) -> Option<u32> {
        let slots = &self.shards[shard_of(hash)].slots;
        if slots.is_empty() {
            return None;
        }
        let (tag, last) = (hash as u32, slots.len() - 1);
        let mut index = tag as usize & last;
        loop {
            let slot = slots[index];
            if slot.at == FREE {
                return None;
            }
            if slot.tag == tag {
                let row = self.row(slot.at);
                if row[21] == party && &row[HEAD_BYTES..HEAD_BYTES + length_of(row)] == party_id.as_bytes() {
                    return Some(slot.at);
                }
            }
            index = (index + 1) & last;
        }
    }

    pub fn get(&self, party: u8, party_id: &str) -> Option<Said> {
        if self.count == 0 {
            return None;
        }
        let row = self.row(self.find(self.hash(party, party_id), party, party_id)?);
        Said::read(row)
    }

    pub fn put(&mut self, party: u8, party_id: &str, said: Said) -> Result<(), Full> {
        let hash = self.hash(party, party_id);
        let at = match self.find(hash, party, party_id) {
            Some(at) => at,
            None => self.add(hash, party, party_id)?,
        };
        let row = &mut self.pieces[(at >> PIECE_SHIFT) as usize][at as usize & (PIECE_BYTES - 1)..];
        row[..8].copy_from_slice(&said.from_ms.to_le_bytes());
        row[8..16].copy_from_slice(&said.until_ms.to_le_bytes());
        row[16..20].copy_from_slice(&said.terms.to_le_bytes());
        row[20] = said.tier;
        Ok(())
    }

    /// The row at a place, and the place of the one behind it. None behind the last.
    pub fn walk(&self, mut at: u32) -> Option<(u8, &str, Said, u32)> {
        loop {
            let piece = self.pieces.get((at >> PIECE_SHIFT) as usize)?;
            let row = &piece[at as usize & (PIECE_BYTES - 1)..];
            let length = if row.len() < HEAD_BYTES { 0 } else { length_of(row) };
            if length != 0 {
                let id = std::str::from_utf8(&row[HEAD_BYTES..HEAD_BYTES + length]).ok()?;
                // A row that fills its piece to the end has its successor in the next one.
                return Some((row[21], id, Said::read(row)?, at + (HEAD_BYTES + length) as u32));
            }
            at = ((at >> PIECE_SHIFT) + 1).checked_mul(1 << PIECE_SHIFT)?;
        }
    }

    /// Room for a party that is new, with its id.
    fn add(&mut self, hash: u64, party: u8, party_id: &str) -> Result<u32, Full> {
        let id = party_id.as_bytes();
        let length = u16::try_from(id.len()).map_err(|_| Full)?;
        if self.filled + HEAD_BYTES + id.len() > PIECE_BYTES {
            if self.pieces.len() == PIECES_MAX || HEAD_BYTES + id.len() > PIECE_BYTES {
                return Err(Full);
            }
            self.pieces.push(vec![0; PIECE_BYTES].into_boxed_slice());
            self.filled = 0;
        }
        let start = self.filled;
        let at = ((self.pieces.len() - 1) as u32) << PIECE_SHIFT | start as u32;
        self.filled += HEAD_BYTES + id.len();
        let row = &mut self.pieces.last_mut().ok_or(Full)?[start..];
        row[21] = party;
        row[22..24].copy_from_slice(&length.to_le_bytes());
        row[HEAD_BYTES..HEAD_BYTES + id.len()].copy_from_slice(id);
        self.shards[shard_of(hash)].add(Slot { tag: hash as u32, at });
        self.count += 1;
        Ok(at)
    }
}

fn length_of(row: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([row[22], row[23]]))
}

impl Said {
    fn read(row: &[u8]) -> Option<Self> {
        Some(Self {
            from_ms: i64::from_le_bytes(row[..8].try_into().ok()?),
            until_ms: i64::from_le_bytes(row[8..16].try_into().ok()?),
            terms: u32::from_le_bytes(row[16..20].try_into().ok()?),
            tier: row[20],
        })
    }
}

/// No more room: 4 GiB of rows, or an id that is longer than any.
pub struct Full;

impl Shard {
    /// Three quarters full at most, so that a look-up ends.
    fn add(&mut self, slot: Slot) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let doubled = (self.slots.len() * 2).max(SHARD_SLOTS_FIRST);
            let old = std::mem::replace(&mut self.slots, vec![Slot { tag: 0, at: FREE }; doubled]);
            old.into_iter().filter(|slot| slot.at != FREE).for_each(|slot| self.place(slot));
        }
        self.place(slot);
        self.used += 1;
    }

    fn place(&mut self, slot: Slot) {
        let last = self.slots.len() - 1;
        let mut index = slot.tag as usize & last;
        while self.slots[index].at != FREE {
            index = (index + 1) & last;
        }
        self.slots[index] = slot;
    }
}

/// By bits that the tag does not have.
fn shard_of(hash: u64) -> usize {
    (hash >> 54) as usize % SHARDS
}
