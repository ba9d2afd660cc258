//! Finds the slot of a key: a table of places over the rows, which have the keys themselves.

/// 2^64 over the golden ratio: spreads keys whose low bits are alike.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// A place has the slot plus one in its low bits, and above them six bits of the hash: nearly every row of
/// another key is passed without a look at it.
const SLOT_BITS: u32 = 26;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// What the slots of one table may be below.
pub const SLOTS_MAX: usize = SLOT_MASK as usize;

pub struct Places {
    /// 0 is free. Keys with one home stand behind it without a free place between.
    places: Vec<u32>,
    shift: u32,
}

impl Places {
    /// For at most `limit` keys. What is reserved here costs memory only once it is used.
    pub fn new(limit: usize) -> Self {
        // Full at two thirds.
        let places = (limit + limit / 2).next_power_of_two().max(4);
        Self { places: vec![0; places], shift: u64::BITS - places.trailing_zeros() }
    }

    pub fn find(&self, key: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        let (mut at, tag) = self.home(key);
        loop {
            let place = self.places[at];
            let slot = (place & SLOT_MASK).checked_sub(1)?;
            if place >> SLOT_BITS == tag && key_of(slot) == key {
                return Some(slot);
            }
            at = self.behind(at);
        }
    }

    /// Puts in a key that is not here yet. There is always room: the limit is the rows'.
    pub fn insert(&mut self, key: u64, slot: u32) {
        let (mut at, tag) = self.home(key);
        while self.places[at] != 0 {
            at = self.behind(at);
        }
        self.places[at] = tag << SLOT_BITS | (slot + 1);
    }

    /// Takes out a key that is here, and moves up those behind it that may stand nearer to their home.
    pub fn remove(&mut self, key: u64, slot: u32, key_of: impl Fn(u32) -> u64) {
        let mut hole = self.home(key).0;
        while self.places[hole] & SLOT_MASK != slot + 1 {
            hole = self.behind(hole);
        }
        let mut at = hole;
        loop {
            at = self.behind(at);
            let Some(slot) = (self.places[at] & SLOT_MASK).checked_sub(1) else { break };
            let home = self.home(key_of(slot)).0;
            if self.steps(home, at) >= self.steps(hole, at) {
                self.places[hole] = self.places[at];
                hole = at;
            }
        }
        self.places[hole] = 0;
    }

    fn home(&self, key: u64) -> (usize, u32) {
        let spread = key.wrapping_mul(SPREAD);
        // The tag is of bits that have no say in the home.
        ((spread >> self.shift) as usize, (spread >> 4) as u32 & 63)
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn steps(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }
}
