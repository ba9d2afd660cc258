//! The fields of a share as JSON, straight from what is known of its payment: a table says where each value lies.
use std::sync::OnceLock;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::member;
use crate::bytes::json;
use crate::looks::findings;
use crate::request::read_request::{ReadRequest, read_of};
use crate::sealing::mac::{Letters, Macs};
use crate::velocity::counted::number_at;

/// Bits of a mask.
pub const MOST_FIELDS: usize = 128;

/// What a way begins at.
enum Root {
    /// A field of the payment, and its place where the engine has read it.
    Payment(Py<PyString>, OnceLock<usize>),
    Facts,
    Assessment,
    /// An attribute of the signals.
    Signals(Py<PyString>),
}

enum Quick {
    Value,
    /// Of a tuple within tuples.
    Item(Vec<usize>),
    /// Members of a tuple as an object; each name is written, with its colon.
    Members(Vec<(Vec<u8>, usize)>),
    /// Of a dict, which lies at that place of a tuple.
    Entry(usize, Py<PyString>),
    /// The text in capital or small letters, where it is ASCII.
    Upper,
    Lower,
    /// A text by its number, written.
    Word(Vec<Vec<u8>>),
}

struct Row {
    /// Name and colon, written.
    name: Vec<u8>,
    quick: Option<(Root, Quick)>,
    /// The twin's way, for what has no other or is not what that expects.
    read: Py<PyAny>,
}

/// What is known of one payment.
pub struct Known<'a, 'py> {
    pub signals: &'a Bound<'py, PyAny>,
    pub payment: Bound<'py, PyAny>,
    read: Option<Bound<'py, ReadRequest>>,
    facts: Bound<'py, PyAny>,
    assessment: Bound<'py, PyAny>,
}

impl<'a, 'py> Known<'a, 'py> {
    pub fn of(signals: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        let payment = member!(signals, "payment")?;
        Ok(Self {
            signals,
            read: read_of(&payment)?,
            payment,
            facts: member!(signals, "facts")?,
            assessment: member!(signals, "assessment")?,
        })
    }

    /// When the payment was attempted, as JSON.
    pub fn write_attempted_at(&self, out: &mut Vec<u8>) -> PyResult<()> {
        let py = self.signals.py();
        let Some(read) = &self.read else {
            return json::write(out, &member!(self.payment, "initiated_at_ms")?, 2);
        };
        let read = read.get();
        json::write_number(out, read.request(py).int(read.layout.own.initiated_at_ms));
        Ok(())
    }

    /// The id of a program's share of the payment.
    pub fn share_letters(&self, macs: &Macs, sender_id: &str, program: &str) -> PyResult<Letters> {
        let py = self.signals.py();
        let Some(read) = &self.read else {
            let intent = member!(self.payment, "payment_intent_id")?.cast_into::<PyString>()?;
            let attempt_no = member!(self.payment, "attempt_no")?.extract()?;
            return Ok(macs.share_letters(sender_id, intent.to_str()?, attempt_no, program));
        };
        let read = read.get();
        let (request, own) = (read.request(py), &read.layout.own);
        // 0 is a first attempt, as it is of the column.
        let attempt_no = request.int(own.attempt_no).max(1);
        Ok(macs.share_letters(sender_id, request.text(own.payment_intent_id), attempt_no, program))
    }

    fn at(&self, root: &Root) -> PyResult<Bound<'py, PyAny>> {
        let py = self.signals.py();
        match root {
            Root::Payment(name, _) => self.payment.getattr(name.bind(py)),
            Root::Facts => Ok(self.facts.clone()),
            Root::Assessment => Ok(self.assessment.clone()),
            Root::Signals(name) => self.signals.getattr(name.bind(py)),
        }
    }
}

pub struct ShareFields {
    rows: Vec<Option<Row>>,
    mask: u128,
}

