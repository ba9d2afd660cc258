//! What our own providers know of a batch, in one step: the twin of their `fetch` (enrichment/providers) and of
//! `_join` in gateway/sharing/fetch.py, for payments that the engine has read. What a provider remembers stays
//! where its twin keeps it, so that any batch may go either way.
pub mod findings;
pub mod kept;
pub mod network;
pub mod plain;

use pyo3::exceptions::{PyException, PyKeyError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMapping, PyString, PyTuple};

use crate::member;
use crate::looks::findings::Findings;
use crate::looks::kept::{Amounts, Device};
use crate::looks::network::Network;
use crate::looks::plain::{Authentication, CardTesting, Contact, Iin, Merchant};
use crate::objects::made::NamedTuple;
use crate::policy::masks;
use crate::request::read_request::{ReadRequest, read_of};
use crate::request::slots::Request;

/// By `VelocityKind`.
pub const CARD: usize = 0;
pub const MERCHANT: usize = 1;
pub const DEVICE: usize = 3;
const KINDS: usize = 5;

/// By field of the payment, where a request has it.
pub struct Slots {
    pub amount_minor: usize,
    pub currency: usize,
    pub initiated_at_ms: usize,
    pub mcc: usize,
    pub merchant_id: usize,
    pub email: usize,
    pub phone_e164: usize,
    pub billing_country: usize,
    pub network: usize,
    pub trans_status: usize,
    pub eci: usize,
    pub cvv_result: usize,
    pub initiation: usize,
}

/// One payment as providers see it.
pub struct Seen<'a, 'py> {
    pub read: &'a ReadRequest,
    pub request: Request<'a>,
    pub sender_id: Bound<'py, PyAny>,
    /// 64 bits of each velocity key, 0 where there is none.
    pub keys: [u64; KINDS],
    pub counts: Bound<'py, PyAny>,
}

/// A value a payment; None: not known.
pub type Values = Vec<Option<Py<PyAny>>>;

/// One provider. Columns in the order of its names; fewer where it has nothing to say by the last of them.
pub trait Look: Send + Sync {
    fn look(&self, py: Python<'_>, slots: &Slots, batch: &[Seen<'_, '_>]) -> PyResult<Vec<Values>>;
}

struct Name {
    name: Py<PyString>,
    /// Of the dictionary's field, 0 where it is for the score alone.
    bit: u128,
}

struct Provider {
    names: Vec<Name>,
    look: Box<dyn Look>,
}

/// `Looks(providers, slots, bits, facts)`: rows of kind, provider, names and tables; the bits of fields by name.
#[pyclass(frozen, module = "ein_native")]
pub struct Looks {
    providers: Vec<Provider>,
    slots: Slots,
    /// Of the reader that the slots are of.
    slots_there: usize,
    bits: Py<PyDict>,
    facts: NamedTuple,
}

/// What the providers of one batch have said.
#[pyclass(frozen, module = "ein_native")]
pub struct Looked {
    columns: Vec<(Py<PyString>, u128, Values)>,
    /// Of each provider how long it took in nanoseconds, or what went wrong with it.
    #[pyo3(get)]
    outcomes: Py<PyList>,
}

type Row<'py> = (String, Bound<'py, PyAny>, Vec<Bound<'py, PyString>>, Bound<'py, PyTuple>);

#[pymethods]
impl Looks {
    #[new]
    fn new(
        providers: Vec<Row<'_>>,
        slots: &Bound<'_, PyDict>,
        bits: &Bound<'_, PyDict>,
        facts: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let slots_there: usize = slot_of(slots, "")?;
        let made = Slots::of(slots)?;
        if slots.values().iter().any(|slot| slot.extract().is_ok_and(|slot: usize| slot > slots_there)) {
            return Err(PyValueError::new_err("a slot that no request has"));
        }
        let providers = providers.iter().map(|row| provider_of(row, bits)).collect::<PyResult<_>>()?;
        let facts = NamedTuple::of(facts)?;
        Ok(Self { providers, slots: made, slots_there, bits: bits.clone().unbind(), facts })
    }

    /// Asks every provider about these works; None where the twins have to: one of them the engine has not read.
    /// `now` is the clock, in nanoseconds.
    fn look<'py>(
        &self,
        asked: &Bound<'py, PyList>,
        counts: &Bound<'py, PyAny>,
        now: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Looked>> {
        let py = asked.py();
        let mut held = Vec::with_capacity(asked.len());
        for work in asked.iter() {
            let Some(read) = read_of(&member!(work, "payment")?)? else { return Ok(None) };
            if read.get().slots() != self.slots_there {
                return Ok(None);
            }
            held.push((work, read));
        }
        let mut batch = Vec::with_capacity(held.len());
        for (at, (work, read)) in held.iter().enumerate() {
            batch.push(seen(work, read, counts.get_item(at)?)?);
        }
        let outcomes = PyList::empty(py);
        let mut columns = Vec::with_capacity(2 * self.providers.len());
        let mut ended: i64 = now.call0()?.extract()?;
        for provider in &self.providers {
            let began = ended;
            let found = provider.look.look(py, &self.slots, &batch);
            ended = now.call0()?.extract()?;
            match found {
                Ok(found) => {
                    outcomes.append(ended - began)?;
                    for (name, values) in provider.names.iter().zip(found) {
                        columns.push((name.name.clone_ref(py), name.bit, values));
                    }
                }
                Err(fault) if fault.is_instance_of::<PyException>(py) => outcomes.append(fault.into_value(py))?,
                Err(fault) => return Err(fault),
            }
        }
        Ok(Some(Looked { columns, outcomes: outcomes.unbind() }))
    }

