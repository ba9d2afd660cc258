//! How each field of a payment is had from a request that was read: at once, or when it is asked for.
use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::bytes::json;
use crate::objects::made::NamedTuple;
use crate::request::shapes::canonical_ipv6;
use crate::request::slots::Request;
use crate::bytes::wire::{put_chunk, put_chunk_number, put_length_before, put_number};

pub enum Part {
    Text(usize),
    Int(usize),
    /// None where the field is absent: only presence tells 0 from "not known".
    OptionalInt(usize),
}

pub enum Column {
    Text { slot: usize, required: bool },
    Int { slot: usize, instead_of_zero: i64 },
    Bool { slot: usize },
    /// Present only up to some milliseconds ahead of now.
    Time { slot: usize, ahead_ms: i64 },
    Ip { slot: usize },
    Masked { slot: usize, make: Py<PyAny> },
    Iin,
    TruncatedIin,
    Last4,
    Group { make: NamedTuple, parts: Vec<Part>, present: usize, optional: bool, bit: u128, needs: Needs },
    Location { make: Py<PyAny>, latitude: usize, longitude: usize, present: usize, bit: u128 },
    Raws { make: Py<PyAny>, slot: usize },
    NewList,
    /// The fields that were asked for, as a message: numbers and what stands there.
    Written { fields: Vec<(u64, Source)> },
    /// Mask of the fields that are there and plainly fit to be shared; -1 where that is for Python to say. `both` are
    /// groups, and the bit of those that have both.
    Presence { both: (usize, usize), bit: u128 },
}

/// Of a field that is written.
#[derive(Clone, Copy)]
pub enum Source {
    Text(usize),
    Int { slot: usize, instead_of_zero: i64 },
    TruncatedIin,
    Last4,
    /// A message of the fields that follow up to its end.
    Begin,
    End,
}

/// Of a group: slots of which the first, and one of the others, must be given for it to be fit.
pub type Needs = Vec<usize>;

/// Beyond these there is no place.
const MOST_LATITUDE: f64 = 90.0;
const MOST_LONGITUDE: f64 = 180.0;

/// Nearer to 0, 0 than this is where failed look-ups end up.
const NOWHERE_DEGREES: f64 = 0.01;

/// The columns of a payment, in the order of its fields.
pub struct Columns {
    pub all: Vec<Column>,
    names: Vec<Py<PyString>>,
}

impl Columns {
    /// Rows of (name, column).
    pub fn of(rows: &[(Bound<'_, PyString>, Bound<'_, PyTuple>)]) -> PyResult<Self> {
        let interned = |name: &Bound<'_, PyString>| -> PyResult<Py<PyString>> {
            Ok(PyString::intern(name.py(), name.to_str()?).unbind())
        };
        Ok(Self {
            all: rows.iter().map(|(_, row)| column_of(row)).collect::<PyResult<_>>()?,
            names: rows.iter().map(|(name, _)| interned(name)).collect::<PyResult<_>>()?,
        })
    }

    /// The place of a field. `name` is interned, as theirs are; `likely` is looked at first.
    pub fn place(&self, name: &Py<PyString>, likely: usize) -> Option<usize> {
        if self.names.get(likely).is_some_and(|one| one.is(name)) {
            return Some(likely);
        }
        self.names.iter().position(|one| one.is(name))
    }

    pub fn named(&self, py: Python<'_>, name: &str) -> Option<&Column> {
        let at = self.names.iter().position(|one| one.to_str(py).is_ok_and(|one| one == name))?;
        self.all.get(at)
    }
}

impl Column {
    /// Whether `check` looks at it.
    pub fn is_checked(&self) -> bool {
        matches!(
            self,
            Self::Text { required: true, .. }
                | Self::Time { .. }
                | Self::Ip { .. }
                | Self::Group { .. }
                | Self::Location { .. }
        )
    }

