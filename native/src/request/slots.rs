//! What was found in a request: one slot a field of the table, texts and messages as places within its bytes.

use crate::request::shapes::luhn_valid;

/// From here, so many bytes.
#[derive(Clone, Copy, Default)]
pub struct Place {
    from: u32,
    length: u32,
}

impl Place {
    fn within(self, from: usize, to: usize) -> Self {
        Self { from: self.from + from as u32, length: (to - from) as u32 }
    }
}

/// What a field was found to be, in eight bytes: a payment has a hundred of them, and keeps them for as long as it is
/// on its way.
#[derive(Clone, Copy, Default)]
pub struct Slot(u64);

const KIND_BITS: u32 = 3;
const LENGTH_BITS: u32 = 29;
const TEXT: u64 = 1;
const INT: u64 = 2;
const DOUBLE: u64 = 3;
const MESSAGE: u64 = 4;

impl Slot {
    /// Of UTF-8: whoever makes it has looked.
    pub fn text(place: Place) -> Option<Self> {
        Self::of(TEXT, place)
    }

    /// Of eight bytes as the wire has them.
    pub fn double(place: Place) -> Option<Self> {
        Self::of(DOUBLE, place)
    }

    pub fn message(place: Place) -> Option<Self> {
        Self::of(MESSAGE, place)
    }

    /// None of what is negative or has 61 bits: no field may.
    pub fn int(number: i64) -> Option<Self> {
        let number = u64::try_from(number).ok().filter(|number| number >> (64 - KIND_BITS) == 0)?;
        Some(Self(number << KIND_BITS | INT))
    }

    fn of(kind: u64, place: Place) -> Option<Self> {
        (place.length >> LENGTH_BITS == 0)
            .then(|| Self(u64::from(place.from) << 32 | u64::from(place.length) << KIND_BITS | kind))
    }

    fn kind(self) -> u64 {
        self.0 & ((1 << KIND_BITS) - 1)
    }

    fn place(self, kind: u64) -> Option<Place> {
        let length = (self.0 as u32) >> KIND_BITS;
        (self.kind() == kind).then(|| Place { from: (self.0 >> 32) as u32, length })
    }

    fn number(self) -> Option<i64> {
        (self.kind() == INT).then(|| (self.0 >> KIND_BITS) as i64)
    }
}

/// Slots of the card, whose fields hang together.
#[derive(Clone, Copy)]
pub struct Card {
    pub pan: usize,
    pub network_token: usize,
    pub card_ref: usize,
    pub iin: usize,
    pub last4: usize,
}

/// Card digits as they are told on.
#[derive(Clone, Copy, Default)]
pub struct Digits {
    pub iin: Place,
    pub truncated_iin: Place,
    pub last4: Place,
}

/// What a walk over a request leaves; nothing of it without the bytes.
pub struct Found {
    pub slots: Vec<Slot>,
    pub raws: Vec<(usize, Place)>,
    pub digits: Digits,
}

/// The bytes, and what was found in them.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    payload: &'a [u8],
    found: &'a Found,
}

impl Found {
    pub fn nothing(slots: usize) -> Self {
        Self { slots: vec![Slot::default(); slots], raws: Vec::new(), digits: Digits::default() }
    }

    pub fn put(&mut self, slot: usize, value: Slot) -> Option<()> {
        let place = self.slots.get_mut(slot)?;
        if place.kind() != 0 {
            return None;
        }
        *place = value;
        Some(())
    }
}

/// Where a part of the payload lies in it; None beyond what a place can say.
pub fn place_of(payload: &[u8], part: &[u8]) -> Option<Place> {
    let from = (part.as_ptr() as usize).checked_sub(payload.as_ptr() as usize)?;
    if from + part.len() > payload.len() {
        return None;
    }
    Some(Place { from: u32::try_from(from).ok()?, length: u32::try_from(part.len()).ok()? })
}

impl<'a> Request<'a> {
    /// `found` is what a walk over this very payload left.
    pub fn of(payload: &'a [u8], found: &'a Found) -> Self {
        Self { payload, found }
    }

    pub fn bytes(&self, place: Place) -> &'a [u8] {
        &self.payload[place.from as usize..place.from as usize + place.length as usize]
    }

    pub fn at(&self, place: Place) -> &'a str {
        // A walk puts no text that is not UTF-8, so that nothing is lost here.
        std::str::from_utf8(self.bytes(place)).unwrap_or_default()
    }

    pub fn text(&self, slot: usize) -> &'a str {
        self.found.slots[slot].place(TEXT).map_or("", |place| self.at(place))
    }

    /// As `text`, without another look at whether it is UTF-8.
    pub fn text_bytes(&self, slot: usize) -> &'a [u8] {
        self.found.slots[slot].place(TEXT).map_or(&[], |place| self.bytes(place))
    }

    /// Whether a text is there, without a look at it.
    pub fn has_text(&self, slot: usize) -> bool {
        self.found.slots[slot].place(TEXT).is_some_and(|place| place.length > 0)
    }

    pub fn int(&self, slot: usize) -> i64 {
        self.number(slot).unwrap_or_default()
    }

    /// None where none was given.
    pub fn number(&self, slot: usize) -> Option<i64> {
        self.found.slots[slot].number()
    }

    pub fn double(&self, slot: usize) -> f64 {
        let place = self.found.slots[slot].place(DOUBLE);
        let bytes = place.and_then(|place| self.bytes(place).try_into().ok());
        bytes.map_or(0.0, f64::from_le_bytes)
    }

    pub fn message(&self, slot: usize) -> Option<&'a [u8]> {
        self.found.slots[slot].place(MESSAGE).map(|place| self.bytes(place))
    }

    pub fn raws(&self, slot: usize) -> impl Iterator<Item = &'a [u8]> {
        let (payload, raws) = (self.payload, &self.found.raws);
        raws.iter()
            .filter(move |(at, _)| *at == slot)
            .map(move |(_, place)| &payload[place.from as usize..place.from as usize + place.length as usize])
    }

    pub fn iin(&self) -> &'a str {
        self.at(self.found.digits.iin)
    }

    pub fn truncated_iin(&self) -> &'a str {
        self.at(self.found.digits.truncated_iin)
    }

    pub fn last4(&self) -> &'a str {
        self.at(self.found.digits.last4)
    }

    fn place(&self, slot: usize) -> Place {
        self.found.slots[slot].place(TEXT).unwrap_or_default()
    }

    /// Exactly one identifier; beside a PAN its digits say what `iin` and `last4` say elsewhere.
    pub fn card(&self, card: &Card) -> Option<Digits> {
        let (pan, iin, last4) = (self.text(card.pan), self.place(card.iin), self.place(card.last4));
        let others = usize::from(self.has_text(card.network_token)) + usize::from(self.has_text(card.card_ref));
        if pan.is_empty() {
            let whole = others == 1 && iin.length > 0 && last4.length > 0;
            return whole.then_some(Digits { iin, truncated_iin: iin, last4 });
        }
        // Shorter than 16: six digits may stand beside the last four (PCI SSC FAQ 1091).
        let truncated = if pan.len() >= 16 { 8 } else { 6 };
        let place = self.place(card.pan);
        let digits = Digits {
            iin: place.within(0, 8),
            truncated_iin: place.within(0, truncated),
            last4: place.within(pan.len() - 4, pan.len()),
        };
        let same = pan.starts_with(self.at(iin)) && (last4.length == 0 || self.at(last4) == self.at(digits.last4));
        (others == 0 && same && luhn_valid(pan.as_bytes())).then_some(digits)
    }
}
