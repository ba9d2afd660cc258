//! Providers that remember numbers by key: the twins of `DeviceContinuity` and `Amounts` (enrichment/providers).
//! What they remember stays in the dicts of `Kept` (enrichment/providers/kept.py).
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple};

use crate::looks::{CARD, DEVICE, Look, MERCHANT, Seen, Slots, Values};

const DAY_MS: i64 = 86_400_000;

/// A `Kept` for the time of a batch.
struct Kept<'py> {
    kept: Bound<'py, PyAny>,
    young: Bound<'py, PyDict>,
    /// Whether nothing is old.
    all_young: bool,
}

impl<'py> Kept<'py> {
    fn of(kept: Bound<'py, PyAny>) -> PyResult<Self> {
        let py = kept.py();
        let young = kept.getattr(intern!(py, "young"))?.cast_into()?;
        let all_young = kept.getattr(intern!(py, "_old"))?.cast::<PyDict>()?.is_empty();
        Ok(Self { kept, young, all_young })
    }

    fn get(&self, key: &Bound<'py, PyInt>) -> PyResult<Option<i64>> {
        let found = match self.young.get_item(key)? {
            Some(found) => found,
            None if self.all_young => return Ok(None),
            None => self.kept.call_method1(intern!(key.py(), "old"), (key,))?,
        };
        if found.is_none() { Ok(None) } else { Ok(Some(found.extract()?)) }
    }

    /// Once a batch, a call only where there is something to do.
    fn settle(&self, day: i64, generation_days: i64) -> PyResult<()> {
        let py = self.kept.py();
        let since: i64 = self.kept.getattr(intern!(py, "_since_day"))?.extract()?;
        let half: usize = self.kept.getattr(intern!(py, "_half"))?.extract()?;
        let leaving = self.kept.getattr(intern!(py, "_leaving"))?.getattr(intern!(py, "_dicts"))?;
        let quiet = since != 0 && self.young.len() <= half && day < since + generation_days;
        if !quiet || !leaving.is_empty()? {
            self.kept.call_method1(intern!(py, "settle"), (day,))?;
        }
        Ok(())
    }
}

fn day_of(slots: &Slots, one: &Seen<'_, '_>) -> i64 {
    one.request.int(slots.initiated_at_ms).div_euclid(DAY_MS)
}

/// Days since a pair of card and device was first seen.
pub struct Device {
    provider: Py<PyAny>,
    generation_days: i64,
}

impl Device {
    pub fn of(provider: &Bound<'_, PyAny>, tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (generation_days,) = tables.extract()?;
        Ok(Self { provider: provider.clone().unbind(), generation_days })
    }
}

impl Look for Device {
    fn look(&self, py: Python<'_>, slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let provider = self.provider.bind(py);
        let first = Kept::of(provider.getattr(intern!(py, "_first"))?)?;
        let today = || provider.getattr(intern!(py, "_today"));
        let lacks = || provider.getattr(intern!(py, "lacking"))?.is_truthy();
        let (mut day_now, mut young_memory) = (today()?, lacks()?);
        let mut ages: Values = Vec::with_capacity(batch.len());
        for one in batch {
            let (card, device) = (one.keys[CARD], one.keys[DEVICE]);
            if card == 0 || device == 0 {
                ages.push(None);
                continue;
            }
            let pair = (card ^ device).into_pyobject(py)?;
            let day = day_of(slots, one);
            let age = match first.get(&pair)? {
                Some(since) => Some((day - since).max(0)),
                None => {
                    if day_now.extract::<i64>()? != day {
                        provider.call_method1(intern!(py, "_turn"), (day,))?;
                        (day_now, young_memory) = (today()?, lacks()?);
                    }
                    first.young.set_item(&pair, &day_now)?; // one number for all pairs of a day
                    if young_memory { None } else { Some(0) }
                }
            };
            ages.push(match age {
                Some(age) => Some(age.into_pyobject(py)?.into_any().unbind()),
                None => None,
            });
        }
        if let Some(one) = batch.first() {
            first.settle(day_of(slots, one), self.generation_days)?;
        }
        Ok(vec![ages])
    }
}

