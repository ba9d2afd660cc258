//! Providers that go by the payment alone, and card testing, which counts few payments: the twins of `Contact`,
//! `Authentication`, `Iin`, `Merchant` and `CardTesting` (enrichment/providers).
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};

use crate::looks::{CARD, DEVICE, Look, MERCHANT, Seen, Slots, Values};

fn truth(py: Python<'_>, is: bool) -> Option<Py<PyAny>> {
    Some(PyBool::new(py, is).to_owned().into_any().unbind())
}

fn number(py: Python<'_>, number: i64) -> PyResult<Option<Py<PyAny>>> {
    Ok(Some(number.into_pyobject(py)?.into_any().unbind()))
}

/// Three digits as a number.
fn three(digits: &[u8]) -> Option<usize> {
    let all = digits.len() == 3 && digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |number, digit| 10 * number + usize::from(digit - b'0')))
}

/// Kinds of domains, digits of local parts, and whether a telephone number is of the billing country.
pub struct Contact {
    /// Whatever domain it is asked for, it has an entry.
    kinds: Py<PyAny>,
    /// By the first three digits of a number.
    countries: Vec<Vec<String>>,
}

impl Contact {
    pub fn of(tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (kinds, by_prefix): (Bound<'_, PyAny>, Bound<'_, PyDict>) = tables.extract()?;
        let mut countries = vec![Vec::new(); 1_000];
        for (prefix, those) in by_prefix.iter() {
            let prefix = three(prefix.extract::<String>()?.as_bytes());
            let prefix = prefix.ok_or_else(|| PyValueError::new_err("a prefix has three digits"))?;
            countries[prefix] = those.try_iter()?.map(|one| one?.extract()).collect::<PyResult<_>>()?;
        }
        Ok(Self { kinds: kinds.unbind(), countries })
    }

    fn fits(&self, phone: &str, country: &str) -> bool {
        let prefix = phone.as_bytes().get(1..4).and_then(three);
        prefix.is_some_and(|prefix| self.countries[prefix].iter().any(|one| one == country))
    }
}

impl Look for Contact {
    fn look(&self, py: Python<'_>, slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let mut columns: [Values; 3] = std::array::from_fn(|_| Vec::with_capacity(batch.len()));
        let [kinds, digits, fits] = &mut columns;
        for one in batch {
            let email = one.request.text(slots.email);
            if email.is_empty() {
                kinds.push(None);
                digits.push(None);
            } else {
                let (local, domain) = email.rsplit_once('@').unwrap_or(("", email));
                let kind = self.kinds.bind(py).get_item(PyString::new(py, domain))?;
                kinds.push((!kind.is_none()).then(|| kind.unbind()));
                let others = local.bytes().filter(|byte| !byte.is_ascii_digit()).count();
                let all = local.len();
                digits.push(number(py, if others < all { 100 - (100 * others / all) as i64 } else { 0 })?);
            }
            let (phone, country) =
                (one.request.text(slots.phone_e164), one.request.text(slots.billing_country));
            let known = !phone.is_empty() && !country.is_empty();
            fits.push(if known { truth(py, self.fits(phone, country)) } else { None });
        }
        Ok(columns.into())
    }
}

/// Of v1.Initiation: by the merchant.
const MIT: i64 = 2;

/// Whether the results of authentication go together.
pub struct Authentication {
    fits: Vec<(i64, i64, String)>,
    judged: Vec<i64>,
}

impl Authentication {
    pub fn of(tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (fits, judged) = tables.extract()?;
        Ok(Self { fits, judged })
    }
}

impl Look for Authentication {
    fn look(&self, py: Python<'_>, slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let mut fits: Values = Vec::with_capacity(batch.len());
        for one in batch {
            let request = &one.request;
            let (network, status) = (request.int(slots.network), request.int(slots.trans_status));
            let eci = request.text(slots.eci);
            let kept_value = matches!(request.text_bytes(slots.cvv_result), b"M" | b"m");
            fits.push(if kept_value && request.int(slots.initiation) == MIT {
                truth(py, false)
            } else if !eci.is_empty() && status != 0 && self.judged.contains(&network) {
                let goes = |one: &(i64, i64, String)| one.0 == network && one.1 == status && one.2 == eci;
                truth(py, self.fits.iter().any(goes))
            } else {
                None
            });
        }
        Ok(vec![fits])
    }
}

/// How a kind of business is judged, and how a merchant's payments turned out.
pub struct Merchant {
    provider: Py<PyAny>,
    risks: Py<PyDict>,
    other_risk: Py<PyAny>,
}

impl Merchant {
    pub fn of(provider: &Bound<'_, PyAny>, tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (risks, other_risk) = tables.extract()?;
        Ok(Self { provider: provider.clone().unbind(), risks, other_risk })
    }
}

impl Look for Merchant {
    fn look(&self, py: Python<'_>, slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let mut risks: Values = Vec::with_capacity(batch.len());
        for one in batch {
            let mcc = one.request.text(slots.mcc);
            risks.push(if mcc.is_empty() {
                None
            } else {
                let risk = self.risks.bind(py).get_item(mcc)?;
                Some(risk.map_or_else(|| self.other_risk.clone_ref(py), Bound::unbind))
            });
        }
        let rates = self.provider.bind(py).getattr(intern!(py, "_rates"))?;
        if !rates.is_truthy()? {
            return Ok(vec![risks]);
        }
        let (mut frauds, mut disputes) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for one in batch {
            let of = (&one.sender_id, one.request.text(slots.merchant_id));
            let found = rates.call_method1(intern!(py, "get"), (of,))?;
            let (fraud, dispute): (Option<Py<PyAny>>, Option<Py<PyAny>>) =
                if found.is_none() { (None, None) } else { found.extract()? };
            frauds.push(fraud);
            disputes.push(dispute);
        }
        Ok(vec![risks, frauds, disputes])
    }
}

