//! What is released is sealed, and a payment's answer and record are written, in one step: the twin of
//! `Gateway._seal` and `Gateway._write` in gateway/sharing/gateway.py, for payments that are as most are.
use std::mem;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyList, PyString, PyTuple};

use crate::member;
use crate::steps::asked::Asked;
use crate::steps::left::left_of;
use crate::sealing::mac::{Letters, text_of};
use crate::policy::masks;
use crate::request::read_request::{ReadRequest, read_of};
use crate::sealing::share::{OnePayment, Order, Room, ShareTarget, Shares};
use crate::sealing::share_keys;
use crate::bytes::writer::Writer;

/// What most records and answers fit in.
const RECORD_CAPACITY: usize = 8192;
const ANSWER_CAPACITY: usize = 1024;

/// `Concluder(shares, writers, outcomes, apart, told)`: the writers of answer, record and withheld decision; the
/// reason shadow with its outcome in a record, and the outcome of all others; the mask of the fields that the twin
/// makes; and how many of an assessment's members an answer has.
#[pyclass(frozen, module = "ein_native")]
pub struct Concluder {
    shares: Py<Shares>,
    writers: Writers,
    outcomes: Outcomes,
    apart: u128,
    told: usize,
    /// Lent to the batch in hand.
    parts: Mutex<Parts>,
}

/// What stands for decisions whatever the payment is, as Python made it.
#[derive(Default)]
struct Parts {
    /// Entry and reason to what answer and record say where no field was looked at.
    withheld: Asked,
    /// Entry and refusals to what its decisions have in common in a record.
    standing: Asked,
}

#[derive(FromPyObject)]
struct Writers(
    Py<Writer>, // answer
    Py<Writer>, // record
    Py<Writer>, // withheld decision, in its record
);

#[derive(FromPyObject)]
struct Outcomes(
    Py<PyAny>, // shadow, the reason
    Py<PyAny>, // its outcome
    Py<PyAny>, // outcome of what is withheld for another
);

/// What a batch has for its works, and what it asked Python for: by identity, and all of it lives as long as the
/// batch does. Few of each, so that a look along them is quicker than a hash.
struct Common<'a, 'py> {
    /// Entry to its target and what is held, or None for what the twin seals.
    target_of: &'a Bound<'py, PyAny>,
    targets: Vec<(usize, Option<Target<'py>>)>,
    withheld_of: &'a Bound<'py, PyAny>,
    part_of: &'a Bound<'py, PyAny>,
    parts: Parts,
    match_keys: &'a Bound<'py, PyAny>,
    issues_of: &'a Bound<'py, PyAny>,
    /// What was left out to what an answer says of it: nothing else is told of payments that are as most are.
    issues: Vec<(usize, Bound<'py, PyBytes>)>,
    tail: &'a Bound<'py, PyBytes>,
    frame: &'a Bound<'py, PyBytes>,
    expires_at_ms: i64,
    told: Vec<u8>,
    recorded: Vec<u8>,
    /// Of the message that is written.
    out: Vec<u8>,
}

#[derive(Clone)]
struct Target<'py> {
    target: Bound<'py, ShareTarget>,
    /// Counts down the messages that its content key may still seal.
    held: Bound<'py, PyAny>,
}

/// One decision that is to be sealed.
struct Released<'py> {
    decided: Bound<'py, PyAny>,
    target: Target<'py>,
    mask: u128,
    part: Bound<'py, PyBytes>,
    consent_id: Bound<'py, PyString>,
    arm: i64,
}

struct Withheld<'py> {
    decided: Bound<'py, PyAny>,
    /// What the answer says, and the record where no field was looked at.
    told: Bound<'py, PyTuple>,
    release: Bound<'py, PyAny>,
    reason: Bound<'py, PyAny>,
}