/// Of a packed number: how many payments in the low bits; above them the mean.
const COUNT_BITS: u32 = 11;
const COUNT: i64 = (1 << COUNT_BITS) - 1;
/// Means are kept in sixteenths of a minor unit.
const SIXTEENTHS: i64 = 16;

/// Amounts in percent of the mean of a card's, and of a merchant's, earlier ones.
pub struct Amounts {
    provider: Py<PyAny>,
    generation_days: i64,
    /// What is as much or more counts for nothing.
    amount_end: i64,
    percent_max: i64,
    /// What a currency's letters are multiplied by, so that it has keys of its own.
    spread: u64,
}

impl Amounts {
    pub fn of(provider: &Bound<'_, PyAny>, tables: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let (generation_days, amount_end, percent_max, spread) = tables.extract()?;
        Ok(Self { provider: provider.clone().unbind(), generation_days, amount_end, percent_max, spread })
    }

    /// As `apart` (enrichment/providers/kept.py); 0 where the amount is nothing or absurd.
    fn apart(&self, slots: &Slots, one: &Seen<'_, '_>) -> u64 {
        let amount = one.request.int(slots.amount_minor);
        if amount <= 0 || amount >= self.amount_end {
            return 0;
        }
        let letters = one.request.text_bytes(slots.currency).iter().rev();
        letters.fold(0u64, |number, letter| number << 8 | u64::from(*letter)).wrapping_mul(self.spread)
    }

    /// The twin of `_Means.percents`.
    fn percents(
        &self,
        means: &Bound<'_, PyAny>,
        kind: usize,
        day: i64,
        slots: &Slots,
        batch: &[Seen<'_, '_>],
    ) -> PyResult<Values> {
        let py = means.py();
        let kept = Kept::of(means.getattr(intern!(py, "kept"))?)?;
        let least: i64 = means.getattr(intern!(py, "_least"))?.extract()?;
        let counted: i64 = means.getattr(intern!(py, "_counted"))?.extract()?;
        let mut percents: Values = Vec::with_capacity(batch.len());
        for one in batch {
            let (key, apart) = (one.keys[kind], self.apart(slots, one));
            let key = if key == 0 || apart == 0 { 0 } else { key ^ apart };
            if key == 0 {
                percents.push(None);
                continue;
            }
            let amount = one.request.int(slots.amount_minor) * SIXTEENTHS;
            let key = key.into_pyobject(py)?;
            let packed = kept.get(&key)?.unwrap_or(0);
            if packed == 0 {
                kept.young.set_item(&key, amount << COUNT_BITS | 1)?;
                percents.push(None);
                continue;
            }
            let (count, mean) = (packed & COUNT, packed >> COUNT_BITS);
            let seen = if count < counted { count + 1 } else { count };
            kept.young.set_item(&key, (mean + (amount - mean).div_euclid(seen)) << COUNT_BITS | seen)?;
            percents.push(if count < least {
                None
            } else {
                let percent = (100 * amount).div_euclid(if mean == 0 { 1 } else { mean }).min(self.percent_max);
                Some(percent.into_pyobject(py)?.into_any().unbind())
            });
        }
        kept.settle(day, self.generation_days)?;
        Ok(percents)
    }
}

impl Look for Amounts {
    fn look(&self, py: Python<'_>, slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>> {
        let provider = self.provider.bind(py);
        let day = batch.first().map_or(0, |one| day_of(slots, one));
        let (cards, merchants) =
            (provider.getattr(intern!(py, "_cards"))?, provider.getattr(intern!(py, "_merchants"))?);
        Ok(vec![
            self.percents(&cards, CARD, day, slots, batch)?,
            self.percents(&merchants, MERCHANT, day, slots, batch)?,
        ])
    }
}
