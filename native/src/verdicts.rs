//! Which fields a payment has, and whether all of them are plainly fit to be shared. What is doubtful is left to
//! the providers in Python, which say what is wrong with it.

use std::net::{Ipv4Addr, Ipv6Addr};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::slots::Request;

enum Presence {
    /// A text that is not empty.
    Text,
    /// A number that is not 0.
    Number,
    /// A number that was given, be it 0.
    Given,
}

enum Doubt {
    OneOf(Vec<String>),
    Placeholder { words: Vec<String>, longest: usize },
    NotPublic,
    Mailbox { domains: Vec<String>, top_levels: Vec<String> },
    Prefixes(Vec<String>),
    Repeated,
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
        let doubts = doubts.iter().map(doubt_of).collect::<PyResult<_>>()?;
        Ok(Self { always, presence, doubts })
    }

    pub fn highest_slot(&self) -> usize {
        let presence = self.presence.iter().map(|row| row.1);
        presence.chain(self.doubts.iter().map(|row| row.1)).max().unwrap_or(0)
    }

    /// The mask of what is there; None where anything is doubtful.
    pub fn mask(&self, request: &Request<'_>) -> Option<u128> {
        if self.doubts.iter().any(|(doubt, slot)| doubt.is_cast_on(request.text(*slot))) {
            return None;
        }
        let present = self.presence.iter().filter(|(kind, slot, _)| match kind {
            Presence::Text => !request.text(*slot).is_empty(),
            Presence::Number => request.int(*slot) != 0,
            Presence::Given => request.given(*slot),
        });
        Some(present.fold(self.always, |mask, (_, _, bit)| mask | bit))
    }
}

impl Doubt {
    fn is_cast_on(&self, value: &str) -> bool {
        if value.is_empty() {
            return false;
        }
        match self {
            Self::OneOf(values) => values.iter().any(|one| one == value),
            Self::Placeholder { words, longest } => {
                // Lower case of what is not ASCII is left to the twin.
                let word = || !value.is_ascii() || words.iter().any(|one| one.eq_ignore_ascii_case(value));
                let (first, last) = (value.chars().next(), value.chars().next_back());
                (value.chars().count() <= *longest && word())
                    || first == last
                    || first == Some('-')
                    || last == Some('-')
            }
            Self::NotPublic => !is_public(value),
            Self::Mailbox { domains, top_levels } => {
                let domain = value.rsplit('@').next().unwrap_or("");
                let top_level = domain.rsplit('.').next().unwrap_or("");
                domains.iter().any(|one| one.eq_ignore_ascii_case(domain))
                    || top_levels.iter().any(|one| one.eq_ignore_ascii_case(top_level))
            }
            Self::Prefixes(prefixes) => {
                let value = value.as_bytes();
                prefixes.iter().any(|prefix| {
                    let start = value.get(..prefix.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
                })
            }
            Self::Repeated => value.as_bytes().last() == value.as_bytes().iter().rev().nth(1),
        }
    }
}

/// An address of the open internet; some that are may be called doubtful.
fn is_public(value: &str) -> bool {
    if let Ok(address) = value.parse::<Ipv4Addr>() {
        let [first, second, third, _] = address.octets();
        return !(matches!(first, 0 | 10 | 127 | 224..)
            || (first == 100 && (64..=127).contains(&second))
            || (first == 169 && second == 254)
            || (first == 172 && (16..=31).contains(&second))
            || (first == 192 && matches!((second, third), (168, _) | (0, 0 | 2) | (88, 99)))
            || (first == 198 && (matches!(second, 18 | 19) || (second, third) == (51, 100)))
            || (first == 203 && (second, third) == (0, 113)));
    }
    let Ok(address) = value.parse::<Ipv6Addr>() else { return false };
    let [first, second, ..] = address.segments();
    // 2000::/3 without 6to4, Teredo and documentation.
    first >> 13 == 1
        && first != 0x2002
        && (first, second) != (0x2001, 0)
        && (first, second) != (0x2001, 0x0db8)
        && !(first == 0x3fff && second >> 12 == 0)
}

fn doubt_of(row: &Bound<'_, PyTuple>) -> PyResult<(Doubt, usize)> {
    let kind: String = row.get_item(0)?.extract()?;
    let slot: usize = row.get_item(1)?.extract()?;
    let texts = |at: usize| -> PyResult<Vec<String>> {
        row.get_item(at)?.try_iter()?.map(|text| text?.extract::<String>()).collect()
    };
    let doubt = match kind.as_str() {
        "one_of" => Doubt::OneOf(texts(2)?),
        "placeholder" => {
            let words = texts(2)?;
            let longest = words.iter().map(String::len).max().unwrap_or(0);
            Doubt::Placeholder { words, longest }
        }
        "not_public" => Doubt::NotPublic,
        "mailbox" => Doubt::Mailbox {
            domains: texts(2)?,
            top_levels: texts(3)?,
        },
        "prefixes" => Doubt::Prefixes(texts(2)?),
        "repeated" => Doubt::Repeated,
        _ => return Err(PyValueError::new_err("a doubt that this engine does not know")),
    };
    Ok((doubt, slot))
}
