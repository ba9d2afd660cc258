//! Keys of one generation in the order of their coming, each with the slot of its record.
//!
//! A table of places over a list of entries, as the twin's dict is: the order goes into the snapshot, and says
//! which record is given away first.

/// Keys are 60 bits of a MAC, so that none is this.
const GONE: u64 = u64::MAX;
/// 2^64 over the golden ratio: spreads keys whose low bits are alike.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The key in halves: 12 bytes, where 8 together would take 16.
#[derive(Clone, Copy)]
pub struct Entry {
    low: u32,
    high: u32,
    pub slot: u32,
}

/// Grows to its limit only; then keys are only taken out. So a place once taken stays taken.
#[derive(Clone)]
pub struct Keys {
    entries: Vec<Entry>,
    live: usize,
    /// Number of the entry plus one; 0 is a free place.
    places: Vec<u32>,
    shift: u32,
}

impl Keys {
    /// For at most `limit` keys. What is reserved here costs memory only once it is used.
    pub fn new(limit: usize) -> Self {
        // Full at two thirds.
        let places = (limit + limit / 2).next_power_of_two().max(4);
        Self {
            entries: Vec::with_capacity(limit),
            live: 0,
            places: vec![0; places],
            shift: u64::BITS - places.trailing_zeros(),
        }
    }

    pub fn len(&self) -> usize {
        self.live
    }

    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All entries ever made here, `is_live` or not.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn get(&self, key: u64) -> Option<u32> {
        self.find(key).map(|number| self.entries[number].slot)
    }

    pub fn remove(&mut self, key: u64) -> Option<u32> {
        let number = self.find(key)?;
        self.entries[number] = Entry::new(GONE, self.entries[number].slot);
        self.live -= 1;
        Some(self.entries[number].slot)
    }

    /// Puts in a key that is not here yet. At most `limit` times: the table has no room for more.
    pub fn insert(&mut self, key: u64, slot: u32) {
        let mut place = self.home(key);
        while self.places[place] != 0 {
            place = (place + 1) & (self.places.len() - 1);
        }
        self.entries.push(Entry::new(key, slot));
        self.places[place] = self.entries.len() as u32;
        self.live += 1;
    }

    pub fn into_dying(self) -> Dying {
        Dying(self.entries)
    }

    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(SPREAD) >> self.shift) as usize
    }

    fn find(&self, key: u64) -> Option<usize> {
        let mut place = self.home(key);
        loop {
            let number = self.places[place].checked_sub(1)? as usize;
            if self.entries[number].key() == key {
                return Some(number);
            }
            place = (place + 1) & (self.places.len() - 1);
        }
    }
}

impl Entry {
    fn new(key: u64, slot: u32) -> Self {
        Self { low: key as u32, high: (key >> 32) as u32, slot }
    }

    pub fn key(&self) -> u64 {
        u64::from(self.low) | u64::from(self.high) << 32
    }

    pub fn is_live(&self) -> bool {
        self.key() != GONE
    }
}

/// A generation that is forgotten: its records are given away, last come first.
pub struct Dying(Vec<Entry>);

impl Dying {
    pub fn pop(&mut self) -> Option<u32> {
        while let Some(entry) = self.0.pop() {
            if entry.is_live() {
                return Some(entry.slot);
            }
        }
        None
    }
}
