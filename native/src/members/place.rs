//! Where a member lies in objects of one type, and how it is read and written there.
//!
//! It rests on facts of CPython 3.11 (see `find` for the others, and for what happens elsewhere): a type has a version
//! tag, unique in the process as long as that runs. It is set to 0 when the type or one of its bases is changed, and
//! given anew when a name is next looked up. The interpreter's own quickened `LOAD_ATTR` rests on the same: what was
//! found for a tag holds for each object whose type has it. Types need not be kept alive for that, since the tag of
//! one that is gone is never given to another.
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::members::find::{is_known, way_of};

/// How objects of a type come by a member.
#[derive(Clone, Copy)]
pub enum Way {
    /// By whatever `getattr` does: a property, the class, a dictionary.
    Ask,
    /// By a pointer so many bytes into the object.
    Slot(usize),
    /// The same, where `setattr` does no more than to put another one there.
    OpenSlot(usize),
    /// By a place in the tuple that the object is.
    Item(usize),
}

/// In one word, so that whoever reads it sees what belongs together: the tag, 29 bits of where, 3 bits of how. No way
/// is 0, so that a place of nothing is 0 as a whole.
pub struct Place(AtomicU64);

const ASK: u64 = 1;
const SLOT: u64 = 2;
const OPEN_SLOT: u64 = 3;
const ITEM: u64 = 4;
const HOW_BITS: u32 = 3;
const TAG_SHIFT: u32 = 32;
const WHERE_MAX: usize = (1 << (TAG_SHIFT - HOW_BITS)) - 1;

pub enum Found<T> {
    Here(T),
    /// `getattr` or `setattr` has to be asked, by the type or since the member was deleted.
    Asks,
    /// The object is of another type, or its type was changed.
    Another,
    /// No place is known yet.
    Nothing,
}

impl Place {
    pub const fn nothing() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn put(&self, found: &Self) {
        self.0.store(found.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// None where nothing may be kept of the type. `value` is what the object has there, as its type says.
    pub fn find(object: &Bound<'_, PyAny>, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> Option<Self> {
        let tag = tag_of(object);
        if tag == 0 || !is_known(object.py()) {
            return None;
        }
        let way = way_of(&object.get_type(), name);
        // To look for it may have run what a metaclass has.
        if tag_of(object) != tag {
            return None;
        }
        let place = Self::of(tag, way);
        match place.read(object) {
            Found::Here(same) if same.is(value) => Some(place),
            _ => Some(Self::of(tag, Way::Ask)),
        }
    }

    fn of(tag: u64, way: Way) -> Self {
        let (how, at) = match way {
            Way::Slot(at) if at <= WHERE_MAX => (SLOT, at),
            Way::OpenSlot(at) if at <= WHERE_MAX => (OPEN_SLOT, at),
            Way::Item(at) if at <= WHERE_MAX => (ITEM, at),
            _ => (ASK, 0),
        };
        Self(AtomicU64::new(tag << TAG_SHIFT | (at as u64) << HOW_BITS | how))
    }

    #[inline]
    pub fn read<'py>(&self, object: &Bound<'py, PyAny>) -> Found<Bound<'py, PyAny>> {
        let value = match self.way(object) {
            // SAFETY: the object's type is as it was when `find` saw this offset in it.
            Found::Here(Way::Slot(at) | Way::OpenSlot(at)) => unsafe {
                // A reference is taken at once: the slot may be given another value.
                Bound::from_borrowed_ptr_or_opt(object.py(), *slot(object, at))
            },
            // SAFETY: likewise, and saw that it is a tuple.
            Found::Here(Way::Item(at)) => unsafe { object.cast_unchecked::<PyTuple>() }.as_slice().get(at).cloned(),
            Found::Here(Way::Ask) | Found::Asks => None,
            Found::Another => return Found::Another,
            Found::Nothing => return Found::Nothing,
        };
        value.map_or(Found::Asks, Found::Here)
    }

    #[inline]
    pub fn write(&self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> Found<()> {
        let at = match self.way(object) {
            Found::Here(Way::OpenSlot(at)) => at,
            Found::Here(_) | Found::Asks => return Found::Asks,
            Found::Another => return Found::Another,
            Found::Nothing => return Found::Nothing,
        };
        // SAFETY: the object's type is as it was when `find` saw this offset in it. The slot has a reference of its
        // own to what is in it; the one before goes last, since that may run anything.
        unsafe {
            let before = ptr::replace(slot(object, at), value.clone().into_ptr());
            drop(Bound::from_owned_ptr_or_opt(object.py(), before));
        }
        Found::Here(())
    }

    pub fn is_open(&self, object: &Bound<'_, PyAny>) -> bool {
        matches!(self.way(object), Found::Here(Way::OpenSlot(_)))
    }

    #[inline]
    fn way(&self, object: &Bound<'_, PyAny>) -> Found<Way> {
        let kept = self.0.load(Ordering::Relaxed);
        if kept == 0 {
            return Found::Nothing;
        }
        if kept >> TAG_SHIFT != tag_of(object) {
            return Found::Another;
        }
        let at = (kept as u32 >> HOW_BITS) as usize;
        Found::Here(match kept & ((1 << HOW_BITS) - 1) {
            SLOT => Way::Slot(at),
            OPEN_SLOT => Way::OpenSlot(at),
            ITEM => Way::Item(at),
            _ => Way::Ask,
        })
    }
}

/// 0 where the type has none.
#[inline]
fn tag_of(object: &Bound<'_, PyAny>) -> u64 {
    // SAFETY: an object has a type, which lives as long as it does.
    unsafe { (*ffi::Py_TYPE(object.as_ptr())).tp_version_tag.into() }
}

/// # Safety
/// The object has a pointer to an object, or null, so many bytes from its start.
#[inline]
unsafe fn slot(object: &Bound<'_, PyAny>, at: usize) -> *mut *mut ffi::PyObject {
    // SAFETY: within the object.
    unsafe { object.as_ptr().byte_add(at).cast() }
}
