//! What was found in a request: one slot a field of the table.

use crate::shapes::luhn_valid;

#[derive(Clone, Copy)]
pub enum Slot<'a> {
    Absent,
    Text(&'a str),
    Int(i64),
    Double(f64),
    Message(&'a [u8]),
}

/// Slots of the card, whose fields hang together.
pub struct Card {
    pub pan: usize,
    pub network_token: usize,
    pub card_ref: usize,
    pub iin: usize,
    pub last4: usize,
}

pub struct Request<'a> {
    pub slots: Vec<Slot<'a>>,
    pub raws: Vec<(usize, &'a [u8])>,
}

/// Card digits as they are told on: (iin, truncated iin, last four).
pub type Digits<'a> = (&'a str, &'a str, &'a str);

impl<'a> Request<'a> {
    pub fn text(&self, slot: usize) -> &'a str {
        match self.slots[slot] {
            Slot::Text(text) => text,
            _ => "",
        }
    }

    pub fn int(&self, slot: usize) -> i64 {
        match self.slots[slot] {
            Slot::Int(number) => number,
            _ => 0,
        }
    }

    pub fn double(&self, slot: usize) -> f64 {
        match self.slots[slot] {
            Slot::Double(number) => number,
            _ => 0.0,
        }
    }

    pub fn given(&self, slot: usize) -> bool {
        matches!(self.slots[slot], Slot::Int(_))
    }

    pub fn message(&self, slot: usize) -> Option<&'a [u8]> {
        match self.slots[slot] {
            Slot::Message(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn put(&mut self, slot: usize, value: Slot<'a>) -> Option<()> {
        let place = self.slots.get_mut(slot)?;
        if !matches!(place, Slot::Absent) {
            return None;
        }
        *place = value;
        Some(())
    }

    /// Exactly one identifier; beside a PAN its digits say what `iin` and `last4` say elsewhere.
    pub fn card(&self, card: &Card) -> Option<Digits<'a>> {
        let (pan, iin, last4) = (self.text(card.pan), self.text(card.iin), self.text(card.last4));
        let others = usize::from(!self.text(card.network_token).is_empty())
            + usize::from(!self.text(card.card_ref).is_empty());
        if pan.is_empty() {
            return (others == 1 && !iin.is_empty() && !last4.is_empty()).then_some((iin, iin, last4));
        }
        // Shorter than 16: six digits may stand beside the last four (PCI SSC FAQ 1091).
        let truncated = if pan.len() >= 16 { 8 } else { 6 };
        let digits = (&pan[..8], &pan[..truncated], &pan[pan.len() - 4..]);
        let same = pan.starts_with(iin) && (last4.is_empty() || last4 == digits.2);
        (others == 0 && same && luhn_valid(pan.as_bytes())).then_some(digits)
    }
}
