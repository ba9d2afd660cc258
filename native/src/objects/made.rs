//! Objects of the payment's own types, made without a call into the interpreter where that is possible.
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// A named tuple: a subtype of `tuple` that adds no fields to it and makes its objects as `tuple` does.
pub struct NamedTuple(Py<PyType>);

impl NamedTuple {
    pub fn of(kind: &Bound<'_, PyAny>) -> PyResult<Self> {
        let kind = kind.cast::<PyType>()?;
        let plain = kind.py().get_type::<PyTuple>();
        let same = |name: &str| -> PyResult<bool> { kind.getattr(name)?.eq(plain.getattr(name)?) };
        if !kind.is_subclass_of::<PyTuple>()? || !same("__basicsize__")? || !same("__itemsize__")? {
            return Err(PyTypeError::new_err("a group is a named tuple"));
        }
        Ok(Self(kind.clone().unbind()))
    }

    pub fn make<'py>(&self, py: Python<'py>, values: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let mut filling = self.filling(py, values.len())?;
        for (at, value) in values.into_iter().enumerate() {
            filling.put(at, value);
        }
        Ok(filling.done(|_| py.None().into_bound(py)))
    }

    /// One of so many members, each empty yet.
    pub fn filling<'py>(&self, py: Python<'py>, members: usize) -> PyResult<Filling<'py>> {
        let kind = self.0.bind(py).as_type_ptr();
        // SAFETY: as `tuple.__new__` makes an object of a subtype: room for so many, all of it empty. `of` has seen
        // that the type is a tuple and no more. The collector is not to see it before it is whole.
        let made = unsafe {
            let made = ffi::PyType_GenericAlloc(kind, members as ffi::Py_ssize_t);
            let made = Bound::from_owned_ptr_or_err(py, made)?;
            ffi::PyObject_GC_UnTrack(made.as_ptr().cast());
            made
        };
        Ok(Filling { made, members })
    }
}

/// A named tuple on its way: nobody else has it, and it is let go of where it is not finished.
pub struct Filling<'py> {
    made: Bound<'py, PyAny>,
    members: usize,
}

impl<'py> Filling<'py> {
    pub fn has(&self, at: usize) -> bool {
        assert!(at < self.members);
        // SAFETY: a tuple of so many members, and one of them.
        unsafe { !ffi::PyTuple_GET_ITEM(self.made.as_ptr(), at as ffi::Py_ssize_t).is_null() }
    }

    /// Into a member that is empty.
    pub fn put(&mut self, at: usize, value: Bound<'py, PyAny>) {
        assert!(!self.has(at));
        // SAFETY: as above; the tuple takes the value over.
        unsafe { ffi::PyTuple_SET_ITEM(self.made.as_ptr(), at as ffi::Py_ssize_t, value.into_ptr()) }
    }

    /// With `default` in each member that is empty still.
    pub fn done(mut self, default: impl Fn(usize) -> Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        for at in 0..self.members {
            if !self.has(at) {
                self.put(at, default(at));
            }
        }
        // SAFETY: it was untracked when it was made, and is whole now.
        unsafe { ffi::PyObject_GC_Track(self.made.as_ptr().cast()) };
        self.made
    }
}

/// Calls with these values, without a tuple around them.
pub fn call<'py>(
    callable: &Bound<'py, PyAny>,
    values: &[Bound<'py, PyAny>],
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: a bound reference is a pointer to its object and nothing else (`repr(transparent)`), and the values
    // outlive the call.
    unsafe {
        let given = values.as_ptr().cast::<*mut ffi::PyObject>();
        let made = ffi::PyObject_Vectorcall(callable.as_ptr(), given, values.len(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(callable.py(), made)
    }
}
