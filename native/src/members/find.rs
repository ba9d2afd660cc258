//! How objects of a type come by a member: the facts of CPython 3.11, and of msgspec, that are read from it.
//!
//! - A member descriptor of a plain object says at which offset its pointer lies. That of a deleted one is null.
//! - A member of a named tuple is a `_tuplegetter`, which says at which place in the tuple it stands.
//! - `object.__setattr__` puts the value into the slot and does no more. That of msgspec 0.22 tracks a struct for the
//!   collector besides, if structs of that type are collected.
//!
//! Elsewhere `is_known` is false and nothing is found, so that `getattr` and `setattr` are asked.
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple, PyType};

use crate::members::place::Way;

const PYTHON: (u8, u8) = (3, 11);
const MSGSPEC: &str = "0.22.";

/// Codes of members that are plain objects (`structmember.h`): null reads as None, and as no attribute.
const T_OBJECT: i32 = 6;
const T_OBJECT_EX: i32 = 16;
/// Flags of members: read-only; reads are told to auditors, and writes.
const READONLY: i32 = 1;
const READ_RESTRICTED: i32 = 2;
const WRITE_RESTRICTED: i32 = 4;

const POINTER_BYTES: usize = size_of::<*mut ffi::PyObject>();

/// Whether this is the interpreter whose facts these are.
pub fn is_known(py: Python<'_>) -> bool {
    static KNOWN: PyOnceLock<bool> = PyOnceLock::new();
    *KNOWN.get_or_init(py, || {
        let name = || py.import("sys")?.getattr("implementation")?.getattr("name")?.extract::<String>();
        let version = py.version_info();
        (version.major, version.minor) == PYTHON && name().is_ok_and(|name| name == "cpython")
    })
}

pub fn way_of(kind: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> Way {
    // SAFETY: a type object, for as long as it is bound.
    let getattr = unsafe { (*kind.as_type_ptr()).tp_getattro };
    if getattr.map(|function| function as usize) != Some(ffi::PyObject_GenericGetAttr as *const () as usize) {
        return Way::Ask; // it has ideas of its own
    }
    let of = |base: Bound<'_, PyAny>| base.getattr("__dict__").ok()?.get_item(name).map(Bound::unbind).ok();
    let Some(found) = kind.mro().iter().find_map(of) else { return Way::Ask };
    let found = found.bind(kind.py());
    slot_of(kind, found).or_else(|| Some(Way::Item(place_of(kind, found)?))).unwrap_or(Way::Ask)
}

/// By what a member descriptor of a plain object says.
fn slot_of(kind: &Bound<'_, PyType>, found: &Bound<'_, PyAny>) -> Option<Way> {
    if !ptr::eq(found.get_type_ptr(), &raw const ffi::PyMemberDescr_Type) {
        return None;
    }
    // SAFETY: it is a member descriptor, which has the definition it was made of; both live as long as it does.
    let (owner, member, size) = unsafe {
        let descriptor = found.as_ptr().cast::<ffi::PyMemberDescrObject>();
        ((*descriptor).d_common.d_type, *(*descriptor).d_member, (*kind.as_type_ptr()).tp_basicsize)
    };
    // SAFETY: two types. A descriptor may stand in a class that it was not made for.
    let own = unsafe { ffi::PyType_IsSubtype(kind.as_type_ptr(), owner) } != 0;
    let plain = matches!(member.type_code, T_OBJECT | T_OBJECT_EX) && member.flags & READ_RESTRICTED == 0;
    let at = usize::try_from(member.offset).ok()?;
    let within = at >= size_of::<ffi::PyObject>() && at + POINTER_BYTES <= usize::try_from(size).ok()?;
    if !own || !plain || !within || !at.is_multiple_of(POINTER_BYTES) {
        return None;
    }
    let open = member.flags & (READONLY | WRITE_RESTRICTED) == 0 && sets_plainly(kind);
    Some(if open { Way::OpenSlot(at) } else { Way::Slot(at) })
}

/// The place that a member of a named tuple says.
fn place_of(kind: &Bound<'_, PyType>, found: &Bound<'_, PyAny>) -> Option<usize> {
    let getter = kind.py().import("_collections").ok()?.getattr("_tuplegetter").ok()?;
    if !found.get_type().is(&getter) || !kind.is_subclass_of::<PyTuple>().ok()? {
        return None;
    }
    // As it is pickled: its type, then place and docstring.
    let (_, (at, _)): (Bound<'_, PyAny>, (usize, Bound<'_, PyAny>)) =
        found.call_method0("__reduce__").ok()?.extract().ok()?;
    Some(at)
}

/// Whether `setattr` puts a value into a slot of such objects and does no more.
fn sets_plainly(kind: &Bound<'_, PyType>) -> bool {
    let Some(setattr) = setattr_of(kind) else { return false };
    // SAFETY: a type object.
    let collected = unsafe { ffi::PyType_HasFeature(kind.as_type_ptr(), ffi::Py_TPFLAGS_HAVE_GC) } != 0;
    setattr == ffi::PyObject_GenericSetAttr as *const () as usize
        || (!collected && setattr_of_structs(kind.py()) == Some(setattr))
}

fn setattr_of(kind: &Bound<'_, PyType>) -> Option<usize> {
    // SAFETY: a type object, for as long as it is bound.
    unsafe { (*kind.as_type_ptr()).tp_setattro }.map(|function| function as usize)
}

/// What msgspec gives to structs that are not frozen and have none of their own.
fn setattr_of_structs(py: Python<'_>) -> Option<usize> {
    static FOUND: PyOnceLock<Option<usize>> = PyOnceLock::new();
    let found = || -> PyResult<Option<usize>> {
        let msgspec = py.import("msgspec")?;
        if !msgspec.getattr("__version__")?.extract::<&str>()?.starts_with(MSGSPEC) {
            return Ok(None);
        }
        let made = msgspec.call_method1("defstruct", ("Struct", ["member"]))?;
        Ok(setattr_of(made.cast::<PyType>()?))
    };
    *FOUND.get_or_init(py, || found().ok().flatten())
}
