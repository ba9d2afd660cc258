//! What the registry of consents says of each party, small enough for millions: the twin of `TwinRegistered`
//! (gateway/programs/consent_rows.py).
//!
//! Rows are taken in without the interpreter, some at a time: who decides a payment waits for a few of them at most.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::policy::consent_rows::{Full, Rows, Said};

/// Of the fields of a row, and of the rows of a page. No id and no version of terms has them: they are printable.
pub const MEMBER: char = '\x1f';
pub const ROW: char = '\x1e';

/// Rows put in at once: some 20 µs in which a payment waits.
const ROWS_AT_ONCE: usize = 64;

pub const MERCHANT: u8 = 0;
pub const PLATFORM: u8 = 1;

/// Of a row: the most that any has.
const MEMBERS_MAX: usize = 9;

#[derive(Clone, Copy)]
struct Given<'a> {
    party: u8,
    party_id: &'a str,
    tier: u8,
    terms_version: &'a str,
    from_ms: i64,
    until_ms: i64,
    place: (i64, i64),
}

impl Given<'_> {
    fn said(&self, terms: u32) -> Said {
        Said { tier: self.tier, terms, from_ms: self.from_ms, until_ms: self.until_ms }
    }
}

/// Versions of terms, once each. Kept for good: there are a few, and what nobody has any more goes with the process.
#[derive(Default)]
struct Terms {
    versions: Vec<Box<str>>,
    places: HashMap<Box<str>, u32>,
}

impl Terms {
    fn place(&mut self, version: &str) -> Result<u32, Full> {
        if let Some(&at) = self.places.get(version) {
            return Ok(at);
        }
        let at = u32::try_from(self.versions.len()).map_err(|_| Full)?;
        self.versions.push(version.into());
        self.places.insert(version.into(), at);
        Ok(at)
    }
}

/// All rows. Those of an import wait in `staged`; in force they lie `over` the others, into which they go by and by.
#[derive(Default)]
struct Layers {
    terms: Terms,
    base: Rows,
    over: Option<Rows>,
    settled: u32,
    staged: Option<Rows>,
}

impl Layers {
    fn get(&self, party: u8, party_id: &str) -> Option<Said> {
        let over = self.over.as_ref().and_then(|over| over.get(party, party_id));
        over.or_else(|| self.base.get(party, party_id))
    }

    fn put(&mut self, given: &Given<'_>) -> Result<(), Full> {
        let said = given.said(self.terms.place(given.terms_version)?);
        // In both, so that it neither is hidden nor is overwritten with what was said before.
        if let Some(over) = &mut self.over
            && over.get(given.party, given.party_id).is_some()
        {
            over.put(given.party, given.party_id, said)?;
        }
        self.base.put(given.party, given.party_id, said)
    }

    fn stage(&mut self, given: &Given<'_>) -> Result<(), Full> {
        let said = given.said(self.terms.place(given.terms_version)?);
        self.staged.get_or_insert_default().put(given.party, given.party_id, said)
    }

    /// Puts some rows of what lies over into the base. True when nothing lies over it any more.
    fn settle(&mut self, most: usize) -> Result<bool, Full> {
        let Some(over) = &self.over else { return Ok(true) };
        for _ in 0..most {
            let Some((party, party_id, said, next)) = over.walk(self.settled) else {
                self.over = None;
                return Ok(true);
            };
            self.base.put(party, party_id, said)?;
            self.settled = next;
        }
        Ok(false)
    }
}

/// `Registered(parties, tiers)`: the names that rows have of merchants and platforms, and of tiers from 0 on.
#[pyclass(frozen, module = "ein_native")]
pub struct Registered {
    parties: [String; 2],
    tiers: Vec<String>,
    rows: Mutex<Layers>,
    /// Rises with what is taken in, so that who remembers an answer knows when to ask again.
    pub generation: AtomicU64,
}

#[pymethods]
impl Registered {
    #[new]
    fn new(parties: [String; 2], tiers: Vec<String>) -> PyResult<Self> {
        if tiers.len() > usize::from(u8::MAX) {
            return Err(PyValueError::new_err("tiers are counted in a byte"));
        }
        Ok(Self { parties, tiers, rows: Mutex::default(), generation: AtomicU64::new(0) })
    }

    /// Takes a page of the registry in, all or none, and says the place of its last row.
    fn take(&self, py: Python<'_>, page: &str) -> PyResult<(i64, i64)> {
        py.detach(|| self.each(page, Layers::put))
    }

    /// The same of an import that is not in force yet: nobody is told of it.
    fn stage(&self, py: Python<'_>, page: &str) -> PyResult<(i64, i64)> {
        py.detach(|| self.each(page, Layers::stage))
    }