    /// What it adds to the mask of what is plainly fit to be shared, where that may still be said; the outer None:
    /// the twin has to look at the request.
    pub fn check(&self, request: &Request<'_>, now_ms: i64, presence: Option<u128>) -> Option<Option<u128>> {
        match self {
            Self::Text { slot, required: true } if !request.has_text(*slot) => None,
            Self::Time { slot, ahead_ms } => {
                let time_ms = request.int(*slot);
                (time_ms > 0 && time_ms <= now_ms.saturating_add(*ahead_ms)).then_some(presence)
            }
            Self::Ip { slot } => {
                let text = request.text(*slot);
                (!text.contains(':') || canonical_ipv6(text).is_some()).then_some(presence)
            }
            Self::Group { bit, needs, .. } if self.is_given(request) => {
                Some(presence.filter(|_| fit(request, needs)).map(|mask| mask | bit))
            }
            Self::Location { latitude, longitude, present, bit, .. } if request.message(*present).is_some() => {
                let (latitude, longitude) = (request.double(*latitude).abs(), request.double(*longitude).abs());
                // What is no number is within nothing.
                let there = latitude <= MOST_LATITUDE && longitude <= MOST_LONGITUDE;
                let nowhere = latitude < NOWHERE_DEGREES && longitude < NOWHERE_DEGREES;
                there.then(|| presence.filter(|_| !nowhere).map(|mask| mask | bit))
            }
            _ => Some(presence),
        }
    }

    /// Of a group: whether anything in it is given.
    pub fn is_given(&self, request: &Request<'_>) -> bool {
        let Self::Group { parts, present, optional, .. } = self else { return false };
        let given = |part: &Part| match part {
            Part::Text(slot) => request.has_text(*slot),
            Part::Int(slot) | Part::OptionalInt(slot) => request.int(*slot) != 0,
        };
        request.message(*present).is_some() && (*optional || parts.iter().any(given))
    }

    /// Of two groups of one kind: whether their bytes are the same.
    pub fn has_bytes_of(&self, other: &Self, request: &Request<'_>) -> bool {
        let (Self::Group { present, .. }, Self::Group { present: others, .. }) = (self, other) else { return false };
        request.message(*present) == request.message(*others)
    }

