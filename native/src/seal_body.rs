//! JSON of a sealed body, the twin of `body_by_twin` in gateway/sealing/body.py.
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::json;

/// What most bodies fit in.
const FIRST_CAPACITY: usize = 2048;

/// Of a body whose fields are all in the one dict.
const NOTHING: &[u8] = b"";

/// `routing` has the members that a program has at an issuer, and `more` what follows `fields` in their object,
/// as JSON without braces.
#[pyfunction]
#[pyo3(signature = (share_id, routing, card_token, token_epoch, matching, fields, more=NOTHING))]
#[allow(clippy::too_many_arguments)] // the parts of a body, one by one, without a container
pub fn sealed_body<'py>(
    py: Python<'py>,
    share_id: &str,
    routing: &[u8],
    card_token: &str,
    token_epoch: i64,
    matching: &Bound<'py, PyAny>,
    fields: &Bound<'py, PyDict>,
    more: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(FIRST_CAPACITY);
    out.extend_from_slice(b"{\"share_id\":");
    json::quoted(&mut out, share_id);
    out.push(b',');
    out.extend_from_slice(routing);
    out.extend_from_slice(b",\"card_token\":");
    json::quoted(&mut out, card_token);
    out.extend_from_slice(b",\"token_epoch\":");
    json::write_number(&mut out, token_epoch);
    out.extend_from_slice(b",\"match\":");
    json::write(&mut out, matching, 1)?;
    out.extend_from_slice(b",\"fields\":");
    json::write(&mut out, fields, 1)?;
    if !more.is_empty() {
        out.pop(); // the brace
        if !fields.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(more);
        out.push(b'}');
    }
    out.push(b'}');
    Ok(PyBytes::new(py, &out))
}
