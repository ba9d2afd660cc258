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

    pub fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }

    pub fn make<'py>(&self, py: Python<'py>, values: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let kind = self.0.bind(py).as_type_ptr();
        // SAFETY: as `tuple.__new__` makes an object of a subtype: room for so many, all of it empty, then each
        // is filled, and nothing runs in between. `of` has seen that the type is a tuple and no more.
        unsafe {
            let made = ffi::PyType_GenericAlloc(kind, values.len() as ffi::Py_ssize_t);
            let made = Bound::from_owned_ptr_or_err(py, made)?;
            for (at, value) in values.into_iter().enumerate() {
                ffi::PyTuple_SET_ITEM(made.as_ptr(), at as ffi::Py_ssize_t, value.into_ptr());
            }
            Ok(made)
        }
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
