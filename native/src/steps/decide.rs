//! Signals of a payment and what its programs decide: the twin of `Gateway._decide` and of `decide` in
//! gateway/sharing/decide.py, for payments that are as most are. It leaves the others to them.
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyList, PyTuple};

use crate::member;
use crate::policy::arms::Line;
use crate::steps::left::left_of;
use crate::objects::made::call;
use crate::policy::masks;
use crate::policy::release::{Answer, Asked, Entry};
use crate::velocity::counted;

/// `Decider(types, arms, reasons, masks, velocity)`: the types of signals and decisions; the arms treatment, pending,
/// holdout and global holdout; the reasons shadow, ramp, holdout and no key; the masks of what any assessment says,
/// of what one that was learnt says besides, and of the callers' own; the mask of each kind of counts.
#[pyclass(frozen, module = "ein_native")]
pub struct Decider {
    types: Types,
    arms: Arms,
    reasons: Reasons,
    masks: (u128, u128, u128),
    velocity: Vec<u128>,
}

#[derive(FromPyObject)]
struct Types(
    Py<PyAny>, // Signals
    Py<PyAny>, // Decided
);

#[derive(FromPyObject)]
struct Arms(
    Py<PyAny>, // treatment
    Py<PyAny>, // pending
    Py<PyAny>, // holdout
    Py<PyAny>, // global holdout
);

#[derive(FromPyObject)]
struct Reasons(
    Py<PyAny>, // shadow
    Py<PyAny>, // ramp
    Py<PyAny>, // holdout
    Py<PyAny>, // key unavailable
);

/// What holds for all payments of a batch.
struct Rules<'a, 'py> {
    /// Issuer to what stands for each of its programs.
    standing_of: &'a Bound<'py, PyAny>,
    known: Vec<(Bound<'py, PyAny>, Bound<'py, PyList>)>,
    shared: Option<&'a Line>,
    /// Units and cards that object, where there are any.
    objecting: Option<&'a Bound<'py, PyAny>>,
    now_ms: i64,
}

impl<'py> Rules<'_, 'py> {
    fn of(&mut self, issuer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        if let Some((_, standing)) = self.known.iter().find(|(same, _)| same.is(issuer)) {
            return Ok(standing.clone());
        }
        let standing = self.standing_of.call1((issuer,))?.cast_into::<PyList>()?;
        self.known.push((issuer.clone(), standing.clone()));
        Ok(standing)
    }
}

#[pymethods]
impl Decider {
    #[new]
    fn new(
        types: Types,
        arms: Arms,
        reasons: Reasons,
        masks: (u128, u128, u128),
        velocity: Vec<u128>,
    ) -> Self {
        Self { types, arms, reasons, masks, velocity }
    }

    /// Fills in signals and decisions of works, and says which it left as they were. `standing_of(issuer)` is what
    /// stands for each of its programs in this batch; `shared` the line of the holdout that all share.
    fn decide<'py>(
        &self,
        works: &Bound<'py, PyList>,
        standing_of: &Bound<'py, PyAny>,
        shared: Option<&Bound<'py, Line>>,
        objecting: Option<&Bound<'py, PyAny>>,
        now_ms: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let shared = shared.map(|line| line.get());
        let mut rules = Rules { standing_of, known: Vec::new(), shared, objecting, now_ms };
        left_of(works, |work| self.one(work, &mut rules))
    }

    fn __repr__(&self) -> &'static str {
        "Decider(****)"
    }
}