impl ShareFields {
    /// Rows of (number, name, quick, read); `quick` is None, or (kind, path, and what the kind needs).
    pub fn of(rows: &[Bound<'_, PyTuple>]) -> PyResult<Self> {
        let mut made = Self { rows: (0..MOST_FIELDS).map(|_| None).collect(), mask: 0 };
        for row in rows {
            let (number, name): (usize, String) = (row.get_item(0)?.extract()?, row.get_item(1)?.extract()?);
            let Some(place) = made.rows.get_mut(number) else {
                return Err(PyValueError::new_err("a field beyond the bits of a mask"));
            };
            let quick = row.get_item(2)?;
            let quick = if quick.is_none() { None } else { Some(quick_of(quick.cast::<PyTuple>()?)?) };
            *place = Some(Row { name: named(&name), quick, read: row.get_item(3)?.unbind() });
            made.mask |= 1 << number;
        }
        Ok(made)
    }

    /// Of a member that was written here, its value.
    pub fn value<'a>(&self, number: usize, member: &'a [u8]) -> Option<&'a [u8]> {
        member.get(self.rows.get(number)?.as_ref()?.name.len()..)
    }

    /// The members of a mask in the order of their numbers, each with a comma before it unless it comes first.
    pub fn write(&self, out: &mut Vec<u8>, known: &Known<'_, '_>, mask: u128, mut first: bool) -> PyResult<bool> {
        if mask & !self.mask != 0 {
            return Err(PyKeyError::new_err("a field that signals have no value of"));
        }
        let mut left = mask;
        while left != 0 {
            let Some(row) = &self.rows[left.trailing_zeros() as usize] else { break };
            left &= left - 1;
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(&row.name);
            let from = out.len();
            if !row.write_quick(out, known)? {
                out.truncate(from);
                let value = row.read.bind(known.signals.py()).call1((known.signals,))?;
                json::write(out, &value, 2)?;
            }
        }
        Ok(first)
    }
}

impl Row {
    /// False where the value is not what was expected: the twin then reads it, or says what is wrong.
    fn write_quick(&self, out: &mut Vec<u8>, known: &Known<'_, '_>) -> PyResult<bool> {
        let Some((root, quick)) = &self.quick else { return Ok(false) };
        if let (Root::Payment(name, place), Some(read)) = (root, &known.read) {
            let from = out.len();
            if write_read(out, quick, read, name, place) {
                return Ok(true);
            }
            out.truncate(from);
        }
        let value = known.at(root)?;
        match quick {
            Quick::Value => json::write(out, &value, 2)?,
            Quick::Item(places) => {
                if let Some(number) = number_at(&value, places) {
                    json::write_number(out, number.into());
                    return Ok(true);
                }
                let mut value = value;
                for place in places {
                    let Ok(items) = value.cast::<PyTuple>() else { return Ok(false) };
                    value = items.get_item(*place)?;
                }
                json::write(out, &value, 2)?;
            }
            Quick::Members(members) => {
                let Ok(items) = value.cast::<PyTuple>() else { return Ok(false) };
                for (at, (name, place)) in members.iter().enumerate() {
                    out.push(if at == 0 { b'{' } else { b',' });
                    out.extend_from_slice(name);
                    json::write(out, &items.get_item(*place)?, 3)?;
                }
                out.push(b'}');
            }
            Quick::Entry(place, name) => {
                let Ok(items) = value.cast::<PyTuple>() else { return Ok(false) };
                let found = items.get_borrowed_item(*place)?;
                let Some(found) = findings::Known::of(&found) else { return Ok(false) };
                let Some(value) = found.get(name.bind(value.py()))? else { return Ok(false) };
                json::write(out, &value, 2)?;
            }
            Quick::Upper | Quick::Lower => {
                let Ok(text) = value.cast::<PyString>() else { return Ok(false) };
                return Ok(write_cased(out, quick, text.to_str()?));
            }
            Quick::Word(words) => {
                let Ok(number) = value.extract::<usize>() else { return Ok(false) };
                let Some(word) = words.get(number) else { return Ok(false) };
                out.extend_from_slice(word);
            }
        }
        Ok(true)
    }
}