/// What a table has of the leading digits of the card.
pub struct Iin {
    provider: Py<PyAny>,
    /// Of an entry, the fewest and the most.
    digits: (usize, usize),
}

impl Iin {
    pub fn of(provider: &Bound<'_, PyAny>, tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        Ok(Self { provider: provider.clone().unbind(), digits: tables.extract()? })
    }

    /// Of two entries that fit, the longer one.
    fn entry<'py>(&self, iins: &Bound<'py, PyDict>, iin: &str) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let (fewest, most) = self.digits;
        for digits in (fewest..=most.min(iin.len())).rev() {
            if let Some(found) = iins.get_item(&iin[..digits])? {
                return Ok(Some(found.cast_into()?));
            }
        }
        Ok(None)
    }
}

impl Look for Iin {
    fn look(&self, py: Python<'_>, _slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let iins = self.provider.bind(py).getattr(intern!(py, "_iins"))?.cast_into::<PyDict>()?;
        let mut columns: [Values; 3] = std::array::from_fn(|_| Vec::with_capacity(batch.len()));
        for one in batch {
            let entry = self.entry(&iins, one.request.truncated_iin())?;
            for (place, column) in columns.iter_mut().enumerate() {
                let value = entry.as_ref().map(|entry| entry.get_item(place)).transpose()?;
                column.push(value.filter(|value| !value.is_none()).map(Bound::unbind));
            }
        }
        Ok(columns.into())
    }
}

/// Whether somebody tries cards. What counts, or begins another window, is the twin's to count.
pub struct CardTesting {
    provider: Py<PyAny>,
    verdicts: Vec<Py<PyAny>>,
    /// Minor units to the dollar, by currency; of most currencies the last.
    minor: Vec<(String, i64)>,
    minor_else: i64,
    small_dollars: i64,
}

impl CardTesting {
    pub fn of(provider: &Bound<'_, PyAny>, tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (verdicts, minor, minor_else, small_dollars): (_, Bound<'_, PyDict>, _, _) = tables.extract()?;
        let mut minor: Vec<(String, i64)> = minor.items().extract()?;
        minor.sort_unstable();
        if minor_else <= 0 || minor.iter().any(|(_, units)| *units <= 0) {
            return Err(PyValueError::new_err("a dollar has minor units"));
        }
        Ok(Self { provider: provider.clone().unbind(), verdicts, minor, minor_else, small_dollars })
    }

    fn is_small(&self, amount_minor: i64, currency: &str) -> bool {
        let found = self.minor.binary_search_by(|(code, _)| code.as_str().cmp(currency));
        let minor = found.map_or(self.minor_else, |at| self.minor[at].1);
        amount_minor.div_euclid(minor) < self.small_dollars
    }
}

/// What the windows say, for as long as the twin has counted nothing.
struct Windows<'py> {
    until_ms: i64,
    merchants: Bound<'py, PyDict>,
    devices: Bound<'py, PyDict>,
}

impl<'py> Windows<'py> {
    fn of(provider: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = provider.py();
        let verdicts = |window: &Bound<'py, PyString>| -> PyResult<Bound<'py, PyDict>> {
            Ok(provider.getattr(window)?.getattr(intern!(py, "verdicts"))?.cast_into()?)
        };
        Ok(Self {
            until_ms: provider.getattr(intern!(py, "_until_ms"))?.extract()?,
            merchants: verdicts(intern!(py, "_merchants"))?,
            devices: verdicts(intern!(py, "_devices"))?,
        })
    }

    /// Index of the verdict on a payment that does not count.
    fn verdict(&self, merchant: u64, device: u64) -> PyResult<usize> {
        let kept = |verdicts: &Bound<'_, PyDict>, key: u64| -> PyResult<usize> {
            if verdicts.is_empty() {
                return Ok(0);
            }
            Ok(verdicts.get_item(key)?.map_or(Ok(0), |kept| kept.extract::<usize>())? >> 1)
        };
        // At most possible by its merchant: others pay there too.
        Ok(kept(&self.merchants, merchant)?.min(1).max(kept(&self.devices, device)?))
    }
}

impl Look for CardTesting {
    fn look(&self, py: Python<'_>, slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let provider = self.provider.bind(py);
        let mut windows = Windows::of(provider)?;
        let mut verdicts: Values = Vec::with_capacity(batch.len());
        for one in batch {
            let (request, [merchant, device]) = (&one.request, [MERCHANT, DEVICE].map(|kind| one.keys[kind]));
            let at_ms = request.int(slots.initiated_at_ms);
            let small = self.is_small(request.int(slots.amount_minor), request.text(slots.currency));
            let fails = matches!(request.text_bytes(slots.cvv_result), b"N" | b"n");
            if small || fails || at_ms >= windows.until_ms {
                let asked = (one.keys[CARD], merchant, device, at_ms, small, fails, &one.counts);
                verdicts.push(Some(provider.call_method1(intern!(py, "verdict"), asked)?.unbind()));
                windows = Windows::of(provider)?;
                continue;
            }
            let verdict = self.verdicts.get(windows.verdict(merchant, device)?);
            verdicts.push(verdict.map(|verdict| verdict.clone_ref(py)));
        }
        let leaving = provider.getattr(intern!(py, "_late"))?;
        if !leaving.getattr(intern!(py, "_dicts"))?.is_empty()? {
            leaving.call_method0(intern!(py, "step"))?;
        }
        Ok(vec![verdicts])
    }
}
