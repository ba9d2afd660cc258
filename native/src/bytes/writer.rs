//! Writes a protobuf message of a few scalar fields, by a table of (field number, kind).

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::bytes::wire::{Fields, Value, put_chunk, put_chunk_number, put_double, put_length_before, put_number};

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bytes,
    Varint,
    Double,
    /// A repeated field of texts, as a tuple or a list.
    Texts,
    /// The same of bytes; None among them is written as an empty one.
    Chunks,
    /// Fields that are serialized already.
    Raw,
    /// A message of the fields that follow up to its end. Neither takes a value.
    Begin,
    End,
}

/// `Writer(fields)`; `write(values)` is the message. A value that is 0 or empty is left out, as proto3 has it.
#[pyclass(frozen, module = "ein_native")]
pub struct Writer {
    fields: Vec<(u64, Kind)>,
    values: usize,
    /// The field of another message that this one stands in, if it is written for that.
    within: Option<u64>,
}

/// Most messages fit: an evaluation with one share has 900 bytes.
const FIRST_CAPACITY: usize = 1024;

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (fields, within=None))]
    fn new(fields: Vec<(u64, String)>, within: Option<u64>) -> PyResult<Self> {
        let kind = |name: &str| match name {
            "text" => Ok(Kind::Text),
            "bytes" => Ok(Kind::Bytes),
            "varint" => Ok(Kind::Varint),
            "double" => Ok(Kind::Double),
            "texts" => Ok(Kind::Texts),
            "chunks" => Ok(Kind::Chunks),
            "raw" => Ok(Kind::Raw),
            "begin" => Ok(Kind::Begin),
            "end" => Ok(Kind::End),
            _ => Err(PyValueError::new_err("a kind of field that this engine does not know")),
        };
        let fields = fields.iter().map(|(number, name)| Ok((*number, kind(name)?)));
        let fields: Vec<(u64, Kind)> = fields.collect::<PyResult<_>>()?;
        let (mut open, mut values) = (false, 0);
        for (_, kind) in &fields {
            match kind {
                Kind::Begin if !open => open = true,
                Kind::End if open => open = false,
                Kind::Begin | Kind::End => return Err(PyValueError::new_err("one message within, and its end")),
                _ => values += 1,
            }
        }
        if open {
            return Err(PyValueError::new_err("a message within has its end"));
        }
        Ok(Self { fields, values, within })
    }

    fn write<'py>(&self, py: Python<'py>, values: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::with_capacity(FIRST_CAPACITY);
        self.put(&mut out, values.as_slice())?;
        Ok(PyBytes::new(py, &out))
    }
}

impl Writer {
    /// As `write`, behind what stands in `out`.
    pub fn put(&self, out: &mut Vec<u8>, values: &[Bound<'_, PyAny>]) -> PyResult<()> {
        if values.len() != self.values {
            return Err(PyTypeError::new_err("one value for each field"));
        }
        if let Some(number) = self.within {
            put_chunk_number(out, number);
        }
        let (content_from, mut inside_from) = (out.len(), 0);
        let mut given = values.iter();
        for (number, kind) in &self.fields {
            if let Kind::Begin = kind {
                put_chunk_number(out, *number);
                inside_from = out.len();
                continue;
            }
            if let Kind::End = kind {
                put_length_before(out, inside_from);
                continue;
            }
            let value = given.next().ok_or_else(|| PyTypeError::new_err("one value for each field"))?;
            match kind {
                Kind::Begin | Kind::End => {}
                Kind::Text => {
                    let text = value.cast::<PyString>()?.to_str()?;
                    if !text.is_empty() {
                        put_chunk(out, *number, text.as_bytes());
                    }
                }
                Kind::Bytes => {
                    let bytes = value.cast::<PyBytes>()?.as_bytes();
                    if !bytes.is_empty() {
                        put_chunk(out, *number, bytes);
                    }
                }
                Kind::Varint => {
                    let number_given = match value.extract::<i64>() {
                        Ok(signed) => signed as u64, // negative numbers in two's complement
                        Err(_) => value.extract::<u64>()?,
                    };
                    put_number(out, *number, number_given);
                }
                Kind::Double => put_double(out, *number, value.extract()?),
                Kind::Texts => {
                    for text in value.try_iter()? {
                        put_chunk(out, *number, text?.cast::<PyString>()?.to_str()?.as_bytes());
                    }
                }
                Kind::Chunks => {
                    for bytes in value.try_iter()? {
                        let bytes = bytes?;
                        let content = if bytes.is_none() { &[] } else { bytes.cast::<PyBytes>()?.as_bytes() };
                        put_chunk(out, *number, content);
                    }
                }
                Kind::Raw => out.extend_from_slice(value.cast::<PyBytes>()?.as_bytes()),
            }
        }
        if self.within.is_some() {
            put_length_before(out, content_from);
        }
        Ok(())
    }
}

/// Contents of a repeated field, where the message has no other field; else None: the library then reads it.
#[pyfunction]
pub fn occurrences<'py>(
    py: Python<'py>,
    number: usize,
    message: &[u8],
) -> PyResult<Option<Bound<'py, PyList>>> {
    let found = PyList::empty(py);
    for field in Fields::of(message) {
        match field {
            Ok((at, Value::Bytes(content))) if at == number => found.append(PyBytes::new(py, content))?,
            _ => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// Two numbers and two lengths.
const MOST_BYTES_AROUND: usize = 40;

/// Each content as field `inner` of a message that is a field `outer`, one after the other.
#[pyfunction]
pub fn nested<'py>(
    py: Python<'py>,
    outer: u64,
    inner: u64,
    contents: Vec<Bound<'py, PyBytes>>,
) -> Bound<'py, PyBytes> {
    let size: usize = contents.iter().map(|content| content.as_bytes().len() + MOST_BYTES_AROUND).sum();
    let mut out = Vec::with_capacity(size);
    for content in contents {
        put_chunk_number(&mut out, outer);
        let from = out.len();
        put_chunk(&mut out, inner, content.as_bytes());
        put_length_before(&mut out, from);
    }
    PyBytes::new(py, &out)
}
