//! The same walk as `ProgramEntry.release_by_twin` (gateway/programs/release.py), over the same dicts and tuples, which
//! it neither copies nor keeps a reading of. The rules are written down there; here is what they say most often.
//! Whatever is unusual (another type, a number beyond its bits) is answered None: ask the twin.
use crate::policy::covering::{Consents, signed};
use crate::objects::made::NamedTuple;
use crate::policy::masks;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFrozenSet, PyString, PyTuple, PyType};

/// `Answers(query, release, no_tier, opted_out, withheld, widened)`: the two types, the numbers of two tiers, the
/// refusals in the order of the rules, and what adds those of data below quality. `entry(...)` is an `Entry`, or
/// None for what the engine does not know.
#[pyclass(frozen, module = "ein_native")]
pub struct Answers {
    query: Py<PyType>,
    release: NamedTuple,
    no_tier: i64,
    opted_out: i64,
    withheld: Withheld,
    widened: Py<PyAny>,
}

#[derive(FromPyObject)]
struct Withheld(
    Py<PyAny>, // outside validity
    Py<PyAny>, // attestation expired
    Py<PyAny>, // region unknown
    Py<PyAny>, // region not covered
    Py<PyAny>, // opted out
    Py<PyAny>, // no consent
    Py<PyAny>, // objected
    Py<PyAny>, // condition not met
    Py<PyAny>, // below quality
);

#[pymethods]
impl Answers {
    #[new]
    fn new(
        query: Bound<'_, PyType>,
        release: Bound<'_, PyAny>,
        no_tier: i64,
        opted_out: i64,
        withheld: Withheld,
        widened: Py<PyAny>,
    ) -> PyResult<Self> {
        let (query, release) = (query.unbind(), NamedTuple::of(&release)?);
        Ok(Self { query, release, no_tier, opted_out, withheld, widened })
    }

    fn entry(
        slf: &Bound<'_, Self>,
        valid_ms: (Bound<'_, PyAny>, Bound<'_, PyAny>),
        attestation_expires_ms: &Bound<'_, PyAny>,
        grants: &Bound<'_, PyAny>,
        consents: &Bound<'_, PyAny>,
        when: &Bound<'_, PyAny>,
    ) -> Option<Entry> {
        Some(Entry {
            answers: slf.clone().unbind(),
            valid_from_ms: signed(&valid_ms.0)?,
            valid_until_ms: signed(&valid_ms.1)?,
            attestation_expires_ms: signed(attestation_expires_ms)?,
            grants: grants.cast_exact::<PyDict>().ok()?.clone().unbind(),
            consents: consents.cast_exact::<Consents>().ok()?.clone().unbind(),
            when: if when.is_none() { None } else { Some(When::of(when)?) },
        })
    }
}

/// One program at one issuer, with no standing refusal. All entries of a table ask the same consents.
#[pyclass(frozen, module = "ein_native")]
pub struct Entry {
    answers: Py<Answers>,
    valid_from_ms: i64,
    valid_until_ms: i64,
    attestation_expires_ms: i64,
    grants: Py<PyDict>,
    consents: Py<Consents>,
    when: Option<When>,
}

/// Conditions, all of which have to hold: sets to be in, and the bounds of the amount.
struct When {
    sets: [Option<Py<PyFrozenSet>>; 3],
    amount_from: i64,
    amount_below: i64,
}

impl When {
    fn of(when: &Bound<'_, PyAny>) -> Option<Self> {
        let [channels, mccs, countries, from, below] = when.cast::<PyTuple>().ok()?.as_slice() else {
            return None;
        };
        let set = |given: &Bound<'_, PyAny>| match given.is_none() {
            true => Some(None),
            false => Some(Some(given.cast_exact::<PyFrozenSet>().ok()?.clone().unbind())),
        };
        Some(Self {
            sets: [set(channels)?, set(mccs)?, set(countries)?],
            amount_from: signed(from)?,
            amount_below: if below.is_none() { i64::MAX } else { signed(below)? },
        })
    }

    /// None for what the twin has to look at: what has no hash, or is no number of 64 bits.
    fn holds(&self, facts: [&Bound<'_, PyAny>; 3], amount: &Bound<'_, PyAny>) -> Option<bool> {
        for (set, fact) in self.sets.iter().zip(facts) {
            if let Some(set) = set
                && !set.bind(fact.py()).contains(fact).ok()?
            {
                return Some(false);
            }
        }
        let amount = signed(amount)?;
        Some(self.amount_from <= amount && amount < self.amount_below)
    }
}

