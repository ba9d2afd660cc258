//! What covers a payment: the stricter of what merchant and platform said, by the registry or else by the documents.
use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple};

use crate::policy::consent_rows::Said;
use crate::policy::consents::{MERCHANT, PLATFORM, Registered};

/// `Consents(merchants, platforms)`: what one table's documents say, as dicts of consents. `follow(registered)`
/// says whose rows go before theirs. The twin is `Consents` in gateway/programs/consent_rows.py.
#[pyclass(frozen, module = "ein_native")]
pub struct Consents {
    merchants: Py<PyDict>,
    platforms: Py<PyDict>,
    registered: OnceLock<Py<Registered>>,
    /// The programs of an issuer ask one after the other for the same payment.
    last: Mutex<Option<Last>>,
}

struct Last {
    merchant_id: Py<PyString>,
    platform_id: Py<PyString>,
    generation: u64,
    stands: Option<Stands>,
}

/// What merchant and platform come to: the stricter tier, while both hold.
pub struct Stands {
    pub tier: i64,
    pub from_ms: i64,
    pub until_ms: i64,
    pub consent_id: Py<PyAny>,
}

impl Stands {
    fn copy(&self, py: Python<'_>) -> Self {
        let Self { tier, from_ms, until_ms, .. } = *self;
        Self { tier, from_ms, until_ms, consent_id: self.consent_id.clone_ref(py) }
    }
}

#[pymethods]
impl Consents {
    #[new]
    fn new(merchants: Bound<'_, PyDict>, platforms: Bound<'_, PyDict>) -> Self {
        let (merchants, platforms) = (merchants.unbind(), platforms.unbind());
        Self { merchants, platforms, registered: OnceLock::new(), last: Mutex::new(None) }
    }

    fn follow(&self, registered: Bound<'_, Registered>) -> PyResult<()> {
        let followed = self.registered.get_or_init(|| registered.clone().unbind());
        *self.last.lock().expect("no panic while it was held") = None;
        match followed.is(&registered) {
            true => Ok(()),
            false => Err(PyValueError::new_err("it follows another registry")),
        }
    }
}

impl Consents {
    /// What covers a payment, or None where both are silent. The outer None is for the twin.
    pub fn covering(&self, merchant_id: &Bound<'_, PyAny>, platform_id: &Bound<'_, PyAny>) -> Option<Option<Stands>> {
        let py = merchant_id.py();
        let (merchant_id, platform_id) =
            (merchant_id.cast_exact::<PyString>().ok()?, platform_id.cast_exact::<PyString>().ok()?);
        let registered = self.registered.get().map(|registered| registered.get());
        // Before the rows are read: what is taken in meanwhile is asked for again.
        let generation = registered.map_or(0, |registered| registered.generation.load(Ordering::Acquire));
        let mut last = self.last.lock().expect("no panic while it was held");
        if let Some(last) = &*last
            && last.merchant_id.is(merchant_id)
            && last.platform_id.is(platform_id)
            && last.generation == generation
        {
            return Some(last.stands.as_ref().map(|stands| stands.copy(py)));
        }
        let merchant = of_party(registered, &self.merchants, MERCHANT, merchant_id)?;
        let platform = of_party(registered, &self.platforms, PLATFORM, platform_id)?;
        let stands = match (merchant, platform) {
            (Some(merchant), Some(platform)) => Some(stricter(merchant, platform)),
            (merchant, platform) => merchant.or(platform), // who is silent leaves it to the other
        };
        let answer = stands.as_ref().map(|stands| stands.copy(py));
        let (merchant_id, platform_id) = (merchant_id.clone().unbind(), platform_id.clone().unbind());
        *last = Some(Last { merchant_id, platform_id, generation, stands });
        Some(answer)
    }
}

/// The merchant's where both say the same; and only while the word of both holds.
fn stricter(merchant: Stands, platform: Stands) -> Stands {
    let from_ms = merchant.from_ms.max(platform.from_ms);
    let until_ms = merchant.until_ms.min(platform.until_ms);
    let one = if platform.tier < merchant.tier { platform } else { merchant };
    Stands { from_ms, until_ms, ..one }
}

fn of_party(
    registered: Option<&Registered>,
    documents: &Py<PyDict>,
    party: u8,
    id: &Bound<'_, PyString>,
) -> Option<Option<Stands>> {
    let py = id.py();
    if let Some(registered) = registered
        && let Ok(text) = id.to_str()
        && let Some((Said { tier, from_ms, until_ms, .. }, consent_id)) = registered.stands(party, text)
    {
        let consent_id = PyString::new(py, &consent_id).into_any().unbind();
        return Some(Some(Stands { tier: i64::from(tier), from_ms, until_ms, consent_id }));
    }
    let Some(found) = documents.bind(py).get_item(id).ok()? else { return Some(None) };
    let [tier, from_ms, until_ms, consent_id] = found.cast::<PyTuple>().ok()?.as_slice() else { return None };
    Some(Some(Stands {
        tier: signed(tier)?,
        from_ms: signed(from_ms)?,
        until_ms: signed(until_ms)?,
        consent_id: consent_id.clone().unbind(),
    }))
}

pub fn signed(value: &Bound<'_, PyAny>) -> Option<i64> {
    value.cast_exact::<PyInt>().ok()?.extract().ok()
}
