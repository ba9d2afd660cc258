//! Payments are taken into a batch: read, told from repeats, named, and their issuer found, in one step over the
//! requests. The twin is `Admitter` in gateway/sharing/admit.py, which does what is left here.
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PySet, PyString, PyTuple};

use crate::member;
use crate::sealing::mac::Macs;
use crate::objects::made::call;
use crate::request::reader::Reader;
use crate::steps::remembered::Recent;

/// `Issuers(starts, owners)`: a table's ranges of IINs. The owner at a place has what is from the start before it
/// up to the start at it; None: nobody has.
#[pyclass(frozen, module = "ein_native")]
pub struct Issuers {
    starts: Vec<String>,
    owners: Vec<Py<PyAny>>,
}

#[pymethods]
impl Issuers {
    #[new]
    fn new(starts: Vec<String>, owners: Vec<Py<PyAny>>) -> PyResult<Self> {
        if owners.len() != starts.len() + 1 || !starts.is_sorted() {
            return Err(PyValueError::new_err("starts in order, and an owner more"));
        }
        Ok(Self { starts, owners })
    }

    /// As `ReleaseTable.issuer_of`.
    fn of(&self, py: Python<'_>, iin: &str) -> Py<PyAny> {
        self.owner(iin).map_or_else(|| py.None(), |owner| owner.clone_ref(py))
    }
}

impl Issuers {
    fn owner(&self, iin: &str) -> Option<&Py<PyAny>> {
        let place = |iin: &str| self.starts.partition_point(|start| start.as_str() <= iin);
        match iin.len() {
            8 => self.owners.get(place(iin)),
            6 => {
                let those = self.owners.get(place(&format!("{iin}00"))..=place(&format!("{iin}99")))?;
                let (first, others) = those.split_first()?;
                others.iter().all(|other| other.is(first)).then_some(first)
            }
            _ => None,
        }
    }
}

/// What a batch gathers, and what it has seen.
#[derive(FromPyObject)]
struct Gathered<'py>(
    Bound<'py, PyList>, // works
    Bound<'py, PyList>, // those that the velocity store is asked for
    Bound<'py, PyList>, // what it is asked
    Bound<'py, PyDict>, // works by the keys of their requests
    Bound<'py, PySet>,  // keys of attempts
);

/// `Admitter(reader, macs, work, kinds)`: the type of works, and the kind of a unit by its source.
#[pyclass(frozen, module = "ein_native")]
pub struct Admitter {
    reader: Py<Reader>,
    macs: Py<Macs>,
    work: Py<PyAny>,
    kinds: Py<PyDict>,
}

/// What is the same for all items of a batch.
struct Batch<'a, 'py> {
    recent: &'a Recent,
    issuers: &'a Issuers,
    gathered: &'a Gathered<'py>,
    now_ms: i64,
    since_ms: i64,
}

#[pymethods]
impl Admitter {
    #[new]
    fn new(reader: Py<Reader>, macs: Py<Macs>, work: Py<PyAny>, kinds: Py<PyDict>) -> Self {
        Self { reader, macs, work, kinds }
    }

    /// Takes in items from `at` on, up to the first that is not as most are: where that one is. Repeats are told by
    /// what came before them, so that nothing behind it may be taken in before the twin has dealt with it.
    #[allow(clippy::too_many_arguments)] // without a container on the hot path
    fn admit<'py>(
        &self,
        items: &Bound<'py, PyList>,
        at: usize,
        recent: &Bound<'py, Recent>,
        issuers: &Bound<'py, Issuers>,
        gathered: Gathered<'py>,
        now_ms: i64,
        since_ms: i64,
    ) -> PyResult<usize> {
        let recent = recent.borrow();
        let batch =
            Batch { recent: &recent, issuers: issuers.get(), gathered: &gathered, now_ms, since_ms };
        for index in at..items.len() {
            match self.one(index, &items.get_item(index)?, &batch) {
                Ok(Some(())) => {}
                Ok(None) => return Ok(index),
                // The twin says what it is.
                Err(error) if error.is_instance_of::<PyException>(items.py()) => return Ok(index),
                Err(error) => return Err(error),
            }
        }
        Ok(items.len())
    }

    fn __repr__(&self) -> &'static str {
        "Admitter(****)"
    }
}

impl Admitter {
    /// None where the twin has to do it; then nothing of it is in the batch.
    fn one<'py>(&self, index: usize, item: &Bound<'py, PyAny>, batch: &Batch<'_, 'py>) -> PyResult<Option<()>> {
        let py = item.py();
        let [sender_id, payload, _] = item.cast::<PyTuple>()?.as_slice() else { return Ok(None) };
        let (sender_id, payload) = (sender_id.cast::<PyString>()?.to_str()?, payload.cast::<PyBytes>()?);
        let Some((payment, read)) = self.reader.get().payment(py, payload, batch.now_ms)? else {
            return Ok(None);
        };
        if member!(payment, "validate_only")?.is_truthy()? {
            return Ok(None);
        }
        let read = read.get();
        let (request, own) = (read.request(py), &read.layout.own);
        let (request_key, attempt_key) = batch.recent.keys(
            sender_id,
            request.text(own.payment_intent_id),
            request.int(own.attempt_no).max(1), // 0 is a first attempt
            request.text(own.request_id),
        );
        let known = |key| batch.recent.is_known(key, batch.since_ms);
        if known(request_key) || known(attempt_key) {
            return Ok(None);
        }
        let Gathered(works, asked, touches, first, attempts) = batch.gathered;
        let (request_key, attempt_key) = (request_key.into_pyobject(py)?, attempt_key.into_pyobject(py)?);
        if first.contains(&request_key)? || attempts.contains(&attempt_key)? {
            return Ok(None);
        }
        let macs = self.macs.get();
        let kinds = self.kinds.bind(py);
        let Some(names) = macs.names_of_read(py, read, sender_id, kinds)? else { return Ok(None) };
        let (card_source, card_key) = macs.card_of(py, read, names.0, sender_id, kinds)?;
        let (source, unit_key, keys, evaluation_id) = names;
        let keys = keys.into_pyobject(py)?.into_any();
        let issuer = batch.issuers.of(py, request.iin()).into_bound(py);
        let touch = (member!(payment, "initiated_at_ms")?, keys.clone()).into_pyobject(py)?;
        let values = [
            PyInt::new(py, index).into_any(),
            item.clone(),
            payment,
            PyBytes::new(py, &macs.digest_of(payload.as_bytes())).into_any(),
            request_key.clone().into_any(),
            attempt_key.clone().into_any(),
            false.into_pyobject(py)?.to_owned().into_any(),
            PyInt::new(py, source).into_any(),
            unit_key.into_any(),
            card_key.into_any(),
            PyInt::new(py, card_source).into_any(),
            keys,
            issuer,
            evaluation_id.into_any(),
            match read.layout.ship_bill_match(&request) {
                Some(Some(alike)) => alike.into_pyobject(py)?.to_owned().into_any(),
                Some(None) => py.None().into_bound(py),
                None => py.Ellipsis().into_bound(py),
            },
        ];
        let work = call(self.work.bind(py), &values)?;
        first.set_item(&request_key, &work)?;
        attempts.add(&attempt_key)?;
        asked.append(&work)?;
        touches.append(touch)?;
        works.append(work)?;
        Ok(Some(()))
    }
}
