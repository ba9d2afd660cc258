//! What was counted of one attempt. Engines read the numbers; for who asks in Python they are a tuple as the twin
//! answers it, made for the first who asks. Readers here take either form.
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyIterator, PyTuple};

use crate::velocity::record::Counts;

/// Counts by kind, None where the attempt has no such key: to Python a tuple of tuples in all but its type.
#[pyclass(frozen, module = "ein_native")]
pub struct Counted {
    kinds: Box<[Option<Counts>]>,
    /// None of it can hold what holds it: the collector of cycles need not know of it.
    tuple: PyOnceLock<Py<PyTuple>>,
}

impl Counted {
    pub fn new(kinds: Vec<Option<Counts>>) -> Self {
        Self { kinds: kinds.into_boxed_slice(), tuple: PyOnceLock::new() }
    }

    fn tuple<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyTuple>> {
        let made = self.tuple.get_or_try_init(py, || {
            let kinds = self.kinds.iter().map(|counts| counts.map(|counts| PyTuple::new(py, counts)).transpose());
            Ok::<_, PyErr>(PyTuple::new(py, kinds.collect::<PyResult<Vec<_>>>()?)?.unbind())
        })?;
        Ok(made.bind(py))
    }
}

#[pymethods]
impl Counted {
    /// Of counts that are there already; a store makes its own.
    #[new]
    fn of(kinds: Vec<Option<Counts>>) -> Self {
        Self::new(kinds)
    }

    fn __len__(&self) -> usize {
        self.kinds.len()
    }

    fn __getitem__<'py>(&self, place: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.tuple(place.py())?.as_any().get_item(place)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.tuple(py)?.try_iter()
    }

    fn __richcmp__<'py>(&self, other: &Bound<'py, PyAny>, way: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        // Of two of these the tuple of the one is asked first, and then the other.
        self.tuple(other.py())?.rich_compare(other, way)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.tuple(py)?.hash()
    }

    fn __repr__(&self) -> &'static str {
        "Counted(****)"
    }
}

/// The bits of the kinds that were counted. None where there are other kinds than those.
pub fn present(velocity: &Bound<'_, PyAny>, bits: &[u128]) -> PyResult<Option<u128>> {
    if velocity.is_none() {
        return Ok(Some(0));
    }
    let mut mask = 0;
    if let Ok(counted) = velocity.cast_exact::<Counted>() {
        let kinds = &counted.get().kinds;
        for (_, bits) in kinds.iter().zip(bits).filter(|(counts, _)| counts.is_some()) {
            mask |= bits;
        }
        return Ok((kinds.len() == bits.len()).then_some(mask));
    }
    let kinds = velocity.cast::<PyTuple>()?;
    for (_, bits) in kinds.iter_borrowed().zip(bits).filter(|(counts, _)| !counts.is_none()) {
        mask |= bits;
    }
    Ok((kinds.len() == bits.len()).then_some(mask))
}

/// The number that lies there: its places in facts, in what was counted and among the counts of a kind. None where
/// the engine has not counted.
pub fn number_at(facts: &Bound<'_, PyAny>, places: &[usize]) -> Option<u32> {
    let [velocity, kind, place] = *places else { return None };
    let velocity = facts.cast::<PyTuple>().ok()?.get_borrowed_item(velocity).ok()?;
    velocity.cast_exact::<Counted>().ok()?.get().kinds.get(kind)?.as_ref()?.get(place).copied()
}

/// Gives `put` the numbers at these places of each kind, NaN where a kind was not counted. False where that is left to
/// the twin: other kinds, or counts that are no tuples.
pub fn rows(velocity: &Bound<'_, PyAny>, places: &[&[usize]], mut put: impl FnMut(f64)) -> PyResult<bool> {
    let absent = |places: &[usize], put: &mut dyn FnMut(f64)| places.iter().for_each(|_| put(f64::NAN));
    if velocity.is_none() {
        places.iter().for_each(|places| absent(places, &mut put));
        return Ok(true);
    }
    if let Ok(counted) = velocity.cast_exact::<Counted>() {
        let kinds = &counted.get().kinds;
        for (counts, places) in kinds.iter().zip(places) {
            match counts {
                Some(counts) => places.iter().for_each(|place| put(f64::from(counts[*place]))),
                None => absent(places, &mut put),
            }
        }
        return Ok(kinds.len() == places.len());
    }
    let Ok(kinds) = velocity.cast::<PyTuple>() else { return Ok(false) };
    if kinds.len() != places.len() {
        return Ok(false);
    }
    for (counts, places) in kinds.iter_borrowed().zip(places) {
        if counts.is_none() {
            absent(places, &mut put);
            continue;
        }
        let Ok(counts) = counts.cast::<PyTuple>() else { return Ok(false) };
        for place in *places {
            put(counts.get_borrowed_item(*place)?.extract()?);
        }
    }
    Ok(true)
}