/// A decision with what answer and record say of it, in their order.
enum Said<'py> {
    Released(Released<'py>),
    Withheld(Withheld<'py>),
}

#[pymethods]
impl Concluder {
    #[new]
    fn new(shares: Py<Shares>, writers: Writers, outcomes: Outcomes, apart: u128, told: usize) -> Self {
        Self { shares, writers, outcomes, apart, told, parts: Mutex::default() }
    }

    /// Seals, and fills in answers and records; says which works it left as they were. `ask`: (target of an entry,
    /// parts of a withheld entry, standing part, match keys, issues), each a function of Python, the same at each call;
    /// `parts`: the end of the answers and the beginning of the records that are the same for all.
    fn conclude<'py>(
        &self,
        works: &Bound<'py, PyList>,
        ask: &Bound<'py, PyTuple>,
        parts: (Bound<'py, PyBytes>, Bound<'py, PyBytes>),
        expires_at_ms: i64,
    ) -> PyResult<Bound<'py, PyList>> {
        let [target_of, withheld_of, part_of, match_keys, issues_of] = ask.as_slice() else {
            return Err(PyTypeError::new_err("five functions to ask"));
        };
        let mut common = Common {
            target_of,
            targets: Vec::new(),
            withheld_of,
            part_of,
            parts: self.swapped(Parts::default()),
            match_keys,
            issues_of,
            issues: Vec::new(),
            tail: &parts.0,
            frame: &parts.1,
            expires_at_ms,
            told: Vec::with_capacity(ANSWER_CAPACITY),
            recorded: Vec::with_capacity(RECORD_CAPACITY),
            out: Vec::with_capacity(RECORD_CAPACITY),
        };
        let left = left_of(works, |work| self.one(work, &mut common));
        self.swapped(common.parts);
        left
    }

    fn __repr__(&self) -> &'static str {
        "Concluder(****)"
    }
}

