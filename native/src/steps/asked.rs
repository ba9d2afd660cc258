//! What Python said about two objects, kept from batch to batch. By identity: both live as long as they are kept here,
//! so that no others can take their places in memory.
use std::collections::HashMap;

use pyo3::prelude::*;

/// As many as the twin keeps: `CACHED_PARTS` in gateway/sharing/encode.py.
const MOST: usize = 4096;

#[derive(Default)]
pub struct Asked {
    all: HashMap<(usize, usize), Said>,
}

struct Said {
    said: Py<PyAny>,
    _of: [Py<PyAny>; 2],
}

impl Asked {
    /// What `ask(one, other)` is; it has to be the same whenever it is asked.
    pub fn of<'py>(
        &mut self,
        ask: &Bound<'py, PyAny>,
        one: &Bound<'py, PyAny>,
        other: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let of = (one.as_ptr() as usize, other.as_ptr() as usize);
        if let Some(known) = self.all.get(&of) {
            return Ok(known.said.bind(ask.py()).clone());
        }
        let said = ask.call1((one, other))?;
        if self.all.len() >= MOST {
            self.all.clear();
        }
        let _of = [one.clone().unbind(), other.clone().unbind()];
        self.all.insert(of, Said { said: said.clone().unbind(), _of });
        Ok(said)
    }
}
