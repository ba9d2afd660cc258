//! JSON of a share's fields, without spaces: what `json.dumps` of the standard library gives.

use std::io::Write;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::bytes::decimal::Text;

/// Deepest nesting: fields are small dicts and lists.
const MOST_LEVELS: usize = 8;

/// Whole numbers below this have one shortest text. Of others there may be two, and Python takes the nearer one.
const MOST_PLAIN: f64 = 1e15;

/// UTF-8 JSON of texts, whole numbers, finite numbers, booleans, None, and lists and dicts of them.
#[pyfunction]
pub fn json<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(1024);
    write(&mut out, value, 0)?;
    Ok(PyBytes::new(py, &out))
}

pub fn write(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, level: usize) -> PyResult<()> {
    if level > MOST_LEVELS {
        return Err(PyValueError::new_err("nested too deep"));
    }
    if let Ok(text) = value.cast::<PyString>() {
        quoted(out, text.to_str()?);
    } else if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(truth) = value.cast::<PyBool>() {
        out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
    } else if let Ok(number) = value.cast::<PyInt>() {
        match number.extract::<i64>() {
            Ok(small) => write_number(out, small),
            Err(_) => out.extend_from_slice(number.str()?.to_str()?.as_bytes()),
        }
    } else if let Ok(number) = value.cast::<PyFloat>() {
        if !number.value().is_finite() {
            return Err(PyValueError::new_err("JSON has finite numbers only"));
        }
        let plain = number.value();
        if (plain.fract() == 0.0 && plain.abs() < MOST_PLAIN) || has_one_text(plain) {
            let _ = write!(out, "{plain:?}");
        } else {
            out.extend_from_slice(number.repr()?.to_str()?.as_bytes());
        }
    } else if let Ok(members) = value.cast::<PyDict>() {
        out.push(b'{');
        for (at, (name, member)) in members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            quoted(out, name.cast::<PyString>()?.to_str()?);
            out.push(b':');
            write(out, &member, level + 1)?;
        }
        out.push(b'}');
    } else if let Ok(items) = value.cast::<PyList>() {
        list(out, items.iter(), level)?;
    } else if let Ok(items) = value.cast::<PyTuple>() {
        list(out, items.iter(), level)?;
    } else {
        return Err(PyTypeError::new_err("no JSON value"));
    }
    Ok(())
}

/// Whether both languages have one shortest text for it, in the same form. Two are as near as each other only where
/// the number ends half way between them: below 2^10 that takes 27 zero bits at its end, so that 20 are far from it.
/// Python writes what is under 1e-4 with an exponent.
fn has_one_text(number: f64) -> bool {
    let size = number.abs();
    (1e-4..1024.0).contains(&size) && number.to_bits().trailing_zeros() < 20
}

/// A whole number, without an allocation.
pub fn write_number(out: &mut Vec<u8>, number: i64) {
    let mut text = Text::default();
    text.put(number);
    out.extend_from_slice(text.bytes());
}

fn list<'py>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    level: usize,
) -> PyResult<()> {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, &item, level + 1)?;
    }
    out.push(b']');
    Ok(())
}

/// RFC 8259 7: the quotation mark, the reverse solidus and the control characters are escaped.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // Most texts need no escape: looked at without a branch a byte, and copied whole.
    if !text.bytes().fold(false, |found, byte| found | matches!(byte, 0..0x20 | b'"' | b'\\')) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
