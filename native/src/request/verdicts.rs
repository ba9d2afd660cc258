//! Which fields a payment has, and whether all of them are plainly fit to be shared. What is doubtful is left to
//! the providers in Python, which say what is wrong with it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::request::doubts::Doubt;
use crate::request::slots::Request;

enum Presence {
    /// A text that is not empty.
    Text,
    /// A number that is not 0.
    Number,
    /// A number that was given, be it 0.
    Given,
}

/// Bits and doubts of fields, by slot.
pub struct Verdicts {
    always: u128,
    presence: Vec<(Presence, usize, u128)>,
    doubts: Vec<(Doubt, usize)>,
}

impl Verdicts {
    /// From rows of (kind, slot, bit) and of (kind, slot, what the kind needs).
    pub fn from_python(
        always: u128,
        presence: &[(String, usize, u128)],
        doubts: &[Bound<'_, PyTuple>],
    ) -> PyResult<Self> {
        let presence = presence
            .iter()
            .map(|(kind, slot, bit)| {
                let kind = match kind.as_str() {
                    "text" => Presence::Text,
                    "number" => Presence::Number,
                    "given" => Presence::Given,
                    _ => return Err(PyValueError::new_err("a presence that this engine does not know")),
                };
                Ok((kind, *slot, *bit))
            })
            .collect::<PyResult<_>>()?;
        let doubts = doubts.iter().map(Doubt::from_python).collect::<PyResult<_>>()?;
        Ok(Self { always, presence, doubts })
    }

    pub fn highest_slot(&self) -> usize {
        let presence = self.presence.iter().map(|row| row.1);
        presence.chain(self.doubts.iter().map(|(doubt, slot)| (*slot).max(doubt.other_slot()))).max().unwrap_or(0)
    }

    /// The mask of what is there; None where anything is doubtful.
    pub fn mask(&self, request: &Request<'_>) -> Option<u128> {
        if self.doubts.iter().any(|(doubt, slot)| doubt.is_cast_on(request.text(*slot), request)) {
            return None;
        }
        let present = self.presence.iter().filter(|(kind, slot, _)| match kind {
            Presence::Text => request.has_text(*slot),
            Presence::Number => request.int(*slot) != 0,
            Presence::Given => request.number(*slot).is_some(),
        });
        Some(present.fold(self.always, |mask, (_, _, bit)| mask | bit))
    }
}
