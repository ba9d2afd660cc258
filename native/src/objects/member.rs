//! Attributes that lie at a place of their object: `__slots__`, msgspec's fields, members of named tuples. Each place in
//! the code that asks for one keeps where it lay the last time, as the interpreter's own instructions do (PEP 659).
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

/// Of an attribute that lies at an offset, and of a member of a tuple by its number.
const AT_OFFSET: u64 = 0;
const IN_TUPLE: u64 = 1;
const PLACE_BITS: u32 = 31;

/// Asked for by one place in the code, mostly of objects of one type.
pub struct Member {
    name: &'static str,
    /// The version of a type, whether it is a tuple, and the place in its objects; 0: of none yet. A type has another
    /// version as soon as anything in it or its bases is changed, and no two types have the same.
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
        let (version, place) = ((known >> 32) as u32, (known & ((1 << PLACE_BITS) - 1)) as usize);
        // SAFETY: a type of this version was seen to keep the attribute at this place of its objects (`place_of`), as a
        // pointer that is null where it has none; of a tuple, the place is less than its length. The interpreter is
        // held, so that nobody takes the value away before it is our own.
        unsafe {
            let at = object.as_ptr();
            if version != 0 && version == (*object.get_type_ptr()).tp_version_tag {
                let found = if known >> PLACE_BITS & 1 == AT_OFFSET {
                    *at.byte_add(place).cast::<*mut ffi::PyObject>()
                } else if place < ffi::PyTuple_GET_SIZE(at) as usize {
                    ffi::PyTuple_GET_ITEM(at, place as ffi::Py_ssize_t)
                } else {
                    std::ptr::null_mut()
                };
                if !found.is_null() {
                    return Ok(Bound::from_borrowed_ptr(object.py(), found));
                }
            }
        }
        self.look(object)
    }

    /// As Python finds it, which says what is wrong too.
    #[cold]
    fn look<'py>(&self, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, kind) = (object.py(), object.get_type());
        let name = PyString::intern(py, self.name);
        let found = object.getattr(&name)?;
        // SAFETY: a type has a version once something was looked up in it, until it is changed.
        let version = unsafe { (*kind.as_type_ptr()).tp_version_tag };
        if let Some((form, place)) = place_of(&kind, &name) {
            let place = (place as u64) & ((1 << PLACE_BITS) - 1);
            self.known.store(u64::from(version) << 32 | form << PLACE_BITS | place, Ordering::Relaxed);
        }
        Ok(found)
    }
}

/// How and where objects of that very type keep an attribute; None of one that is found in another way.
fn place_of(kind: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> Option<(u64, usize)> {
    let (py, descriptor) = (kind.py(), kind.getattr(name).ok()?);
    let getter = descriptor.get_type();
    // SAFETY: a type's own functions, and of a descriptor of that very type, what all of them begin with.
    let (plain, member) = unsafe {
        let plain = (*kind.as_type_ptr()).tp_getattro;
        let is_member = std::ptr::eq(getter.as_type_ptr(), &raw const ffi::PyMemberDescr_Type);
        (plain, is_member.then(|| &*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>()))
    };
    if plain? as usize != ffi::PyObject_GenericGetAttr as *const () as usize {
        return None; // what finds attributes itself has to be asked
    }
    if let Some(member) = member {
        // SAFETY: a descriptor of a member has one, and its type is that or a base of what it was found in.
        let (one, of) = unsafe { (*member.d_member, ffi::PyType_IsSubtype(kind.as_type_ptr(), member.d_common.d_type)) };
        let object = one.type_code == ffi::Py_T_OBJECT_EX && one.offset > 0 && of != 0;
        return object.then_some((AT_OFFSET, one.offset as usize));
    }
    // `collections.namedtuple` says of each member its number.
    let of_tuple = getter.name().ok()?.to_str().ok()? == "_tuplegetter" && getter.module().ok()?.to_str().ok()? == "_collections";
    // SAFETY: two types.
    let is_tuple = unsafe { ffi::PyType_IsSubtype(kind.as_type_ptr(), &raw mut ffi::PyTuple_Type) != 0 };
    if !of_tuple || !is_tuple {
        return None;
    }
    let (_, (number, _)): (Bound<'_, PyAny>, (usize, Bound<'_, PyAny>)) =
        descriptor.call_method0(intern!(py, "__reduce__")).ok()?.extract().ok()?;
    Some((IN_TUPLE, number))
}
