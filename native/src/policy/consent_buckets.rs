//! Rows of a file of consents, until there are enough for a pack: the twin of `TwinBuckets`
//! (gateway/server/cli/consent_buckets.py).
use std::collections::HashMap;
use std::sync::Arc;

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::policy::consents::{MEMBER, ROW};

const COLUMNS: usize = 7;
const HASH_BITS: u32 = 32;

/// Versions of terms times tiers times days, kept at once.
const KNOWN_MAX: usize = 4096;

struct Row {
    hash: u32,
    /// What stands before the id where the row before says something else.
    said: Arc<str>,
    /// The id and the evidence.
    text: Box<str>,
}

/// Text, number of rows, lowest and highest hash.
type Pack = (String, usize, u32, u32);

/// `ConsentBuckets(says, bits, pack_rows, id_max, evidence_max)`. `says(party, tier, terms_version, valid_from,
/// valid_until)` is what stands before a row's id, and raises where a row cannot say that; it is asked once.
#[pyclass(module = "ein_native")]
pub struct ConsentBuckets {
    says: Py<PyAny>,
    bits: u32,
    pack_rows: usize,
    id_max: usize,
    evidence_max: usize,
    /// What rows say, by the columns that say it.
    known: HashMap<String, Arc<str>>,
    buckets: Vec<Vec<Row>>,
}

#[pymethods]
impl ConsentBuckets {
    #[new]
    fn new(says: Py<PyAny>, bits: u32, pack_rows: usize, id_max: usize, evidence_max: usize) -> PyResult<Self> {
        if !(1..=16).contains(&bits) {
            return Err(PyValueError::new_err("buckets are told by 1 to 16 bits"));
        }
        let buckets = std::iter::repeat_with(Vec::new).take(1 << bits).collect();
        Ok(Self { says, bits, pack_rows, id_max, evidence_max, known: HashMap::new(), buckets })
    }

    /// Keeps the rows of some whole lines; how many lines, and packs of what came together. None, and nothing kept,
    /// where anything is quoted, beyond ASCII, or wrong: that is for the twin's reader, which says what is.
    fn lines(&mut self, py: Python<'_>, block: &str) -> PyResult<Option<(usize, Vec<Pack>)>> {
        let mut rows = Vec::with_capacity(block.len() / 32);
        let mut lines = 0;
        let mut before: Option<([&str; COLUMNS], Arc<str>)> = None;
        for line in block.split_terminator('\n') {
            lines += 1;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let Some(columns) = self.columns(line) else { return Ok(None) };
            let said = match &before {
                Some((other, said)) if alike(other, &columns) => said.clone(),
                _ => match self.said(py, &columns)? {
                    Some(said) => said,
                    None => return Ok(None),
                },
            };
            rows.push(row(said.clone(), columns[1], columns[4]));
            before = Some((columns, said));
        }
        let packs = rows.into_iter().filter_map(|row| self.keep(row)).collect();
        Ok(Some((lines, packs)))
    }

    /// Keeps one row that is checked; a pack where it is complete with it.
    fn put(&mut self, said: &str, party_id: &str, evidence: &str) -> Option<Pack> {
        self.keep(row(said.into(), party_id, evidence))
    }

    /// What is left, that of several buckets in one pack.
    fn left(&mut self) -> Vec<Pack> {
        let mut packs = Vec::new();
        let mut some = Vec::new();
        for bucket in &mut self.buckets {
            some.append(bucket);
            if some.len() >= self.pack_rows {
                packs.push(pack(&some));
                some.clear();
            }
        }
        if !some.is_empty() {
            packs.push(pack(&some));
        }
        packs
    }
}

impl ConsentBuckets {
    /// Of a line that any reader takes for the same, with texts that are as they have to be.
    fn columns<'a>(&self, line: &'a str) -> Option<[&'a str; COLUMNS]> {
        // Printable ASCII without quotes.
        if !line.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"') {
            return None;
        }
        let mut columns = [""; COLUMNS];
        let mut count = 0;
        for column in line.split(',') {
            *columns.get_mut(count)? = column;
            count += 1;
        }
        let filled = |text: &str, most: usize| text.len() <= most && text.bytes().any(|byte| byte != b' ');
        let good = count == COLUMNS && filled(columns[1], self.id_max) && filled(columns[4], self.evidence_max);
        good.then_some(columns)
    }

    /// What stands before the row's id. None where no row can say that.
    fn said(&mut self, py: Python<'_>, columns: &[&str; COLUMNS]) -> PyResult<Option<Arc<str>>> {
        let [party, _, tier, terms, _, from, until] = *columns;
        let key = [party, tier, terms, from, until].join(","); // no column has one
        if let Some(said) = self.known.get(&key) {
            return Ok(Some(said.clone()));
        }
        let said = match self.says.call1(py, (party, tier, terms, from, until)) {
            Ok(said) => said,
            Err(refused) if refused.is_instance_of::<PyException>(py) => return Ok(None),
            Err(other) => return Err(other),
        };
        let said: Arc<str> = said.bind(py).cast::<PyString>()?.to_str()?.into();
        if self.known.len() == KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, said.clone());
        Ok(Some(said))
    }

    fn keep(&mut self, row: Row) -> Option<Pack> {
        let bucket = &mut self.buckets[(row.hash >> (HASH_BITS - self.bits)) as usize];
        bucket.push(row);
        if bucket.len() < self.pack_rows {
            return None;
        }
        let made = pack(bucket);
        bucket.clear();
        Some(made)
    }
}

fn alike(one: &[&str; COLUMNS], other: &[&str; COLUMNS]) -> bool {
    [0, 2, 3, 5, 6].iter().all(|&at| one[at] == other[at])
}

fn row(said: Arc<str>, party_id: &str, evidence: &str) -> Row {
    let mut text = String::with_capacity(party_id.len() + 1 + evidence.len());
    text.push_str(party_id);
    text.push(MEMBER);
    text.push_str(evidence);
    Row { hash: crc32fast::hash(party_id.as_bytes()), said, text: text.into_boxed_str() }
}

fn pack(rows: &[Row]) -> Pack {
    let mut text = String::with_capacity(rows.iter().map(|row| row.text.len() + 1).sum());
    let mut before = "";
    let (mut low, mut high) = (u32::MAX, 0);
    for row in rows {
        if !before.is_empty() {
            text.push(ROW);
        }
        if *row.said != *before {
            text.push_str(&row.said);
        }
        text.push_str(&row.text);
        before = &row.said;
        (low, high) = (low.min(row.hash), high.max(row.hash));
    }
    (text, rows.len(), low, high)
}
