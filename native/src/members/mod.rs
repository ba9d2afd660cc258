//! Members of Python's objects, read and written where they lie: a payment has dozens of them read, and each way
//! through `getattr` looks its name up again. What is read is what `getattr` would say; where that is not sure, it is
//! asked.
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::members::place::{Found, Place};

pub mod classes;
mod find;
mod place;

/// Types that one member is known of: a payment that the engine has read, one that the twin has, and as many more.
const MOST_TYPES: usize = 4;

/// `Member(name)`: a member of objects that are mostly of one type. Those that the engine uses are in `classes`.
#[pyclass(frozen, module = "ein_native")]
pub struct Member {
    text: &'static str,
    name: PyOnceLock<Py<PyString>>,
    /// The type that was met last stands first.
    places: [Place; MOST_TYPES],
}

#[pymethods]
impl Member {
    #[new]
    pub fn named(name: &Bound<'_, PyString>) -> PyResult<Self> {
        let (py, text, member) = (name.py(), name.to_str()?, Self::of(""));
        member.name.get_or_init(py, || PyString::intern(py, text).unbind());
        Ok(member)
    }

    /// As `getattr(object, name)`.
    #[inline]
    pub fn get<'py>(&self, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        for place in &self.places {
            match place.read(object) {
                Found::Here(value) => return Ok(value),
                Found::Asks => return object.getattr(self.name(object.py())),
                Found::Another => {}
                Found::Nothing => break,
            }
        }
        let value = object.getattr(self.name(object.py()))?;
        self.learn(object, &value);
        Ok(value)
    }

    /// As `setattr(object, name, value)`.
    #[pyo3(name = "set")]
    fn set_any(&self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        for place in &self.places {
            match place.write(object, value) {
                Found::Here(()) => return Ok(()),
                Found::Asks => return object.setattr(self.name(object.py()), value),
                Found::Another => {}
                Found::Nothing => break,
            }
        }
        object.setattr(self.name(object.py()), value)?;
        self.learn(object, value);
        Ok(())
    }

    /// Whether such an object's member is read where it lies: its type was met, and is as it was then.
    fn reads_in_place(&self, object: &Bound<'_, PyAny>) -> bool {
        self.places.iter().any(|place| matches!(place.read(object), Found::Here(_)))
    }

    /// Whether it is written there.
    fn writes_in_place(&self, object: &Bound<'_, PyAny>) -> bool {
        self.places.iter().any(|place| place.is_open(object))
    }
}

impl Member {
    pub const fn of(text: &'static str) -> Self {
        Self { text, name: PyOnceLock::new(), places: [const { Place::nothing() }; MOST_TYPES] }
    }

    #[inline]
    pub fn set<'py>(&self, object: &Bound<'py, PyAny>, value: impl IntoPyObject<'py>) -> PyResult<()> {
        self.set_any(object, &value.into_bound_py_any(object.py())?)
    }

    #[inline]
    fn name<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        self.name.get_or_init(py, || PyString::intern(py, self.text).unbind()).bind(py)
    }

    /// From an object of a type that was not met yet, or was changed since, and the value that it has there.
    #[cold]
    fn learn(&self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        let Some(found) = Place::find(object, self.name(object.py()), value) else { return };
        for (place, next) in self.places.iter().zip(&self.places[1..]).rev() {
            next.put(place);
        }
        self.places[0].put(&found);
    }
}