    /// What was staged is in force, all of it at once.
    fn enforce(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            while !self.settle_some(ROWS_AT_ONCE)? {}
            let mut rows = self.locked();
            let staged = rows.staged.take();
            match rows.base.count {
                0 => rows.base = staged.unwrap_or_default(),
                _ => (rows.over, rows.settled) = (staged, 0),
            }
            self.generation.fetch_add(1, Ordering::Release);
            Ok(())
        })
    }

    /// What was staged never was.
    fn unstage(&self, py: Python<'_>) {
        py.detach(|| {
            let staged = self.locked().staged.take();
            drop(staged); // out of the lock: it may be much
        });
    }

    /// Lets so many rows of what came into force last become like the others. True when there are none left.
    fn settle(&self, py: Python<'_>, most: usize) -> PyResult<bool> {
        py.detach(|| {
            for _ in 0..most.div_ceil(ROWS_AT_ONCE) {
                if self.settle_some(ROWS_AT_ONCE)? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Tier, valid from, valid until and consent id, as a release asks for it; None where nothing is known.
    fn merchant<'py>(&self, party_id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.consent(party_id, MERCHANT)
    }

    fn platform<'py>(&self, party_id: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.consent(party_id, PLATFORM)
    }

    /// Parties in force, as far as what came into force last is settled.
    fn __len__(&self) -> usize {
        self.locked().base.count
    }
}

impl Registered {
    /// None for what is no page, or one out of order: then what was taken back could come before what was given.
    fn read<'a>(&self, page: &'a str) -> Option<Vec<Given<'a>>> {
        let mut before: (i64, i64) = (0, 0);
        let mut pack = None;
        page.split(ROW)
            .map(|row| {
                let mut members = [""; MEMBERS_MAX];
                let mut count = 0;
                for member in row.split(MEMBER) {
                    *members.get_mut(count)? = member;
                    count += 1;
                }
                let behind = (before.0, before.1.checked_add(1)?);
                let given = match members[..count] {
                    [party_id, _] => Given { party_id, place: behind, ..pack? },
                    [.., party_id, _] if count == 7 => {
                        pack?; // goes on in a pack, and begins none
                        self.given(party_id, &members[..5], behind)?
                    }
                    [epoch, row, .., party_id, _] if count == 9 => {
                        self.given(party_id, &members[2..7], (whole(epoch)?, whole(row)?))?
                    }
                    [party, party_id, tier, terms, from, until, epoch, row] => {
                        self.given(party_id, &[party, tier, terms, from, until], (whole(epoch)?, whole(row)?))?
                    }
                    _ => return None,
                };
                let in_order = before < given.place && !given.party_id.is_empty();
                before = given.place;
                pack = (count != 8).then_some(given);
                in_order.then_some(given)
            })
            .collect()
    }

    fn given<'a>(&self, party_id: &'a str, said: &[&'a str], place: (i64, i64)) -> Option<Given<'a>> {
        let &[party, tier, terms_version, from, until] = said else { return None };
        Some(Given {
            party: self.parties.iter().position(|name| name == party)? as u8,
            party_id,
            tier: self.tiers.iter().position(|name| name == tier)? as u8,
            terms_version,
            from_ms: whole(from)?,
            until_ms: whole(until)?,
            place,
        })
    }

    fn each(&self, page: &str, put: fn(&mut Layers, &Given<'_>) -> Result<(), Full>) -> PyResult<(i64, i64)> {
        let given = self.read(page).ok_or_else(|| PyValueError::new_err("no page of the registry"))?;
        for some in given.chunks(ROWS_AT_ONCE) {
            let mut rows = self.locked();
            let done = some.iter().try_for_each(|one| put(&mut rows, one));
            // Within the lock: who sees the new number finds the rows.
            self.generation.fetch_add(1, Ordering::Release);
            done.map_err(too_many)?;
        }
        Ok(given.last().map_or((0, 0), |last| last.place))
    }

    fn settle_some(&self, most: usize) -> PyResult<bool> {
        self.locked().settle(most).map_err(too_many)
    }

    fn locked(&self) -> MutexGuard<'_, Layers> {
        self.rows.lock().expect("no panic while it was held")
    }

    fn consent<'py>(&self, id: &Bound<'py, PyAny>, party: u8) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(text) = id.cast::<PyString>().ok().and_then(|id| id.to_str().ok()) else {
            return Ok(None); // what is no text, or has no UTF-8, is no id of the registry
        };
        let answer = self.stands(party, text).map(|(said, consent_id)| {
            (said.tier, said.from_ms, said.until_ms, consent_id).into_pyobject(id.py())
        });
        answer.transpose()
    }

    /// What a party said, and the id of that consent.
    pub fn stands(&self, party: u8, party_id: &str) -> Option<(Said, String)> {
        let rows = self.locked();
        let said = rows.get(party, party_id)?;
        let version = &rows.terms.versions[said.terms as usize];
        // The tier too: who agrees to less under the same terms has said something else.
        let tier = self.tiers.get(usize::from(said.tier))?.to_ascii_lowercase();
        Some((said, [&self.parties[usize::from(party)], "/", party_id, "/", version, "/", &tier].concat()))
    }
}

fn too_many(_: Full) -> PyErr {
    PyMemoryError::new_err("the registry is larger than a worker holds")
}

fn whole(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