    /// Fills in the facts of works: what was looked up, and the columns of other providers, each by name.
    fn join<'py>(
        &self,
        looked: &Bound<'py, Looked>,
        asked: &Bound<'py, PyList>,
        counts: &Bound<'py, PyAny>,
        omissions: &Bound<'py, PyTuple>,
        others: &Bound<'py, PyList>,
    ) -> PyResult<()> {
        let py = asked.py();
        let others = self.columns_of(others)?;
        // Of most payments of a batch the same is known.
        let mut last = (0, masks::number(py, 0));
        for (at, work) in asked.iter().enumerate() {
            let columns = looked.get().columns.iter();
            let known = columns.filter(|(_, _, values)| matches!(values.get(at), Some(Some(_))));
            let mut mask = known.fold(0, |mask, (_, bit, _)| mask | bit);
            let findings = Bound::new(py, Findings::new(looked.clone().unbind(), at))?;
            let found = if others.is_empty() {
                findings.into_any()
            } else {
                let found = findings.get().dict(py)?.clone();
                mask |= add(&found, &others, at)?;
                found.into_any()
            };
            if mask != last.0 {
                last = (mask, masks::number(py, mask));
            }
            let values = vec![counts.get_item(at)?, omissions.clone().into_any(), found, last.1.clone()];
            work.setattr(intern!(py, "facts"), self.facts.make(py, values)?)?;
        }
        Ok(())
    }

    fn __repr__(&self) -> &'static str {
        "Looks(****)"
    }
}

#[pymethods]
impl Looked {
    fn __repr__(&self) -> &'static str {
        "Looked(****)"
    }
}

/// Puts in what other providers know of one payment, and gives the bits of it.
fn add(found: &Bound<'_, PyDict>, others: &[Other<'_>], at: usize) -> PyResult<u128> {
    let mut mask = 0;
    for (name, bit, values) in others {
        let value = values.get_item(at)?;
        if !value.is_none() {
            found.set_item(name, value)?;
            mask |= bit;
        }
    }
    Ok(mask)
}

type Other<'py> = (Bound<'py, PyAny>, u128, Bound<'py, PyAny>);

impl Looks {
    /// Name, bit and values of what other providers have said.
    fn columns_of<'py>(&self, others: &Bound<'py, PyList>) -> PyResult<Vec<Other<'py>>> {
        let mut columns = Vec::new();
        for found in others.iter() {
            for column in found.cast::<PyMapping>()?.items()?.iter() {
                let (name, values): (Bound<'_, PyAny>, Bound<'_, PyAny>) = column.extract()?;
                let bit = self.bits.bind(others.py()).get_item(&name)?;
                columns.push((name, bit.map_or(Ok(0), |bit| bit.extract())?, values));
            }
        }
        Ok(columns)
    }
}

impl Slots {
    fn of(slots: &Bound<'_, PyDict>) -> PyResult<Self> {
        let slot = |name: &str| slot_of(slots, name);
        Ok(Self {
            amount_minor: slot("amount_minor")?,
            currency: slot("currency")?,
            initiated_at_ms: slot("initiated_at_ms")?,
            mcc: slot("mcc")?,
            merchant_id: slot("merchant_id")?,
            email: slot("email")?,
            phone_e164: slot("phone_e164")?,
            billing_country: slot("billing.country")?,
            network: slot("network")?,
            trans_status: slot("trans_status")?,
            eci: slot("eci")?,
            cvv_result: slot("cvv_result")?,
            initiation: slot("initiation")?,
        })
    }
}

fn slot_of(slots: &Bound<'_, PyDict>, name: &str) -> PyResult<usize> {
    slots.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?.extract()
}

fn seen<'a, 'py>(
    work: &'a Bound<'py, PyAny>,
    read: &'a Bound<'py, ReadRequest>,
    counts: Bound<'py, PyAny>,
) -> PyResult<Seen<'a, 'py>> {
    let py = work.py();
    let sender_id = member!(work, "item")?.cast::<PyTuple>()?.get_item(0)?;
    let given = member!(work, "velocity_keys")?.cast_into::<PyTuple>()?;
    if given.len() != KINDS {
        return Err(PyTypeError::new_err("velocity keys of other kinds"));
    }
    let mut keys = [0; KINDS];
    for (key, one) in keys.iter_mut().zip(given.iter_borrowed()) {
        if let Ok(bytes) = one.cast::<PyBytes>() {
            *key = bytes.as_bytes().first_chunk().map_or(0, |first| u64::from_ne_bytes(*first));
        }
    }
    let read = read.get();
    Ok(Seen { read, request: read.request(py), sender_id, keys, counts })
}

fn provider_of(row: &Row<'_>, bits: &Bound<'_, PyDict>) -> PyResult<Provider> {
    let (kind, provider, names, tables) = row;
    let look: Box<dyn Look> = match kind.as_str() {
        "amounts" => Box::new(Amounts::of(provider, tables)?),
        "authentication" => Box::new(Authentication::of(tables)?),
        "card_testing" => Box::new(CardTesting::of(provider, tables)?),
        "contact" => Box::new(Contact::of(tables)?),
        "device" => Box::new(Device::of(provider, tables)?),
        "iin" => Box::new(Iin::of(provider, tables)?),
        "merchant" => Box::new(Merchant::of(provider, tables)?),
        "network" => Box::new(Network::of(provider, tables)?),
        _ => return Err(PyValueError::new_err("a provider that this engine does not know")),
    };
    let names = names.iter().map(|name| {
        let bit = bits.get_item(name)?.map_or(Ok(0), |bit| bit.extract())?;
        Ok(Name { name: PyString::intern(name.py(), name.to_str()?).unbind(), bit })
    });
    Ok(Provider { names: names.collect::<PyResult<_>>()?, look })
}
