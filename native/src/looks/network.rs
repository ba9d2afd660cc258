//! The network that a payment comes from: the twin of `Network` (enrichment/providers/network.py). What is not known
//! of an address yet is the twin's to look up, and to keep.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::looks::{Look, Seen, Slots, Values};

pub struct Network {
    provider: Py<PyAny>,
    /// Places in an answer, in the order of the provider's names.
    places: Vec<usize>,
}

impl Network {
    pub fn of(provider: &Bound<'_, PyAny>, tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (places,) = tables.extract()?;
        Ok(Self { provider: provider.clone().unbind(), places })
    }
}

impl Look for Network {
    fn look(&self, py: Python<'_>, _slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let sources = self.provider.bind(py).getattr(intern!(py, "_sources"))?;
        let answers = sources.getattr(intern!(py, "answers"))?.cast_into::<PyDict>()?;
        let mut columns: Vec<Values> = self.places.iter().map(|_| Vec::with_capacity(batch.len())).collect();
        for one in batch {
            let ip = one.read.layout.ip(&one.request).unwrap_or_default();
            if ip.is_empty() {
                columns.iter_mut().for_each(|column| column.push(None));
                continue;
            }
            let of_network = match ip.rsplit_once('.') {
                Some((network, _)) => answers.get_item(network)?,
                None => None,
            };
            let answer = match of_network {
                Some(answer) => answer,
                None => match answers.get_item(&*ip)? {
                    Some(answer) => answer,
                    None => sources.call_method1(intern!(py, "look"), (&*ip,))?,
                },
            };
            let answer = answer.cast_into::<PyTuple>()?;
            for (column, place) in columns.iter_mut().zip(&self.places) {
                let value = answer.get_item(*place)?;
                column.push((!value.is_none()).then(|| value.unbind()));
            }
        }
        Ok(columns)
    }
}
