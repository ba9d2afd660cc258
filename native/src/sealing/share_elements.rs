//! Elements of the authorization message in the answer: the twin of gateway/sharing/elements.py. A value's text is
//! taken from its member of the body, which is written before.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::bytes::wire::{put_chunk, put_chunk_number, put_length_before};
use crate::sealing::share_fields::MOST_FIELDS;

/// Number of v1.ProgramDecision, and those of v1.MessageElement.
const ELEMENTS: u64 = 5;
const TARGET: u64 = 1;
const VALUE: u64 = 2;

/// As in the twin.
const MOST_CHARACTERS: usize = 64;

/// What may stand in the message for an entry: where, as it is written, and the number of the field.
pub struct Elements(Vec<(Vec<u8>, usize)>);

impl Elements {
    pub fn of(rows: &[(String, usize)]) -> PyResult<Self> {
        if rows.iter().any(|(_, number)| *number >= MOST_FIELDS) {
            return Err(PyValueError::new_err("a field beyond the bits of a mask"));
        }
        let written = |target: &str| {
            let mut out = Vec::new();
            if !target.is_empty() {
                put_chunk(&mut out, TARGET, target.as_bytes());
            }
            out
        };
        Ok(Self(rows.iter().map(|(target, number)| (written(target), *number)).collect()))
    }

    /// Those of the fields of a mask, as fields of their decision. `json` gives the JSON of a field's value, where it
    /// was written; `ask` the text of any other and of what is not plain.
    pub fn put<'a, 'py>(
        &self,
        out: &mut Vec<u8>,
        mask: u128,
        json: impl Fn(usize) -> Option<&'a [u8]>,
        ask: impl Fn(usize) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let mut text = Vec::new();
        for (target, number) in self.0.iter().filter(|(_, number)| mask >> number & 1 == 1) {
            text.clear();
            if !json(*number).is_some_and(|json| put_plain(&mut text, json)) {
                text.clear();
                let asked = ask(*number)?;
                text.extend_from_slice(asked.cast::<PyString>()?.to_str()?.as_bytes());
            }
            put_chunk_number(out, ELEMENTS);
            let from = out.len();
            out.extend_from_slice(target);
            if !text.is_empty() {
                put_chunk(out, VALUE, cut(&text));
            }
            put_length_before(out, from);
        }
        Ok(())
    }
}

/// The text of a value by its JSON: of a text, number, truth or None, or of a list of them. False of what is
/// nested and of what has an escape.
fn put_plain(out: &mut Vec<u8>, json: &[u8]) -> bool {
    let mut left = match json {
        b"[]" => return true,
        [b'[', items @ .., b']'] => items,
        _ => json,
    };
    loop {
        let Some((text, behind)) = plain(left) else { return false };
        out.extend_from_slice(text);
        left = match behind {
            [] => return true,
            [b',', next @ ..] => next,
            _ => return false,
        };
        out.push(b',');
    }
}

/// The text of the first of some values, and what stands behind it.
fn plain(json: &[u8]) -> Option<(&[u8], &[u8])> {
    if let [b'"', quoted @ ..] = json {
        let end = quoted.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        return (quoted[end] == b'"').then(|| (&quoted[..end], &quoted[end + 1..]));
    }
    let end = json.iter().position(|byte| *byte == b',').unwrap_or(json.len());
    let (word, behind) = json.split_at(end);
    let text: &[u8] = match word {
        b"true" => b"True",
        b"false" => b"False",
        b"null" => b"None",
        [b'-' | b'0'..=b'9', ..] => word,
        _ => return None,
    };
    Some((text, behind))
}

/// What a recipient's private field holds of it. Of UTF-8, a character begins at each byte that continues none.
fn cut(text: &[u8]) -> &[u8] {
    if text.len() <= MOST_CHARACTERS {
        return text;
    }
    let begins = text.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80);
    let end = begins.map(|(at, _)| at).nth(MOST_CHARACTERS);
    &text[..end.unwrap_or(text.len())]
}
