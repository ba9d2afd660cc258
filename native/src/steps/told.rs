//! What became of a batch, once it is durable: the twin of `told` in gateway/sharing/commit.py.
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::member;

/// Puts the answers of works in their places among `results`, and counts: how many works were to be withheld, how
/// many decisions released. Those that withheld are added to `withheld`, by reason.
#[pyfunction]
pub fn told<'py>(
    works: &Bound<'py, PyList>,
    results: &Bound<'py, PyList>,
    withheld: &Bound<'py, PyDict>,
) -> PyResult<(usize, usize)> {
    let (mut degraded, mut released) = (0, 0);
    // By identity, since a reason is one object: few of them, so that a look along them is quicker than a hash.
    let mut reasons: Vec<(Bound<'py, PyAny>, i64)> = Vec::new();
    for work in works.iter() {
        let index: usize = member!(work, "index")?.extract()?;
        results.set_item(index, member!(work, "answer")?)?;
        degraded += usize::from(!member!(work, "item")?.cast::<PyTuple>()?.get_item(2)?.is_none());
        for decided in member!(work, "decided")?.try_iter()? {
            let reason = member!(decided?, "reason")?;
            if reason.is_none() {
                released += 1;
            } else if let Some((_, count)) = reasons.iter_mut().find(|(same, _)| same.is(&reason)) {
                *count += 1;
            } else {
                reasons.push((reason, 1));
            }
        }
    }
    for (reason, count) in reasons {
        let before = withheld.get_item(&reason)?.map_or(Ok(0), |before| before.extract::<i64>())?;
        withheld.set_item(reason, before + count)?;
    }
    Ok((degraded, released))
}