impl Concluder {
    /// Python is never called, and nothing of it let go of, while the lock is held.
    fn swapped(&self, parts: Parts) -> Parts {
        mem::replace(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner), parts)
    }

    /// None where the twin has to do it; then nothing was sealed. What fails behind the seal can be sealed no more.
    fn one<'py>(&self, work: &Bound<'py, PyAny>, common: &mut Common<'_, 'py>) -> PyResult<Option<()>> {
        let py = work.py();
        let payment = member!(work, "payment")?;
        let Some(read) = read_of(&payment)? else { return Ok(None) };
        let item = member!(work, "item")?;
        let [sender_id, _, withhold] = item.cast::<PyTuple>()?.as_slice() else { return Ok(None) };
        let signals = member!(work, "signals")?;
        let written = member!(payment, "written")?.cast_into::<PyBytes>()?;
        let asks = member!(payment, "validate_only")?.is_truthy()?;
        let told_to_mend = member!(payment, "field_issues")?.is_truthy()?
            || member!(signals, "quality")?.is_truthy()?;
        if asks || told_to_mend || !withhold.is_none() || written.as_bytes().is_empty() {
            return Ok(None);
        }
        let Some((said, sealed)) = said(work, common, self.apart)? else { return Ok(None) };
        common.told.clear();
        common.recorded.clear();
        if sealed {
            let sender_id = sender_id.cast::<PyString>()?.to_str()?;
            self.seal(&payment, &read, &signals, sender_id, &said, common)?;
        } else {
            for one in &said {
                self.withhold(one, common)?;
            }
        }
        read.get().drop_pan();
        work.setattr(intern!(py, "sealed"), true)?;
        let answer = self.answer(work, &payment, &signals, common)?;
        let record = self.record(work, sender_id, &signals, &answer, &written, common)?;
        work.setattr(intern!(py, "tail"), common.tail)?;
        work.setattr(intern!(py, "answer"), answer)?;
        work.setattr(intern!(py, "record"), record)?;
        Ok(Some(()))
    }

    fn seal<'py>(
        &self,
        payment: &Bound<'py, PyAny>,
        read: &Bound<'py, ReadRequest>,
        signals: &Bound<'py, PyAny>,
        sender_id: &str,
        all: &[Said<'py>],
        common: &mut Common<'_, 'py>,
    ) -> PyResult<()> {
        let py = payment.py();
        let keys = match share_keys::match_keys(payment)? {
            Some(keys) => keys,
            None => common.match_keys.call1((payment,))?.cast_into::<PyTuple>()?,
        };
        let digits = read.get().pan(py);
        let shares = self.shares.get();
        let mut room = shares.swapped(Room::default());
        let mut one_payment =
            OnePayment::of(signals, digits, sender_id, &keys, common.expires_at_ms, &mut room)?;
        let nothing = PyBytes::new(py, b"");
        for one in all {
            let Said::Released(released) = one else {
                self.withhold(one, common)?;
                continue;
            };
            let order = Order {
                target: released.target.target.get(),
                mask: released.mask,
                made: nothing.clone(),
                part: released.part.clone(),
                consent_id: released.consent_id.clone(),
                arm: released.arm,
            };
            let share_id: Letters =
                shares.share(&mut one_payment, &order, &mut common.told, &mut common.recorded)?;
            released.decided.setattr(intern!(py, "share_id"), text_of(py, &share_id))?;
        }
        shares.swapped(room);
        Ok(())
    }

    fn withhold<'py>(&self, one: &Said<'py>, common: &mut Common<'_, 'py>) -> PyResult<()> {
        let Said::Withheld(Withheld { decided, told, release, reason }) = one else { return Ok(()) };
        let [told, recorded] = told.as_slice() else {
            return Err(PyTypeError::new_err("what answer and record say"));
        };
        common.told.extend_from_slice(told.cast::<PyBytes>()?.as_bytes());
        if release.is_none() {
            common.recorded.extend_from_slice(recorded.cast::<PyBytes>()?.as_bytes());
            return Ok(());
        }
        let py = decided.py();
        let [_, refusals, consent_id] = release.cast::<PyTuple>()?.as_slice() else {
            return Err(PyTypeError::new_err("a release has three parts"));
        };
        let part = common.part(&member!(decided, "entry")?, refusals)?.into_any();
        let in_shadow = reason.is(&self.outcomes.0);
        let outcome = if in_shadow { &self.outcomes.1 } else { &self.outcomes.2 }.bind(py).clone();
        let (arm, eligible) =
            (member!(decided, "arm")?, member!(decided, "eligible")?);
        let values = [part, consent_id.clone(), outcome, reason.clone(), arm, eligible];
        self.writers.2.get().put(&mut common.recorded, &values)
    }

    fn answer<'py>(
        &self,
        work: &Bound<'py, PyAny>,
        payment: &Bound<'py, PyAny>,
        signals: &Bound<'py, PyAny>,
        common: &mut Common<'_, 'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let py = work.py();
        let nothing = PyBytes::new(py, b"").into_any();
        let assessment = member!(signals, "assessment")?.cast_into::<PyTuple>()?;
        let mut values = Vec::with_capacity(self.told + 5);
        values.push(member!(payment, "request_id")?);
        values.push(member!(work, "evaluation_id")?);
        values.push(common.tail.clone().into_any());
        values.extend(assessment.iter().take(self.told));
        values.extend([nothing.clone(), nothing]);
        let out = &mut common.out;
        out.clear();
        self.writers.0.get().put(out, &values)?;
        out.extend_from_slice(&common.told);
        let omissions = member!(member!(signals, "facts")?, "omissions")?;
        if omissions.is_truthy()? {
            let known = common.issues.iter().find(|(of, _)| *of == identity(&omissions));
            let told = match known {
                Some((_, told)) => told.clone(),
                None => {
                    let told = common.issues_of.call1((payment, signals))?.cast_into::<PyBytes>()?;
                    common.issues.push((identity(&omissions), told.clone()));
                    told
                }
            };
            common.out.extend_from_slice(told.as_bytes());
        }
        Ok(PyBytes::new(py, &common.out))
    }

    /// As `record_of` in gateway/sharing/record.py.
    fn record<'py>(
        &self,
        work: &Bound<'py, PyAny>,
        sender_id: &Bound<'py, PyAny>,
        signals: &Bound<'py, PyAny>,
        answer: &Bound<'py, PyBytes>,
        written: &Bound<'py, PyBytes>,
        common: &mut Common<'_, 'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let py = work.py();
        let issuer = member!(work, "issuer")?;
        let issuer_id = match issuer.is_none() {
            true => PyString::new(py, "").into_any(),
            false => member!(issuer, "issuer_id")?,
        };
        let assessment = member!(signals, "assessment")?;
        let values = [
            member!(work, "evaluation_id")?,
            member!(work, "digest")?,
            sender_id.clone(),
            issuer_id,
            member!(work, "unit_key")?,
            member!(work, "unit_source")?,
            member!(assessment, "normalised")?,
            member!(work, "velocity_keys")?,
            answer.clone().into_any(),
            PyBool::new(py, false).to_owned().into_any(),
            member!(work, "card_key")?,
            member!(work, "card_source")?,
            written.clone().into_any(),
            common.frame.clone().into_any(),
            PyBytes::new(py, b"").into_any(),
        ];
        let out = &mut common.out;
        out.clear();
        self.writers.1.get().put(out, &values)?;
        out.extend_from_slice(&common.recorded);
        Ok(PyBytes::new(py, out))
    }
}

