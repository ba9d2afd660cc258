//! Payments and their facts as rows of floats for the scorer: the twin of `row` in enrichment/scoring/features.py,
//! for payments that the engine has read. Tables are the twin's own; whatever is unusual is left to it.
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::member;
use crate::looks::findings::Known;
use crate::request::read_request::{ReadRequest, read_of};
use crate::request::slots::Request;
use crate::velocity::counted;

const HOUR_MS: i64 = 3_600_000;
/// Of v1.Channel: ecom and app. Of v1.Initiation: by the merchant.
const ONLINE: std::ops::RangeInclusive<i64> = 1..=2;
const MIT: i64 = 2;
/// What a double holds without a loss.
const MOST_EXACT: i64 = 1 << 53;
const HISTORY: usize = 8;
/// Kinds of velocity, and of each the places of its counts that are features.
const COUNTED: [&[usize]; 5] = [&[0, 1, 2, 3, 6], &[], &[0, 1, 2, 6], &[0, 1, 2, 6], &[2, 6]];
const OWN_COLUMNS: usize = 15;
const COUNTED_COLUMNS: usize = 15;
const FOUND_COLUMNS: usize = 13;
/// Places of `Facts`.
const VELOCITY: usize = 0;
const FOUND: usize = 2;

/// By field of the payment, where a request has it.
struct Slots {
    amount_minor: usize,
    currency: usize,
    initiated_at_ms: usize,
    mcc: usize,
    channel: usize,
    initiation: usize,
    funding: usize,
    home: usize,
    merchant_country: usize,
    billing_country: usize,
    attempt_no: usize,
    device_id: usize,
    ip: usize,
    cvv_result: usize,
    avs_result: usize,
    trans_status: usize,
    callers: usize,
    history: [usize; HISTORY],
}

/// Numbers by a text of one character of ASCII.
struct Letters([f64; 128]);

impl Letters {
    fn of(table: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut letters = [f64::NAN; 128];
        for (text, number) in table.iter() {
            match text.extract::<String>()?.as_bytes() {
                [letter] if letter.is_ascii() => letters[usize::from(*letter)] = number.extract()?,
                _ => return Err(PyValueError::new_err("a result is one letter")),
            }
        }
        Ok(Self(letters))
    }

    fn get(&self, text: &str) -> f64 {
        match text.as_bytes() {
            [letter] if letter.is_ascii() => self.0[usize::from(*letter)],
            _ => f64::NAN,
        }
    }
}

/// `Features(columns, slots, tables, row)`; `pack(asked)` is a row of doubles a payment, one behind the other.
#[pyclass(frozen, module = "ein_native")]
pub struct Features {
    columns: usize,
    /// Of the reader that the slots are of.
    slots_there: usize,
    slots: Slots,
    /// Sorted by currency.
    minor_to_dollar: Vec<([u8; 3], f64)>,
    minor_else: f64,
    cvv: Letters,
    avs: Letters,
    authentication: Vec<f64>,
    verdicts: Vec<(String, f64)>,
    row: Py<PyAny>,
}

