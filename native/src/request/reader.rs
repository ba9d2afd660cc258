//! Reads a request that is as it should be, in one pass: from bytes on the wire to the checked payment.
//!
//! What to read is a table that Python hands over (`enrichment/reader.py`), made from the contract and from the
//! formats that the twin checks by. Whatever is not as it should be, or only unusual (a field twice, a field
//! that the contract does not have), gives None: the twin then reads it again, and names what is wrong.

use std::collections::HashSet;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::request::columns::{Column, Columns};
use crate::objects::made::call;
use crate::policy::masks;
use crate::request::read_request::{Layout, Own, ReadRequest};
use crate::request::shapes::Shape;
use crate::request::slots::{Card, Found, Request, Slot, place_of};
use crate::request::verdicts::Verdicts;
use crate::bytes::wire::{Fields, Value};

/// Deepest nesting of messages: the contract has three levels.
const MOST_LEVELS: usize = 4;

enum Kind {
    Text { shape: Shape },
    Int { low: i64, high: i64 },
    Double,
    Message { table: usize },
    /// A repeated message, kept as it came.
    Raw,
}

struct Field {
    slot: usize,
    kind: Kind,
}

/// Bits that are always set, rows of presence, rows of doubts.
type VerdictRows<'py> = (u128, Vec<(String, usize, u128)>, Vec<Bound<'py, PyTuple>>);

/// By field number.
type Table = Vec<Option<Field>>;

/// `Reader(tables, columns, late, card, slots, payment, verdicts)`; `read(payload, now_ms)` is a payment or None.
#[pyclass(frozen, module = "ein_native")]
pub struct Reader {
    tables: Vec<Table>,
    layout: Arc<Layout>,
    /// Of each column: whether it is left until it is asked for.
    late: Vec<bool>,
    /// Columns that `check` may say something of.
    checked: Vec<usize>,
    card: Card,
    slots: usize,
    payment: Py<PyAny>,
    verdicts: Verdicts,
}

#[pymethods]
impl Reader {
    #[new]
    fn new(
        tables: Vec<Vec<Bound<'_, PyTuple>>>,
        columns: Vec<(Bound<'_, PyString>, Bound<'_, PyTuple>)>,
        late: HashSet<String>,
        card: (usize, usize, usize, usize, usize),
        slots: usize,
        payment: Bound<'_, PyAny>,
        verdicts: VerdictRows<'_>,
    ) -> PyResult<Self> {
        let card = Card { pan: card.0, network_token: card.1, card_ref: card.2, iin: card.3, last4: card.4 };
        let late = columns.iter().map(|(name, _)| Ok(late.contains(name.to_str()?))).collect::<PyResult<_>>()?;
        let columns = Columns::of(&columns)?;
        let own = Own::of(payment.py(), &columns, card)?;
        let reader = Self {
            tables: tables.iter().map(|rows| table_of(rows)).collect::<PyResult<_>>()?,
            checked: (0..columns.all.len()).filter(|at| columns.all[*at].is_checked()).collect(),
            layout: Arc::new(Layout { columns, own }),
            late,
            card,
            slots,
            payment: payment.unbind(),
            verdicts: Verdicts::from_python(verdicts.0, &verdicts.1, &verdicts.2)?,
        };
        if reader.highest_slot() >= slots || reader.tables.is_empty() {
            return Err(PyValueError::new_err("a table names a slot that there is not"));
        }
        Ok(reader)
    }

    /// The payment, or None where the twin has to look.
    fn read<'py>(
        &self,
        py: Python<'py>,
        payload: &Bound<'py, PyBytes>,
        now_ms: i64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.payment(py, payload, now_ms)?.map(|(payment, _)| payment))
    }
}