/// The decisions of a work with what is known of each, and whether any is to be sealed. None for the twin.
fn said<'py>(
    work: &Bound<'py, PyAny>,
    common: &mut Common<'_, 'py>,
    apart: u128,
) -> PyResult<Option<(Vec<Said<'py>>, bool)>> {
    let all = member!(work, "decided")?.cast_into::<PyList>()?;
    let (mut found, mut sealed) = (Vec::with_capacity(all.len()), false);
    for decided in all.iter() {
        let entry = member!(decided, "entry")?;
        let reason = member!(decided, "reason")?;
        let release = member!(decided, "release")?;
        if !reason.is_none() {
            let told = common.parts.withheld.of(common.withheld_of, &entry, &reason)?.cast_into()?;
            found.push(Said::Withheld(Withheld { decided, told, release, reason }));
            continue;
        }
        let [mask, refusals, consent_id] = release.cast::<PyTuple>()?.as_slice() else { return Ok(None) };
        let Some(mask) = masks::bits(mask).filter(|mask| mask & apart == 0) else { return Ok(None) };
        let Some(target) = common.target(&entry)? else { return Ok(None) };
        let part = common.part(&entry, refusals)?;
        let arm = member!(decided, "arm")?.extract()?;
        let consent_id = consent_id.cast::<PyString>()?.clone();
        found.push(Said::Released(Released { decided, target, mask, part, consent_id, arm }));
        sealed = true;
    }
    Ok(Some((found, sealed)))
}

fn identity(object: &Bound<'_, PyAny>) -> usize {
    object.as_ptr() as usize
}

impl<'py> Common<'_, 'py> {
    /// What an entry's shares are sealed to, of which one message is taken; None where the twin has to look.
    fn target(&mut self, entry: &Bound<'py, PyAny>) -> PyResult<Option<Target<'py>>> {
        let py = entry.py();
        for _ in 0..2 {
            let found = match self.targets.iter().find(|(of, _)| *of == identity(entry)) {
                Some((_, found)) => found.clone(),
                None => {
                    let made = self.target_of.call1((entry,))?;
                    let made = if made.is_none() {
                        None
                    } else {
                        let [target, held, ..] = made.cast::<PyTuple>()?.as_slice() else {
                            return Err(PyTypeError::new_err("a target and what is held"));
                        };
                        Some(Target { target: target.cast::<ShareTarget>()?.clone(), held: held.clone() })
                    };
                    self.targets.push((identity(entry), made.clone()));
                    made
                }
            };
            let Some(found) = found else { return Ok(None) };
            let left: i64 = member!(found.held, "messages_left")?.extract()?;
            if left > 0 {
                // Before the encryption: a fault counts as a message too.
                found.held.setattr(intern!(py, "messages_left"), left - 1)?;
                return Ok(Some(found));
            }
            self.targets.retain(|(of, _)| *of != identity(entry)); // used up: asked for anew
        }
        Ok(None)
    }

    fn part(
        &mut self,
        entry: &Bound<'py, PyAny>,
        refusals: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Ok(self.parts.standing.of(self.part_of, entry, refusals)?.cast_into()?)
    }
}
