//! What our own providers have found of one payment: a place in what they have said of its batch. Engines read it
//! there; for who asks in Python it is a dict as the twin makes it, made for the first who asks. `Known` reads
//! either form.
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyIterator, PyList, PyString};

use crate::looks::Looked;

/// Values by name, of what is known: to Python a dict in all but its type, and never written to.
#[pyclass(frozen, mapping, module = "ein_native")]
pub struct Findings {
    looked: Py<Looked>,
    at: usize,
    dict: PyOnceLock<Py<PyDict>>,
}

impl Findings {
    pub fn new(looked: Py<Looked>, at: usize) -> Self {
        Self { looked, at, dict: PyOnceLock::new() }
    }

    /// `name` is interned, as those of the providers are: one name is one object.
    fn find<'a>(&'a self, name: &Bound<'_, PyString>) -> Option<&'a Py<PyAny>> {
        // Of two with one name the later counts, where it knows something.
        let columns = self.looked.get().columns.iter().rev().filter(|(one, ..)| one.is(name));
        columns.filter_map(|(_, _, values)| values.get(self.at)?.as_ref()).next()
    }

    pub fn dict<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyDict>> {
        let made = self.dict.get_or_try_init(py, || {
            let found = PyDict::new(py);
            for (name, _, values) in &self.looked.get().columns {
                if let Some(Some(value)) = values.get(self.at) {
                    found.set_item(name, value)?;
                }
            }
            Ok::<_, PyErr>(found.unbind())
        })?;
        Ok(made.bind(py))
    }
}

#[pymethods]
impl Findings {
    /// Of what is there already; `join` makes its own.
    #[new]
    fn of(found: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = found.py();
        let mut columns = Vec::with_capacity(found.len());
        for (name, value) in found.iter() {
            let name = PyString::intern(py, name.cast::<PyString>()?.to_str()?).unbind();
            columns.push((name, 0, vec![(!value.is_none()).then(|| value.unbind())]));
        }
        Ok(Self::new(Py::new(py, Looked { columns, outcomes: PyList::empty(py).unbind() })?, 0))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.dict(py)?.len())
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.dict(name.py())?.contains(name)
    }

    fn __getitem__<'py>(&self, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(name.py())?.as_any().get_item(name)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.dict(py)?.try_iter()
    }

    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.dict(name.py())?.get_item(name)?.or(default))
    }

    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?.call_method0("keys")
    }

    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?.call_method0("values")
    }

    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict(py)?.call_method0("items")
    }

    fn __richcmp__<'py>(&self, other: &Bound<'py, PyAny>, way: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        // Of two of these the dict of the one is asked first, and then the other.
        self.dict(other.py())?.rich_compare(other, way)
    }

    fn __repr__(&self) -> &'static str {
        "Findings(****)"
    }
}

/// What is known of a payment, in either form.
pub enum Known<'a, 'py> {
    Engine(&'a Findings),
    Twin(&'a Bound<'py, PyDict>),
}

impl<'a, 'py> Known<'a, 'py> {
    pub fn of(found: &'a Bound<'py, PyAny>) -> Option<Self> {
        if let Ok(findings) = found.cast_exact::<Findings>() {
            return Some(Self::Engine(findings.get()));
        }
        found.cast::<PyDict>().ok().map(Self::Twin)
    }

    /// By a name that is interned.
    pub fn get(&self, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Self::Engine(findings) => Ok(findings.find(name).map(|value| value.bind(name.py()).clone())),
            Self::Twin(found) => found.get_item(name),
        }
    }

    /// Whether nothing is known, as far as that is seen at once.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Twin(found) if found.is_empty())
    }
}