/// What a release depends on besides the policy, as `Query` of the twin.
pub struct Asked<'a, 'py> {
    pub region: &'a Bound<'py, PyAny>,
    pub merchant_id: &'a Bound<'py, PyAny>,
    pub platform_id: &'a Bound<'py, PyAny>,
    /// Channel, merchant category, country of the merchant.
    pub facts: [&'a Bound<'py, PyAny>; 3],
    pub amount_minor: &'a Bound<'py, PyAny>,
    pub available: u128,
    pub below_quality: u128,
    pub now_ms: i64,
    pub objected: bool,
}

pub enum Answer<'py> {
    /// A `Release`.
    Released(Bound<'py, PyAny>),
    /// A `Withhold`.
    Withheld(Bound<'py, PyAny>),
}

#[pymethods]
impl Entry {
    fn release<'py>(&self, query: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(asked) = self.asked(query) else { return Ok(None) };
        Ok(match self.answer(query.py(), &asked).transpose()? {
            Some(Answer::Released(answer) | Answer::Withheld(answer)) => Some(answer),
            None => None,
        })
    }
}

impl Entry {
    fn asked<'a, 'py>(&self, query: &'a Bound<'py, PyAny>) -> Option<Asked<'a, 'py>> {
        if !query.get_type().is(&self.answers.get().query) {
            return None;
        }
        let [region, merchant_id, platform_id, facts @ .., available, below_quality, now_ms, objected] =
            query.cast::<PyTuple>().ok()?.as_slice()
        else {
            return None;
        };
        let [channel, mcc, amount_minor, merchant_country] = facts else {
            return None;
        };
        Some(Asked {
            region,
            merchant_id,
            platform_id,
            facts: [channel, mcc, merchant_country],
            amount_minor,
            available: masks::bits(available)?,
            below_quality: masks::bits(below_quality)?,
            now_ms: signed(now_ms)?,
            objected: objected.cast_exact::<PyBool>().ok()?.is_true(),
        })
    }

    /// None for what the twin has to look at.
    pub fn answer<'py>(&self, py: Python<'py>, asked: &Asked<'_, 'py>) -> Option<PyResult<Answer<'py>>> {
        let answers = self.answers.get();
        let withhold = |refusal: &Py<PyAny>| Some(Ok(Answer::Withheld(refusal.bind(py).clone())));
        let (withheld, now_ms) = (&answers.withheld, asked.now_ms);
        if !(self.valid_from_ms <= now_ms && now_ms < self.valid_until_ms) {
            return withhold(&withheld.0);
        }
        if now_ms >= self.attestation_expires_ms {
            return withhold(&withheld.1);
        }
        let Some(grants) = look_up(self.grants.bind(py), asked.region)? else {
            let unknown = asked.region.cast_exact::<PyString>().ok()?.is_empty().ok()?;
            return withhold(if unknown { &withheld.2 } else { &withheld.3 });
        };
        let Some(consent) = self.consents.get().covering(asked.merchant_id, asked.platform_id)? else {
            return withhold(&withheld.5);
        };
        if consent.tier <= answers.no_tier {
            let opted_out = consent.tier == answers.opted_out;
            return withhold(if opted_out { &withheld.4 } else { &withheld.5 });
        }
        if !(consent.from_ms <= now_ms && now_ms < consent.until_ms) {
            return withhold(&withheld.5);
        }
        let tier = usize::try_from(consent.tier).ok()?;
        let grant = grants.cast::<PyTuple>().ok()?.as_slice().get(tier)?;
        let [granted_number, refusals] = grant.cast::<PyTuple>().ok()?.as_slice() else {
            return None;
        };
        let granted = masks::bits(granted_number)?;
        if granted == 0 {
            return withhold(&withheld.5);
        }
        if asked.objected {
            return withhold(&withheld.6);
        }
        if let Some(when) = &self.when
            && !when.holds(asked.facts, asked.amount_minor)?
        {
            return withhold(&withheld.7);
        }
        let there = granted & asked.available;
        let mask = there & !asked.below_quality;
        if mask == 0 {
            return withhold(&withheld.8);
        }
        let refusals = match mask == there {
            true => refusals.clone(),
            false => match answers.widened.bind(py).call1((refusals, there & !mask)) {
                Ok(widened) => widened,
                Err(error) => return Some(Err(error)),
            },
        };
        let mask = match mask == granted {
            true => granted_number.clone(),
            false => masks::number(py, mask),
        };
        let made = answers.release.make(py, vec![mask, refusals, consent.consent_id.into_bound(py)]);
        Some(made.map(Answer::Released))
    }
}

/// None for a key that is no plain text; else what stands there, if something does.
fn look_up<'py>(dict: &Bound<'py, PyDict>, key: &Bound<'py, PyAny>) -> Option<Option<Bound<'py, PyAny>>> {
    dict.get_item(key.cast_exact::<PyString>().ok()?).ok()
}
