//! Reads of a message on the wire the fields that a table names, each to its place in a named tuple: the twin of
//! what `make_row_of` in gateway/records/rows.py gives. What is unusual (a field twice that is no list, a number too
//! long, a text that is none) the twin reads.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};

use crate::objects::made::{Filling, NamedTuple};
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

/// `RowReader(kind, rows, twin)`: a named tuple, and in the order of its members (number, kind, reader of what is
/// nested); who reads what is unusual, of a reader that is asked directly.
#[pyclass(frozen, module = "ein_native")]
pub struct RowReader {
    kind: NamedTuple,
    /// By field number.
    places: Vec<Option<Place>>,
    /// What stands where a message has no such field.
    defaults: Vec<Py<PyAny>>,
    twin: Py<PyAny>,
}

#[pymethods]
impl RowReader {
    #[new]
    fn new(
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        rows: Vec<(usize, String, Option<Py<RowReader>>)>,
        twin: Py<PyAny>,
    ) -> PyResult<Self> {
        let mut made = Self { kind: NamedTuple::of(kind)?, places: Vec::new(), defaults: Vec::new(), twin };
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

    fn read<'py>(&self, message: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        match self.row(message.py(), message.as_bytes())? {
            Some(row) => Ok(row),
            None => self.twin.bind(message.py()).call1((message,)),
        }
    }

    fn __repr__(&self) -> &'static str {
        "RowReader(****)"
    }
}

impl RowReader {
    /// None of what is unusual.
    fn row<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut row = Row { filling: self.kind.filling(py, self.defaults.len())?, lists: Vec::new() };
        for field in Fields::of(message) {
            let Ok((number @ 1..=MOST_NUMBER, value)) = field else { return Ok(None) };
            let Some(Some(place)) = self.places.get(number) else { continue };
            if !place.take(py, value, &mut row)? {
                return Ok(None);
            }
        }
        for (slot, values) in row.lists {
            row.filling.put(slot, PyTuple::new(py, values)?.into_any());
        }
        Ok(Some(row.filling.done(|slot| self.defaults[slot].bind(py).clone())))
    }
}

/// A row on its way.
struct Row<'py> {
    filling: Filling<'py>,
    /// Members that are lists, which are few, by their places.
    lists: Vec<(usize, Vec<Bound<'py, PyAny>>)>,
}

impl<'py> Row<'py> {
    fn push(&mut self, slot: usize, one: Bound<'py, PyAny>) {
        match self.lists.iter_mut().find(|(of, _)| *of == slot) {
            Some((_, values)) => values.push(one),
            None => self.lists.push((slot, vec![one])),
        }
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
}

impl Place {
    /// False of what is unusual.
    fn take<'py>(&self, py: Python<'py>, value: Value<'_>, row: &mut Row<'py>) -> PyResult<bool> {
        let one = match (&self.kind, value) {
            (Kind::Text | Kind::Texts, Value::Bytes(bytes)) => match PyString::from_bytes(py, bytes) {
                Ok(text) => text.into_any(),
                Err(_) => return Ok(false),
            },
            (Kind::Bytes, Value::Bytes(bytes)) => PyBytes::new(py, bytes).into_any(),
            (Kind::Int64, Value::Varint(number)) => PyInt::new(py, number as i64).into_any(),
            (Kind::Int32 | Kind::Ints32, Value::Varint(number)) => match small(py, number) {
                Some(number) => number,
                None => return Ok(false),
            },
            (Kind::Ints32, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    let Some(number) = varint(&mut packed).and_then(|number| small(py, number)) else {
                        return Ok(false);
                    };
                    row.push(self.slot, number);
                }
                return Ok(true);
            }
            (Kind::Row(nested) | Kind::Rows(nested), Value::Bytes(message)) => {
                match nested.get().row(py, message)? {
                    Some(nested) => nested,
                    None => return Ok(false),
                }
            }
            _ => return Ok(false),
        };
        match self.kind {
            Kind::Texts | Kind::Ints32 | Kind::Rows(_) => row.push(self.slot, one),
            _ if row.filling.has(self.slot) => return Ok(false),
            _ => row.filling.put(self.slot, one),
        }
        Ok(true)
    }
}

/// A number of 32 bits, as it is written where it is negative too.
fn small<'py>(py: Python<'py>, number: u64) -> Option<Bound<'py, PyAny>> {
    i32::try_from(number as i64).ok().map(|number| PyInt::new(py, number).into_any())
}
