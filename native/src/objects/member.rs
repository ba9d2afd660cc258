//! Attributes that lie at a place of their object: `__slots__`, msgspec's fields, members of named tuples. Each place in
//! the code that asks for one keeps where it lay the last time, as the interpreter's own instructions do (PEP 659).
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

/// How an attribute is had: Python says; it lies at an offset; it is a member of a tuple, by its number.
const ASKED_FOR: u64 = 0;
const AT_OFFSET: u64 = 1;
const IN_TUPLE: u64 = 2;
const PLACE_BITS: u32 = 30;

/// Asked for by one place in the code, mostly of objects of one type.
pub struct Member {
    name: &'static str,
    /// The version of a type, how its objects have the attribute, and where; 0: of none yet. A type has another version
    /// as soon as anything in it or its bases is changed, and no two types have the same.
    known: AtomicU64,
}

/// `member!(object, "name")`: as `object.getattr`, of an attribute that most objects have at one place.
#[macro_export]
macro_rules! member {
    ($object:expr, $name:literal) => {{
        static MEMBER: $crate::objects::member::Member = $crate::objects::member::Member::new($name);
        MEMBER.of(&$object)
    }};
}

impl Member {
    pub const fn new(name: &'static str) -> Self {
        Self { name, known: AtomicU64::new(0) }
    }

    pub fn of<'py>(&self, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let known = self.known.load(Ordering::Relaxed);
        let (form, place) = (known as u32 >> PLACE_BITS, known as usize & ((1 << PLACE_BITS) - 1));
        // SAFETY: a type of this version was seen to keep the attribute at this place of its objects (`place_of`), as a
        // pointer that is null where it has none; of a tuple, the place is less than its length. The interpreter's lock
        // is held, so that nobody takes the value away before it is our own.
        let found = unsafe {
            let at = object.as_ptr();
            let same = known != 0 && (known >> 32) as u32 == (*object.get_type_ptr()).tp_version_tag;
            let found = match u64::from(form) {
                AT_OFFSET if same => *at.byte_add(place).cast::<*mut ffi::PyObject>(),
                IN_TUPLE if same && place < ffi::PyTuple_GET_SIZE(at) as usize => {
                    ffi::PyTuple_GET_ITEM(at, place as ffi::Py_ssize_t)
                }
                _ => std::ptr::null_mut(),
            };
            if found.is_null() {
                return self.ask(object, same);
            }
            Bound::from_borrowed_ptr(object.py(), found)
        };
        Ok(found)
    }

    /// As Python finds it, which says what is wrong too; and looks where it lies unless that is known.
    #[cold]
    fn ask<'py>(&self, object: &Bound<'py, PyAny>, is_known: bool) -> PyResult<Bound<'py, PyAny>> {
        let (py, kind) = (object.py(), object.get_type());
        let name = PyString::intern(py, self.name);
        let found = object.getattr(&name)?;
        if !is_known {
            // SAFETY: a type has a version once something was looked up in it, until it is changed; 0 is none.
            let version = unsafe { (*kind.as_type_ptr()).tp_version_tag };
            let (form, place) = place_of(&kind, &name).unwrap_or((ASKED_FOR, 0));
            let known = u64::from(version) << 32 | form << PLACE_BITS | place as u64;
            self.known.store(if version == 0 { 0 } else { known }, Ordering::Relaxed);
        }
        Ok(found)
    }
}

/// How and where objects of that very type keep an attribute; None of one that is found in another way.
fn place_of(kind: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> Option<(u64, usize)> {
    // SAFETY: a type's own function.
    let finds = unsafe { (*kind.as_type_ptr()).tp_getattro }?;
    if finds as usize != ffi::PyObject_GenericGetAttr as *const () as usize {
        return None; // what finds attributes itself has to be asked
    }
    let descriptor = in_bases(kind, name)?;
    let (place, form) = match number_of(&descriptor) {
        Some(number) => {
            // SAFETY: two types.
            let is_tuple = unsafe { ffi::PyType_IsSubtype(kind.as_type_ptr(), &raw mut ffi::PyTuple_Type) != 0 };
            (is_tuple.then_some(number)?, IN_TUPLE)
        }
        None => (offset_of(&descriptor, kind)?, AT_OFFSET),
    };
    (place < 1 << PLACE_BITS).then_some((form, place))
}

/// What a type or the first of its bases says of a name.
fn in_bases<'py>(kind: &Bound<'py, PyType>, name: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
    for base in kind.mro().iter() {
        // SAFETY: a type's own names, which it has once it is made.
        let names = unsafe { Bound::from_borrowed_ptr_or_opt(kind.py(), (*base.as_ptr().cast::<ffi::PyTypeObject>()).tp_dict) };
        if let Some(found) = names?.cast::<PyDict>().ok()?.get_item(name).ok()? {
            return Some(found);
        }
    }
    None
}

/// Of a member that is an object: where it lies.
fn offset_of(descriptor: &Bound<'_, PyAny>, kind: &Bound<'_, PyType>) -> Option<usize> {
    // SAFETY: a descriptor of that very type is one of a member, and has one.
    unsafe {
        if !std::ptr::eq(descriptor.get_type_ptr(), &raw const ffi::PyMemberDescr_Type) {
            return None;
        }
        let of = &*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
        let member = *of.d_member;
        let is_of_kind = ffi::PyType_IsSubtype(kind.as_type_ptr(), of.d_common.d_type) != 0;
        let is_plain = member.type_code == ffi::Py_T_OBJECT_EX && member.flags & ffi::Py_AUDIT_READ == 0;
        (is_of_kind && is_plain && member.offset > 0).then_some(member.offset as usize)
    }
}

/// Of a member of a named tuple, as `collections.namedtuple` makes it: its number.
fn number_of(descriptor: &Bound<'_, PyAny>) -> Option<usize> {
    let py = descriptor.py();
    let getter = py.import("_collections").ok()?.getattr(intern!(py, "_tuplegetter")).ok()?;
    if !descriptor.get_type().is(&getter) {
        return None;
    }
    let (_, (number, _)): (Bound<'_, PyAny>, (usize, Bound<'_, PyAny>)) =
        descriptor.call_method0(intern!(py, "__reduce__")).ok()?.extract().ok()?;
    Some(number)
}