/// Straight from what was read; false where that is not what was expected.
fn write_read(
    out: &mut Vec<u8>,
    quick: &Quick,
    read: &Bound<'_, ReadRequest>,
    name: &Py<PyString>,
    place: &OnceLock<usize>,
) -> bool {
    let (py, read) = (read.py(), read.get());
    let columns = &read.layout.columns;
    let likely = place.get_or_init(|| columns.place(name, 0).unwrap_or_default());
    let Some(column) = columns.place(name, *likely).and_then(|at| columns.all.get(at)) else { return false };
    let request = &read.request(py);
    match quick {
        Quick::Value => column.write(out, request),
        Quick::Item(places) => match places.as_slice() {
            [place] => column.is_given(request) && column.write_part(out, request, *place),
            _ => false,
        },
        Quick::Members(members) => {
            let member = |at: usize, name: &[u8], place: usize, out: &mut Vec<u8>| {
                out.push(if at == 0 { b'{' } else { b',' });
                out.extend_from_slice(name);
                column.write_part(out, request, place)
            };
            let written = column.is_given(request)
                && members.iter().enumerate().all(|(at, (name, place))| member(at, name, *place, out));
            out.push(b'}');
            written
        }
        Quick::Upper | Quick::Lower => {
            column.text(request).is_some_and(|text| write_cased(out, quick, &text))
        }
        Quick::Word(words) => {
            let number = column.number(request).and_then(|number| usize::try_from(number).ok());
            let Some(word) = number.and_then(|number| words.get(number)) else { return false };
            out.extend_from_slice(word);
            true
        }
        Quick::Entry(..) => false,
    }
}

/// In capital or small letters; false of what is not ASCII, and of what is escaped: of what is ASCII an escape has
/// small letters alone.
fn write_cased(out: &mut Vec<u8>, quick: &Quick, text: &str) -> bool {
    if !text.is_ascii() {
        return false;
    }
    let from = out.len();
    json::quoted(out, text);
    if out.len() != from + text.len() + 2 {
        return false;
    }
    match quick {
        Quick::Upper => out[from..].make_ascii_uppercase(),
        _ => out[from..].make_ascii_lowercase(),
    }
    true
}

fn quick_of(row: &Bound<'_, PyTuple>) -> PyResult<(Root, Quick)> {
    let (kind, path): (String, String) = (row.get_item(0)?.extract()?, row.get_item(1)?.extract()?);
    let text = |name: &str| PyString::intern(row.py(), name).unbind();
    let root = match path.split_once('.') {
        Some(("payment", name)) => Root::Payment(text(name), OnceLock::new()),
        Some(_) => return Err(PyValueError::new_err("a way that begins at nothing known")),
        None if path == "facts" => Root::Facts,
        None if path == "assessment" => Root::Assessment,
        None => Root::Signals(text(&path)),
    };
    let quick = match kind.as_str() {
        "value" => Quick::Value,
        "item" => Quick::Item(row.get_item(2)?.extract()?),
        "members" => {
            let members: Vec<(String, usize)> = row.get_item(2)?.extract()?;
            Quick::Members(members.into_iter().map(|(name, at)| (named(&name), at)).collect())
        }
        "entry" => Quick::Entry(row.get_item(2)?.extract()?, text(row.get_item(3)?.cast::<PyString>()?.to_str()?)),
        "upper" => Quick::Upper,
        "lower" => Quick::Lower,
        "word" => {
            let words: Vec<String> = row.get_item(2)?.extract()?;
            Quick::Word(words.iter().map(|word| quoted(word)).collect())
        }
        _ => return Err(PyValueError::new_err("a way that this engine does not know")),
    };
    Ok((root, quick))
}

fn named(name: &str) -> Vec<u8> {
    let mut out = quoted(name);
    out.push(b':');
    out
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    json::quoted(&mut out, text);
    out
}
