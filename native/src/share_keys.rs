//! Match keys of a payment: the twin of `match_keys` in issuernetwork/match_keys.py, for what most payments have.
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::read_request::read_of;

const STAN_DIGITS: usize = 6;
const IIN_DIGITS: usize = 6;

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
    let mut keys: Vec<String> = Vec::with_capacity(4);
    if !network.is_empty() {
        keys.push(["net:", network].concat());
    }
    if !acquirer.is_empty() && !retrieval.is_empty() {
        keys.push(["rrn:", retrieval, ":", acquirer].concat());
    }
    if !acquirer.is_empty() && !stan.is_empty() && !transmitted.is_empty() {
        let zeros = &"000000"[..STAN_DIGITS.saturating_sub(stan.len())];
        keys.push(["stan:", zeros, stan, ":", transmitted, ":", acquirer].concat());
    }
    if amount != 0 && ![currency, iin, last4, acceptor].contains(&"") {
        let iin = &iin[..iin.len().min(IIN_DIGITS)];
        keys.push(format!("cmp:{amount}:{currency}:{iin}:{last4}:{acceptor}"));
    }
    Ok(Some(PyTuple::new(py, keys)?))
}