#[pymethods]
impl Features {
    #[new]
    fn new(
        columns: usize,
        slots: &Bound<'_, PyDict>,
        tables: &Bound<'_, PyDict>,
        row: Py<PyAny>,
    ) -> PyResult<Self> {
        let table = |name: &str| tables.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()));
        let slot = |name: &str| -> PyResult<usize> {
            slots.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?.extract()
        };
        let history: Vec<String> = table("history")?.extract()?;
        let history: Vec<usize> =
            history.iter().map(|name| slot(&format!("history.{name}"))).collect::<PyResult<_>>()?;
        let own = Slots {
            amount_minor: slot("amount_minor")?,
            currency: slot("currency")?,
            initiated_at_ms: slot("initiated_at_ms")?,
            mcc: slot("mcc")?,
            channel: slot("channel")?,
            initiation: slot("initiation")?,
            funding: slot("funding")?,
            home: slot("cardholder_region")?,
            merchant_country: slot("merchant_country")?,
            billing_country: slot("billing.country")?,
            attempt_no: slot("attempt_no")?,
            device_id: slot("device_id")?,
            ip: slot("ip")?,
            cvv_result: slot("cvv_result")?,
            avs_result: slot("avs_result")?,
            trans_status: slot("trans_status")?,
            callers: slot("caller_assessments")?,
            history: history.try_into().map_err(|_| PyValueError::new_err("a history of another length"))?,
        };
        let slots_there: usize = slot("")?;
        let highest = slots.values().iter().map(|slot| slot.extract::<usize>()).collect::<PyResult<Vec<_>>>()?;
        if columns != OWN_COLUMNS + COUNTED_COLUMNS + FOUND_COLUMNS + HISTORY || highest.iter().any(|at| *at > slots_there) {
            return Err(PyValueError::new_err("a row that this engine does not make"));
        }
        let mut minor_to_dollar = Vec::new();
        for (currency, minor) in table("minor_to_dollar")?.cast::<PyDict>()?.iter() {
            let code: [u8; 3] = currency.extract::<String>()?.into_bytes().try_into().map_err(|_| {
                PyValueError::new_err("a currency has three letters")
            })?;
            minor_to_dollar.push((code, minor.extract()?));
        }
        minor_to_dollar.sort_unstable_by_key(|(code, _)| *code);
        Ok(Self {
            columns,
            slots_there,
            slots: own,
            minor_to_dollar,
            minor_else: table("minor_else")?.extract()?,
            cvv: Letters::of(table("cvv")?.cast()?)?,
            avs: Letters::of(table("avs")?.cast()?)?,
            authentication: table("authentication")?.extract()?,
            verdicts: table("verdicts")?.extract::<Bound<'_, PyDict>>()?.items().extract()?,
            row,
        })
    }

    /// Of triples of payment, facts, and whether goods go where the bill goes (None: not known).
    fn pack<'py>(&self, py: Python<'py>, asked: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let row_bytes = self.columns * size_of::<f64>();
        let mut out = Rows(Vec::with_capacity(asked.len()? * row_bytes));
        for one in asked.try_iter()? {
            let one = one?.cast_into::<PyTuple>()?;
            let from = out.0.len();
            if one.len() != 3 || !self.quick(py, &one, &mut out)? || out.0.len() != from + row_bytes {
                out.0.truncate(from);
                self.by_twin(&one, &mut out)?;
            }
        }
        Ok(PyBytes::new(py, &out.0))
    }
}

impl Features {
    fn by_twin(&self, one: &Bound<'_, PyTuple>, out: &mut Rows) -> PyResult<()> {
        let made = self.row.bind(one.py()).call1(one)?.cast_into::<PyTuple>()?;
        if made.len() != self.columns {
            return Err(PyValueError::new_err("a row of another length"));
        }
        for value in made.iter_borrowed() {
            out.put(value.extract()?);
        }
        Ok(())
    }

    /// False where the twin has to look.
    fn quick(&self, py: Python<'_>, one: &Bound<'_, PyTuple>, out: &mut Rows) -> PyResult<bool> {
        let (payment, facts) = (one.get_borrowed_item(0)?, one.get_borrowed_item(1)?);
        let (Some(read), Ok(facts)) = (read_of(&payment)?, facts.cast::<PyTuple>()) else { return Ok(false) };
        let read: &ReadRequest = read.get();
        if read.slots() != self.slots_there {
            return Ok(false);
        }
        let request = read.request(py);
        let matched = one.get_borrowed_item(2)?;
        let mismatch = if matched.is_none() { f64::NAN } else { flag(!matched.is_truthy()?) };
        let Some(caller) = self.caller(&payment, &request)? else { return Ok(false) };
        let home = request.text(self.slots.home);
        let (velocity, found) = (facts.get_borrowed_item(VELOCITY)?, facts.get_borrowed_item(FOUND)?);
        let quick = self.payment(&request, home, mismatch, caller, out).is_some()
            && counted::rows(&velocity, &COUNTED, |number| out.put(number))?
            && self.found(&found, home, out)?;
        for slot in self.slots.history {
            out.put(request.number(slot).map_or(f64::NAN, |number| number as f64));
        }
        Ok(quick)
    }

    /// The highest score of the callers' own.
    fn caller(&self, payment: &Bound<'_, PyAny>, request: &Request<'_>) -> PyResult<Option<f64>> {
        if request.raws(self.slots.callers).next().is_none() {
            return Ok(Some(f64::NAN));
        }
        let mut highest: Option<i64> = None;
        for one in member!(payment, "caller_assessments")?.try_iter()? {
            let Ok(normalised) = member!(one?, "normalised")?.extract() else {
                return Ok(None);
            };
            highest = highest.max(Some(normalised));
        }
        Ok(highest.map(|one| one as f64))
    }