impl Reader {
    /// As `read`, with what was read of it.
    pub fn payment<'py>(
        &self,
        py: Python<'py>,
        payload: &Bound<'py, PyBytes>,
        now_ms: i64,
    ) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, ReadRequest>)>> {
        let (bytes, mut found) = (payload.as_bytes(), Found::nothing(self.slots));
        if self.walk(bytes, bytes, 0, 0, &mut found).is_none() {
            return Ok(None);
        }
        let Some(digits) = Request::of(bytes, &found).card(&self.card) else { return Ok(None) };
        found.digits = digits;
        let Some(mut values) = self.values(py, &Request::of(bytes, &found), now_ms)? else { return Ok(None) };
        let read = Bound::new(py, ReadRequest::of(payload, found, &self.layout))?;
        values.push(read.clone().into_any());
        Ok(Some((call(self.payment.bind(py), &values)?, read)))
    }

    fn walk(
        &self,
        payload: &[u8],
        message: &[u8],
        table: usize,
        level: usize,
        found: &mut Found,
    ) -> Option<()> {
        if level >= MOST_LEVELS {
            return None;
        }
        let table = self.tables.get(table)?;
        for field in Fields::of(message) {
            let (number, value) = field.ok()?;
            let field = table.get(number)?.as_ref()?;
            match (&field.kind, value) {
                (Kind::Text { shape }, Value::Bytes(bytes)) => {
                    if !bytes.is_empty() && !shape.fits(bytes) {
                        return None;
                    }
                    if !bytes.is_ascii() {
                        std::str::from_utf8(bytes).ok()?;
                    }
                    found.put(field.slot, Slot::text(place_of(payload, bytes)?)?)?;
                }
                (Kind::Int { low, high }, Value::Varint(number)) => {
                    let number = number as i64; // as the wire has negative numbers
                    if !(*low..=*high).contains(&number) {
                        return None;
                    }
                    found.put(field.slot, Slot::int(number)?)?;
                }
                (Kind::Double, Value::Fixed64(bytes)) => {
                    found.put(field.slot, Slot::double(place_of(payload, bytes)?)?)?;
                }
                (Kind::Message { table }, Value::Bytes(bytes)) => {
                    found.put(field.slot, Slot::message(place_of(payload, bytes)?)?)?;
                    self.walk(payload, bytes, *table, level + 1, found)?;
                }
                (Kind::Raw, Value::Bytes(bytes)) => found.raws.push((field.slot, place_of(payload, bytes)?)),
                _ => return None,
            }
        }
        Some(())
    }

    /// The fields at once, in order; None stands for those that are made when they are asked for.
    fn values<'py>(
        &self,
        py: Python<'py>,
        request: &Request<'_>,
        now_ms: i64,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let mut presence = self.verdicts.mask(request);
        for column in self.checked.iter().map(|at| &self.layout.columns.all[*at]) {
            let Some(mask) = column.check(request, now_ms, presence) else { return Ok(None) };
            presence = mask;
        }
        let mut values: Vec<Bound<'py, PyAny>> = Vec::with_capacity(self.layout.columns.all.len() + 1);
        for (column, late) in self.layout.columns.all.iter().zip(&self.late) {
            values.push(match column {
                _ if *late => py.None().into_bound(py),
                Column::Presence { both, bit } => {
                    let given = |at: usize| self.layout.columns.all.get(at).is_some_and(|one| one.is_given(request));
                    match presence {
                        Some(mask) => {
                            masks::number(py, mask | if given(both.0) && given(both.1) { *bit } else { 0 })
                        }
                        None => (-1i64).into_pyobject(py)?.into_any(),
                    }
                }
                _ => match column.make(py, request)? {
                    Some(value) => value,
                    None => return Ok(None),
                },
            });
        }
        Ok(Some(values))
    }

    fn highest_slot(&self) -> usize {
        let fields = self.tables.iter().flatten().flatten().map(|field| field.slot);
        let columns = self.layout.columns.all.iter().flat_map(Column::slots);
        let card = [self.card.pan, self.card.network_token, self.card.card_ref, self.card.iin, self.card.last4];
        let verdicts = [self.verdicts.highest_slot()];
        fields.chain(columns).chain(card).chain(verdicts).max().unwrap_or(0)
    }
}

/// Rows of (number, kind, slot, and what the kind needs).
fn table_of(rows: &[Bound<'_, PyTuple>]) -> PyResult<Table> {
    let mut table: Table = Vec::new();
    for row in rows {
        let number: usize = row.get_item(0)?.extract()?;
        let kind: String = row.get_item(1)?.extract()?;
        let slot: usize = row.get_item(2)?.extract()?;
        let kind = match kind.as_str() {
            "text" => Kind::Text { shape: Shape::from_python(row.get_item(3)?.cast::<PyTuple>()?)? },
            "int" => Kind::Int { low: row.get_item(3)?.extract()?, high: row.get_item(4)?.extract()? },
            "double" => Kind::Double,
            "message" => Kind::Message { table: row.get_item(3)?.extract()? },
            "raw" => Kind::Raw,
            _ => return Err(PyValueError::new_err("a kind of field that this engine does not know")),
        };
        if table.len() <= number {
            table.resize_with(number + 1, || None);
        }
        table[number] = Some(Field { slot, kind });
    }
    Ok(table)
}