impl Decider {
    /// None where the twin has to look.
    fn one<'py>(&self, work: &Bound<'py, PyAny>, rules: &mut Rules<'_, 'py>) -> PyResult<Option<()>> {
        let py = work.py();
        let payment = member!(work, "payment")?;
        let presence = masks::bits(&member!(payment, "presence")?);
        let (issuer, assessment) =
            (member!(work, "issuer")?, member!(work, "assessment")?);
        let asks = member!(payment, "validate_only")?.is_truthy()?;
        let again = member!(work, "duplicate")?.is_truthy()?;
        let Some(presence) = presence.filter(|_| !asks && !again) else { return Ok(None) };
        if issuer.is_none() || assessment.is_none() {
            return Ok(None);
        }
        let standing = rules.of(&issuer)?;
        if standing.is_empty() {
            return Ok(None);
        }
        let facts = member!(work, "facts")?;
        let Some(found) = self.available(&payment, &facts, &assessment)? else { return Ok(None) };
        let mask = found | presence;
        let shape = member!(work, "ship_bill_match")?;
        let Some(decided) = self.decisions(work, &payment, mask, &standing, rules)? else {
            return Ok(None);
        };
        let zero = PyInt::new(py, 0).into_any();
        let nothing = PyTuple::empty(py).into_any();
        let mask = masks::number(py, mask);
        let signals =
            call(self.types.0.bind(py), &[payment, facts, mask, zero, nothing, assessment, shape])?;
        work.setattr(intern!(py, "signals"), signals)?;
        work.setattr(intern!(py, "decided"), decided)?;
        Ok(Some(()))
    }

    /// Mask of what is known besides the request's own fields, as `assessed_signals` has it.
    fn available(
        &self,
        payment: &Bound<'_, PyAny>,
        facts: &Bound<'_, PyAny>,
        assessment: &Bound<'_, PyAny>,
    ) -> PyResult<Option<u128>> {
        let [velocity, _, _, provided] = facts.cast::<PyTuple>()?.as_slice() else { return Ok(None) };
        let Some(mut mask) = masks::bits(provided) else { return Ok(None) };
        let Some(counted) = counted::present(velocity, &self.velocity)? else { return Ok(None) };
        mask |= counted;
        let (plain, learnt, callers) = self.masks;
        mask |= plain;
        if !member!(assessment, "percentile")?.is_none() {
            mask |= learnt;
        }
        if !member!(payment, "caller_assessments")?.cast::<PyTuple>()?.is_empty() {
            mask |= callers;
        }
        Ok(Some(mask))
    }

    fn decisions<'py>(
        &self,
        work: &Bound<'py, PyAny>,
        payment: &Bound<'py, PyAny>,
        available: u128,
        standing: &Bound<'py, PyList>,
        rules: &Rules<'_, 'py>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let py = work.py();
        let unit_key = member!(work, "unit_key")?.cast_into::<PyBytes>()?;
        let objected = match rules.objecting {
            None => false,
            Some(all) => all.contains(&unit_key)? || all.contains(member!(work, "card_key")?)?,
        };
        let (region, merchant_id, platform_id) = (
            member!(payment, "cardholder_region")?,
            member!(payment, "merchant_id")?,
            member!(payment, "platform_id")?,
        );
        let (channel, mcc, country) =
            (member!(payment, "channel")?, member!(payment, "mcc")?, member!(payment, "merchant_country")?);
        let asked = Asked {
            region: &region,
            merchant_id: &merchant_id,
            platform_id: &platform_id,
            facts: [&channel, &mcc, &country],
            amount_minor: &member!(payment, "amount_minor")?,
            available,
            below_quality: 0,
            now_ms: rules.now_ms,
            objected,
        };
        let withhold = member!(work, "item")?.cast::<PyTuple>()?.get_item(2)?;
        let decided = PyList::empty(py);
        let mut held_out = None;
        for program in standing.iter() {
            let [entry, refused, engine, has_key, line, shadow] = program.cast::<PyTuple>()?.as_slice() else {
                return Err(PyTypeError::new_err("what stands for a program has six parts"));
            };
            if !refused.is_none() {
                decided.append(refused)?;
                continue;
            }
            let Ok(engine) = engine.cast_exact::<Entry>() else { return Ok(None) };
            let Some(answer) = engine.get().answer(py, &asked) else { return Ok(None) };
            let one = match answer? {
                Answer::Withheld(withheld) => {
                    let reason = member!(withheld, "reason")?;
                    self.types.1.bind(py).call1((entry, reason))?
                }
                Answer::Released(release) if !has_key.is_truthy()? => {
                    let no = PyBool::new(py, false).to_owned().into_any();
                    let zero = PyInt::new(py, 0).into_any();
                    let reason = self.reasons.3.bind(py).clone();
                    call(self.types.1.bind(py), &[entry.clone(), reason, no, zero, release])?
                }
                Answer::Released(release) => {
                    // Consent, key and quality allow it: from here on the arm is drawn and kept, whatever fails.
                    let unit = unit_key.as_bytes();
                    let held_out = *held_out.get_or_insert_with(|| {
                        rules.shared.is_some_and(|line| line.arm_of(unit).is(&self.arms.2))
                    });
                    let Ok(line) = line.cast_exact::<Line>() else { return Ok(None) };
                    let arm = if held_out { &self.arms.3 } else { line.get().arm_of(unit) };
                    let reason = if shadow.is_truthy()? {
                        self.reasons.0.bind(py).clone()
                    } else if arm.is(&self.arms.0) {
                        withhold.clone()
                    } else if arm.is(&self.arms.1) {
                        self.reasons.1.bind(py).clone()
                    } else {
                        self.reasons.2.bind(py).clone()
                    };
                    let eligible = PyBool::new(py, true).to_owned().into_any();
                    let arm = arm.bind(py).clone();
                    call(self.types.1.bind(py), &[entry.clone(), reason, eligible, arm, release])?
                }
            };
            decided.append(one)?;
        }
        Ok(Some(decided))
    }
}