    fn payment(&self, request: &Request<'_>, home: &str, mismatch: f64, caller: f64, out: &mut Rows) -> Option<()> {
        let slots = &self.slots;
        let (amount, at_ms) = (request.int(slots.amount_minor), request.int(slots.initiated_at_ms));
        if !(0..MOST_EXACT).contains(&amount) || at_ms < 0 {
            return None;
        }
        let (channel, funding) = (request.int(slots.channel), request.int(slots.funding));
        let number = |number: i64| if number == 0 { f64::NAN } else { number as f64 };
        let abroad = |country: &str| {
            if home.is_empty() || country.is_empty() { f64::NAN } else { flag(country != home) }
        };
        out.put(amount as f64 / self.minor(request.text(slots.currency)));
        out.put((at_ms / HOUR_MS % 24) as f64);
        let mcc = request.text(slots.mcc);
        out.put(match mcc {
            "" => f64::NAN,
            _ if mcc.bytes().all(|digit| digit.is_ascii_digit()) => f64::from(mcc.parse::<u32>().ok()?),
            _ => return None,
        });
        out.put(number(channel));
        out.put(flag(request.int(slots.initiation) == MIT));
        out.put(number(funding));
        out.put(abroad(request.text(slots.merchant_country)));
        out.put(abroad(request.text(slots.billing_country)));
        out.put(mismatch);
        out.put(request.int(slots.attempt_no).max(1) as f64); // 0 is a first attempt
        let known = request.has_text(slots.device_id) || request.has_text(slots.ip);
        out.put(if ONLINE.contains(&channel) { flag(known) } else { f64::NAN });
        out.put(self.cvv.get(request.text(slots.cvv_result)));
        out.put(self.avs.get(request.text(slots.avs_result)));
        out.put(*self.authentication.get(usize::try_from(request.int(slots.trans_status)).ok()?)?);
        out.put(caller);
        Some(())
    }

    fn minor(&self, currency: &str) -> f64 {
        let found = self.minor_to_dollar.binary_search_by(|(code, _)| code.as_slice().cmp(currency.as_bytes()));
        found.map_or(self.minor_else, |at| self.minor_to_dollar[at].1)
    }

    /// What the providers know.
    fn found<'py>(&self, found: &Bound<'py, PyAny>, home: &str, out: &mut Rows) -> PyResult<bool> {
        let py = found.py();
        let Some(found) = &Known::of(found) else { return Ok(false) };
        if found.is_empty() {
            out.absent(FOUND_COLUMNS);
            return Ok(true);
        }
        let number = |name: &Bound<'py, PyString>| -> PyResult<f64> {
            given(found, name)?.map_or(Ok(f64::NAN), |value| value.extract())
        };
        let fails = |name: &Bound<'py, PyString>| -> PyResult<f64> {
            given(found, name)?.map_or(Ok(f64::NAN), |value| Ok(flag(!value.is_truthy()?)))
        };
        // Of a word; None where it is no text, and NaN where it is empty.
        let word = |name: &Bound<'py, PyString>, say: &dyn Fn(&str) -> f64| -> PyResult<Option<f64>> {
            let Some(value) = given(found, name)? else { return Ok(Some(f64::NAN)) };
            let Ok(text) = value.cast::<PyString>() else { return Ok(None) };
            let text = text.to_str()?;
            Ok(Some(if text.is_empty() { f64::NAN } else { say(text) }))
        };
        let abroad = |country: &str| if home.is_empty() { f64::NAN } else { flag(country != home) };
        let verdict = |testing: &str| {
            self.verdicts.iter().find(|(name, _)| name == testing).map_or(f64::NAN, |(_, number)| *number)
        };
        let (Some(country), Some(hidden), Some(kind), Some(testing)) = (
            word(intern!(py, "ip_country"), &abroad)?,
            word(intern!(py, "ip_anonymised"), &|hidden| flag(hidden != "none"))?,
            word(intern!(py, "email_domain_type"), &|kind| flag(kind == "disposable"))?,
            word(intern!(py, "card_testing"), &verdict)?,
        ) else {
            return Ok(false);
        };
        out.put(country);
        out.put(hidden);
        out.put(kind);
        out.put(number(intern!(py, "email_digits_percent"))?);
        out.put(fails(intern!(py, "phone_fits_billing"))?);
        out.put(number(intern!(py, "device_on_card_age_days"))?);
        out.put(number(intern!(py, "amount_to_card_mean"))?);
        out.put(number(intern!(py, "amount_to_merchant_mean"))?);
        out.put(fails(intern!(py, "authentication_fits"))?);
        out.put(number(intern!(py, "mcc_risk"))?);
        out.put(number(intern!(py, "merchant_fraud_rate_bp"))?);
        out.put(number(intern!(py, "merchant_dispute_rate_bp"))?);
        out.put(testing);
        Ok(true)
    }
}

/// Doubles as they lie in memory.
struct Rows(Vec<u8>);

impl Rows {
    fn put(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }

    fn absent(&mut self, places: usize) {
        for _ in 0..places {
            self.put(f64::NAN);
        }
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// What is known by that name, where it is not None.
fn given<'py>(found: &Known<'_, 'py>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(found.get(name)?.filter(|value| !value.is_none()))
}
