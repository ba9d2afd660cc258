//! Match keys of a payment: the twin of `match_keys` in issuernetwork/match_keys.py, for what most payments have.
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::bytes::json;
use crate::request::read_request::read_of;

const STAN_DIGITS: usize = 6;
const IIN_DIGITS: usize = 6;
/// Room for most keys.
const MOST_BYTES: usize = 96;

/// Keys, the strongest first; None of what the engine has not read, and of what is not plain ASCII: the twin knows
/// what is blank there.
#[pyfunction]
pub fn match_keys<'py>(payment: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let py = payment.py();
    let Some(read) = read_of(payment)? else { return Ok(None) };
    let read = read.get();
    let (request, own) = (read.request(py), &read.layout.own);
    let mut texts = [
        request.text(own.network_match_key),
        request.text(own.acquiring_institution_id),
        request.text(own.retrieval_reference_number),
        request.text(own.stan),
        request.text(own.transmission_date_time),
        request.text(own.currency),
        request.iin(),
        request.last4(),
        request.text(own.card_acceptor_id),
    ];
    for text in &mut texts {
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Ok(None);
        }
        *text = text.trim_matches(' ');
    }
    let [network, acquirer, retrieval, stan, transmitted, currency, iin, last4, acceptor] = texts;
    let amount = request.int(own.amount_minor);
    if stan.starts_with(['+', '-']) {
        return Ok(None); // Python fills up behind a sign
    }
    let (mut keys, mut key) = (Vec::with_capacity(4), String::with_capacity(MOST_BYTES));
    let mut put = |parts: &[&str]| {
        key.clear();
        parts.iter().for_each(|part| key.push_str(part));
        keys.push(PyString::new(py, &key));
    };
    if !network.is_empty() {
        put(&["net:", network]);
    }
    if !acquirer.is_empty() && !retrieval.is_empty() {
        put(&["rrn:", retrieval, ":", acquirer]);
    }
    if !acquirer.is_empty() && !stan.is_empty() && !transmitted.is_empty() {
        let zeros = &"000000"[..STAN_DIGITS.saturating_sub(stan.len())];
        put(&["stan:", zeros, stan, ":", transmitted, ":", acquirer]);
    }
    if amount != 0 && ![currency, iin, last4, acceptor].contains(&"") {
        let iin = &iin[..iin.len().min(IIN_DIGITS)];
        let mut number = Vec::with_capacity(20);
        json::write_number(&mut number, amount);
        let amount = str::from_utf8(&number).unwrap_or_default(); // digits alone
        put(&["cmp:", amount, ":", currency, ":", iin, ":", last4, ":", acceptor]);
    }
    Ok(Some(PyTuple::new(py, keys)?))
}
