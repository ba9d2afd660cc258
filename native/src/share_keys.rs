//! Match keys of a payment: the twin of `match_keys` in issuernetwork/match_keys.py, for what most payments have.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

const STAN_DIGITS: usize = 6;
const IIN_DIGITS: usize = 6;

/// Keys, the strongest first; None for what is not plain ASCII: the twin knows what is blank there.
#[pyfunction]
pub fn match_keys<'py>(payment: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let py = payment.py();
    let names = [
        intern!(py, "network_match_key"),
        intern!(py, "acquiring_institution_id"),
        intern!(py, "retrieval_reference_number"),
        intern!(py, "stan"),
        intern!(py, "transmission_date_time"),
        intern!(py, "currency"),
        intern!(py, "iin"),
        intern!(py, "last4"),
        intern!(py, "card_acceptor_id"),
    ];
    let mut values = [const { None }; 9];
    for (value, name) in values.iter_mut().zip(names) {
        *value = Some(payment.getattr(name)?.cast_into::<PyString>()?);
    }
    let mut texts = [""; 9];
    for (text, value) in texts.iter_mut().zip(&values) {
        let Some(value) = value else { return Ok(None) };
        let given = value.to_str()?;
        if !given.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Ok(None);
        }
        *text = given.trim_matches(' ');
    }
    let [network, acquirer, retrieval, stan, transmitted, currency, iin, last4, acceptor] = texts;
    let Ok(amount) = payment.getattr(intern!(py, "amount_minor"))?.extract::<i64>() else { return Ok(None) };
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