    /// The value as the twin has it; None where the twin has to look at the request, which `check` tells of all but
    /// messages that are read in Python.
    pub fn make<'py>(&self, py: Python<'py>, request: &Request<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(Some(match self {
            Self::Text { slot, .. } => string(py, request.text_bytes(*slot))?,
            Self::Ip { .. } | Self::Iin | Self::TruncatedIin | Self::Last4 => {
                string(py, self.text(request).unwrap_or_default().as_bytes())?
            }
            Self::Int { .. } | Self::Time { .. } => int(py, self.number(request).unwrap_or_default())?,
            Self::Bool { slot } => (request.int(*slot) != 0).into_pyobject(py)?.to_owned().into_any(),
            Self::Masked { slot, make } => match request.text(*slot) {
                "" => py.None().into_bound(py),
                text => make.bind(py).call1((text,))?,
            },
            Self::Group { make, parts, .. } => {
                if !self.is_given(request) {
                    return Ok(Some(py.None().into_bound(py)));
                }
                let values = parts.iter().map(|part| part.make(py, request));
                make.make(py, values.collect::<PyResult<_>>()?)?
            }
            Self::Location { make, latitude, longitude, present, .. } => match request.message(*present) {
                None => py.None().into_bound(py),
                Some(_) => make.bind(py).call1((request.double(*latitude), request.double(*longitude)))?,
            },
            Self::Raws { make, slot } => {
                let raws: Vec<_> = request.raws(*slot).map(|bytes| PyBytes::new(py, bytes)).collect();
                if raws.is_empty() {
                    return Ok(Some(PyTuple::empty(py).into_any()));
                }
                let made = make.bind(py).call1((raws,))?;
                if made.is_none() {
                    return Ok(None);
                }
                made
            }
            Self::Written { fields } => written(py, request, fields).into_any(),
            Self::NewList => PyList::empty(py).into_any(),
            Self::Presence { .. } => py.None().into_bound(py),
        }))
    }

    /// Of what is a text.
    pub fn text<'a>(&self, request: &Request<'a>) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Text { slot, .. } => request.text(*slot).into(),
            Self::Ip { slot } => {
                let text = request.text(*slot);
                if text.contains(':') { canonical_ipv6(text)?.into() } else { text.into() }
            }
            Self::Iin => request.iin().into(),
            Self::TruncatedIin => request.truncated_iin().into(),
            Self::Last4 => request.last4().into(),
            _ => return None,
        })
    }

    /// Of what is a number.
    pub fn number(&self, request: &Request<'_>) -> Option<i64> {
        match self {
            Self::Int { slot, instead_of_zero } => {
                let number = request.int(*slot);
                Some(if number == 0 { *instead_of_zero } else { number })
            }
            Self::Time { slot, .. } => Some(request.int(*slot)),
            _ => None,
        }
    }

    /// As JSON; false of what is neither text, number nor truth.
    pub fn write(&self, out: &mut Vec<u8>, request: &Request<'_>) -> bool {
        if let Some(text) = self.text(request) {
            json::quoted(out, &text);
        } else if let Some(number) = self.number(request) {
            json::write_number(out, number);
        } else if let Self::Bool { slot } = self {
            out.extend_from_slice(if request.int(*slot) != 0 { b"true" } else { b"false" });
        } else {
            return false;
        }
        true
    }

    /// A part of a group as JSON; false where there is none.
    pub fn write_part(&self, out: &mut Vec<u8>, request: &Request<'_>, place: usize) -> bool {
        let Self::Group { parts, .. } = self else { return false };
        match parts.get(place) {
            Some(Part::Text(slot)) => json::quoted(out, request.text(*slot)),
            Some(Part::Int(slot)) => json::write_number(out, request.int(*slot)),
            Some(Part::OptionalInt(slot)) => match request.number(*slot) {
                Some(number) => json::write_number(out, number),
                None => out.extend_from_slice(b"null"),
            },
            None => return false,
        }
        true
    }

    pub fn slots(&self) -> Vec<usize> {
        match self {
            Self::Text { slot, .. }
            | Self::Int { slot, .. }
            | Self::Bool { slot }
            | Self::Time { slot, .. }
            | Self::Ip { slot }
            | Self::Masked { slot, .. }
            | Self::Raws { slot, .. } => vec![*slot],
            Self::Group { parts, present, needs, .. } => {
                let mut slots = vec![*present];
                slots.extend(needs);
                slots.extend(parts.iter().map(|part| match part {
                    Part::Text(slot) | Part::Int(slot) | Part::OptionalInt(slot) => *slot,
                }));
                slots
            }
            Self::Location { latitude, longitude, present, .. } => vec![*latitude, *longitude, *present],
            Self::Written { fields } => {
                let slots = fields.iter().filter_map(|(_, source)| match source {
                    Source::Text(slot) | Source::Int { slot, .. } => Some(*slot),
                    _ => None,
                });
                slots.collect()
            }
            Self::Iin | Self::TruncatedIin | Self::Last4 | Self::NewList | Self::Presence { .. } => Vec::new(),
        }
    }
}

impl Part {
    fn make<'py>(&self, py: Python<'py>, request: &Request<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Self::Text(slot) => string(py, request.text_bytes(*slot))?,
            Self::Int(slot) => int(py, request.int(*slot))?,
            Self::OptionalInt(slot) => match request.number(*slot) {
                Some(number) => int(py, number)?,
                None => py.None().into_bound(py),
            },
        })
    }
}

/// The message of some fields. Room for most, which have 300 bytes.
fn written<'py>(
    py: Python<'py>,
    request: &Request<'_>,
    fields: &[(u64, Source)],
) -> Bound<'py, PyBytes> {
    let mut out = Vec::with_capacity(512);
    let mut inside_from = 0;
    for (number, source) in fields {
        let text = match source {
            Source::Text(slot) => request.text_bytes(*slot),
            Source::TruncatedIin => request.truncated_iin().as_bytes(),
            Source::Last4 => request.last4().as_bytes(),
            Source::Int { slot, instead_of_zero } => {
                let given = request.int(*slot);
                put_number(&mut out, *number, if given == 0 { *instead_of_zero } else { given } as u64);
                continue;
            }
            Source::Begin => {
                put_chunk_number(&mut out, *number);
                inside_from = out.len();
                continue;
            }
            Source::End => {
                put_length_before(&mut out, inside_from);
                continue;
            }
        };
        if !text.is_empty() {
            put_chunk(&mut out, *number, text);
        }
    }
    PyBytes::new(py, &out)
}

