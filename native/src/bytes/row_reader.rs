//! Reads of a message on the wire the fields that a table names, each to its place in a named tuple: the twin of
//! `row_by_twin` in gateway/records/rows.py. Of what is unusual (a field twice that is no list, a number too long,
//! a text that is none) it says None, and the twin reads it.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};

use crate::request::made::NamedTuple;
use crate::bytes::wire::{Fields, Value, varint};

/// Highest number of a field (Protocol Buffers, "Assigning Field Numbers").
const MOST_NUMBER: usize = (1 << 29) - 1;

enum Kind {
    Text,
    Bytes,
    Int32,
    Int64,
    Row(Py<RowReader>),
    Texts,
    Ints32,
    Rows(Py<RowReader>),
}

struct Place {
    slot: usize,
    kind: Kind,
}

/// `RowReader(kind, rows)`: a named tuple, and in the order of its members (number, kind, reader of what is nested).
#[pyclass(frozen, module = "ein_native")]
pub struct RowReader {
    kind: NamedTuple,
    /// By field number.
    places: Vec<Option<Place>>,
    /// What stands where a message has no such field.
    defaults: Vec<Py<PyAny>>,
}

#[pymethods]
impl RowReader {
    #[new]
    fn new(
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        rows: Vec<(usize, String, Option<Py<RowReader>>)>,
    ) -> PyResult<Self> {
        let mut made = Self { kind: NamedTuple::of(kind)?, places: Vec::new(), defaults: Vec::new() };
        for (slot, (number, kind, nested)) in rows.into_iter().enumerate() {
            let kind = Kind::of(&kind, nested)?;
            made.defaults.push(kind.default(py)?);
            if number >= made.places.len() {
                made.places.resize_with(number + 1, || None);
            }
            made.places[number] = Some(Place { slot, kind });
        }
        Ok(made)
    }

    /// The named tuple, or None of what is unusual.
    fn read<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.row(py, message)
    }

    fn __repr__(&self) -> &'static str {
        "RowReader(****)"
    }
}

/// One member on its way.
enum Member<'py> {
    None,
    One(Bound<'py, PyAny>),
    Many(Vec<Bound<'py, PyAny>>),
}

impl RowReader {
    fn row<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut members: Vec<Member<'py>> = self.defaults.iter().map(|_| Member::None).collect();
        for field in Fields::of(message) {
            let Ok((number @ 1..=MOST_NUMBER, value)) = field else { return Ok(None) };
            let Some(Some(place)) = self.places.get(number) else { continue };
            if !place.kind.take(py, value, &mut members[place.slot])? {
                return Ok(None);
            }
        }
        let values = members.into_iter().zip(&self.defaults).map(|(member, default)| match member {
            Member::None => Ok(default.bind(py).clone()),
            Member::One(value) => Ok(value),
            Member::Many(values) => Ok(PyTuple::new(py, values)?.into_any()),
        });
        let values = values.collect::<PyResult<Vec<_>>>()?;
        self.kind.make(py, values).map(Some)
    }
}

impl Kind {
    fn of(name: &str, nested: Option<Py<RowReader>>) -> PyResult<Self> {
        match (name, nested) {
            ("text", None) => Ok(Self::Text),
            ("bytes", None) => Ok(Self::Bytes),
            ("int32", None) => Ok(Self::Int32),
            ("int64", None) => Ok(Self::Int64),
            ("texts", None) => Ok(Self::Texts),
            ("ints32", None) => Ok(Self::Ints32),
            ("row", Some(nested)) => Ok(Self::Row(nested)),
            ("rows", Some(nested)) => Ok(Self::Rows(nested)),
            _ => Err(PyValueError::new_err("a kind of member that is not known")),
        }
    }

    fn default(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Text => PyString::new(py, "").into_any().unbind(),
            Self::Bytes => PyBytes::new(py, b"").into_any().unbind(),
            Self::Int32 | Self::Int64 => PyInt::new(py, 0).into_any().unbind(),
            Self::Texts | Self::Ints32 | Self::Rows(_) => PyTuple::empty(py).into_any().unbind(),
            Self::Row(nested) => match nested.get().row(py, b"")? {
                Some(row) => row.unbind(),
                None => return Err(PyValueError::new_err("a row without members")),
            },
        })
    }

    /// False of what is unusual.
    fn take<'py>(&self, py: Python<'py>, value: Value<'_>, to: &mut Member<'py>) -> PyResult<bool> {
        let one = match (self, value) {
            (Self::Text | Self::Texts, Value::Bytes(bytes)) => match str::from_utf8(bytes) {
                Ok(text) => PyString::new(py, text).into_any(),
                Err(_) => return Ok(false),
            },
            (Self::Bytes, Value::Bytes(bytes)) => PyBytes::new(py, bytes).into_any(),
            (Self::Int64, Value::Varint(number)) => PyInt::new(py, number as i64).into_any(),
            (Self::Int32 | Self::Ints32, Value::Varint(number)) => match small(py, number) {
                Some(number) => number,
                None => return Ok(false),
            },
            (Self::Ints32, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    let Some(number) = varint(&mut packed).and_then(|number| small(py, number)) else {
                        return Ok(false);
                    };
                    to.push(number);
                }
                return Ok(true);
            }
            (Self::Row(nested) | Self::Rows(nested), Value::Bytes(message)) => {
                match nested.get().row(py, message)? {
                    Some(row) => row,
                    None => return Ok(false),
                }
            }
            _ => return Ok(false),
        };
        match (self, &to) {
            (Self::Texts | Self::Ints32 | Self::Rows(_), _) => to.push(one),
            (_, Member::None) => *to = Member::One(one),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl<'py> Member<'py> {
    fn push(&mut self, one: Bound<'py, PyAny>) {
        match self {
            Self::Many(all) => all.push(one),
            _ => *self = Self::Many(vec![one]),
        }
    }
}

/// A number of 32 bits, as it is written where it is negative too.
fn small<'py>(py: Python<'py>, number: u64) -> Option<Bound<'py, PyAny>> {
    i32::try_from(number as i64).ok().map(|number| PyInt::new(py, number).into_any())
}