/// Whether a group has what it needs to be of use to its recipient.
fn fit(request: &Request<'_>, needs: &Needs) -> bool {
    needs.split_first().is_none_or(|(first, others)| {
        let given = |slot: &usize| request.has_text(*slot);
        given(first) && others.iter().any(given)
    })
}

/// Of UTF-8, which the interpreter looks at itself.
fn string<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if text.is_empty() {
        return Ok(intern!(py, "").clone().into_any());
    }
    Ok(PyString::from_bytes(py, text)?.into_any())
}

fn int(py: Python<'_>, number: i64) -> PyResult<Bound<'_, PyAny>> {
    Ok(number.into_pyobject(py)?.into_any())
}

fn column_of(row: &Bound<'_, PyTuple>) -> PyResult<Column> {
    let kind: String = row.get_item(0)?.extract()?;
    let slot = |at: usize| -> PyResult<usize> { row.get_item(at)?.extract() };
    let make = |at: usize| -> PyResult<Py<PyAny>> { Ok(row.get_item(at)?.unbind()) };
    Ok(match kind.as_str() {
        "text" => Column::Text { slot: slot(1)?, required: row.get_item(2)?.extract()? },
        "int" => Column::Int { slot: slot(1)?, instead_of_zero: row.get_item(2)?.extract()? },
        "bool" => Column::Bool { slot: slot(1)? },
        "time" => Column::Time { slot: slot(1)?, ahead_ms: row.get_item(2)?.extract()? },
        "ip" => Column::Ip { slot: slot(1)? },
        "masked" => Column::Masked { slot: slot(1)?, make: make(2)? },
        "iin" => Column::Iin,
        "truncated_iin" => Column::TruncatedIin,
        "last4" => Column::Last4,
        "group" => {
            let mut parts = Vec::new();
            for part in row.get_item(3)?.try_iter()? {
                let (kind, slot): (String, usize) = part?.extract()?;
                parts.push(match kind.as_str() {
                    "text" => Part::Text(slot),
                    "int" => Part::Int(slot),
                    "optional_int" => Part::OptionalInt(slot),
                    _ => return Err(PyValueError::new_err("a part that this engine does not know")),
                });
            }
            Column::Group {
                make: NamedTuple::of(&row.get_item(1)?)?,
                parts,
                present: slot(2)?,
                optional: row.get_item(4)?.extract()?,
                bit: row.get_item(5)?.extract()?,
                needs: row.get_item(6)?.extract()?,
            }
        }
        "location" => Column::Location {
            make: make(1)?,
            latitude: slot(2)?,
            longitude: slot(3)?,
            present: slot(4)?,
            bit: row.get_item(5)?.extract()?,
        },
        "raws" => Column::Raws { make: make(1)?, slot: slot(2)? },
        "written" => Column::Written { fields: sources_of(&row.get_item(1)?)? },
        "new_list" => Column::NewList,
        "presence" => Column::Presence { both: (slot(1)?, slot(2)?), bit: row.get_item(3)?.extract()? },
        _ => return Err(PyValueError::new_err("a column that this engine does not know")),
    })
}

/// Rows of (number, column), or of (number, "begin") and (0, "end").
fn sources_of(rows: &Bound<'_, PyAny>) -> PyResult<Vec<(u64, Source)>> {
    let mut fields = Vec::new();
    for row in rows.try_iter()? {
        let (number, column): (u64, Bound<'_, PyTuple>) = row?.extract()?;
        let kind: String = column.get_item(0)?.extract()?;
        let source = match kind.as_str() {
            "text" => Source::Text(column.get_item(1)?.extract()?),
            "time" => Source::Int { slot: column.get_item(1)?.extract()?, instead_of_zero: 0 },
            "int" => Source::Int {
                slot: column.get_item(1)?.extract()?,
                instead_of_zero: column.get_item(2)?.extract()?,
            },
            "truncated_iin" => Source::TruncatedIin,
            "last4" => Source::Last4,
            "begin" => Source::Begin,
            "end" => Source::End,
            _ => return Err(PyValueError::new_err("a column that is not written")),
        };
        fields.push((number, source));
    }
    Ok(fields)
}
