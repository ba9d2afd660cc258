//! Reads a request that is as it should be, in one pass: from bytes on the wire to the checked payment.
//!
//! What to read is a table that Python hands over (`enrichment/reader.py`), made from the contract and from the
//! formats that the twin checks by. Whatever is not as it should be, or only unusual (a field twice, a field
//! that the contract does not have), gives None: the twin then reads it again, and names what is wrong.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::made::{NamedTuple, call};
use crate::masks;
use crate::shapes::{Shape, canonical_ipv6};
use crate::read_request::ReadRequest;
use crate::slots::{Card, Found, Request, Slot, place_of};
use crate::verdicts::Verdicts;
use crate::wire::{Fields, Value, put_chunk, put_chunk_number, put_length_before, put_number};

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

enum Part {
    Text(usize),
    Int(usize),
    /// None where the field is absent: only presence tells 0 from "not known".
    OptionalInt(usize),
}

enum Column {
    Text { slot: usize, required: bool },
    Int { slot: usize, instead_of_zero: i64 },
    Bool { slot: usize },
    /// Present only up to some milliseconds ahead of now.
    Time { slot: usize, ahead_ms: i64 },
    Ip { slot: usize },
    Masked { slot: usize, make: Py<PyAny> },
    Iin,
    TruncatedIin,
    Last4,
    Group { make: NamedTuple, parts: Vec<Part>, present: usize, optional: bool, bit: u128, needs: Needs },
    Location { make: Py<PyAny>, latitude: usize, longitude: usize, present: usize, bit: u128 },
    Raws { make: Py<PyAny>, slot: usize },
    NewList,
    /// The fields that were asked for, as a message: numbers and what stands there.
    Written { fields: Vec<(u64, Source)> },
    /// Mask of the fields that are there and plainly fit to be shared; -1 where that is for Python to say.
    Presence { both: (usize, usize), bit: u128 },
}

/// Of a field that is written.
#[derive(Clone, Copy)]
enum Source {
    Text(usize),
    Int { slot: usize, instead_of_zero: i64 },
    TruncatedIin,
    Last4,
    /// A message of the fields that follow up to its end.
    Begin,
    End,
}

/// Of a group: slots of which the first, and one of the others, must be given for it to be fit.
type Needs = Vec<usize>;

/// Nearer to 0, 0 than this is where failed look-ups end up.
const NOWHERE_DEGREES: f64 = 0.01;

/// `Reader(tables, columns, card, slots, payment, verdicts)`; `read(payload, now_ms)` is a payment or None.
#[pyclass(frozen, module = "ein_native")]
pub struct Reader {
    tables: Vec<Table>,
    columns: Vec<Column>,
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
        columns: Vec<Bound<'_, PyTuple>>,
        card: (usize, usize, usize, usize, usize),
        slots: usize,
        payment: Py<PyAny>,
        verdicts: VerdictRows<'_>,
    ) -> PyResult<Self> {
        let reader = Self {
            tables: tables.iter().map(|rows| table_of(rows)).collect::<PyResult<_>>()?,
            columns: columns.iter().map(column_of).collect::<PyResult<_>>()?,
            card: Card { pan: card.0, network_token: card.1, card_ref: card.2, iin: card.3, last4: card.4 },
            slots,
            payment,
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
        let (bytes, mut found) = (payload.as_bytes(), Found::nothing(self.slots));
        if self.walk(bytes, bytes, 0, 0, &mut found).is_none() {
            return Ok(None);
        }
        let Some(digits) = Request::of(bytes, &found).card(&self.card) else { return Ok(None) };
        found.digits = digits;
        let Some(mut values) = self.values(py, Request::of(bytes, &found), now_ms)? else { return Ok(None) };
        values.push(Bound::new(py, ReadRequest::of(payload, found))?.into_any());
        call(self.payment.bind(py), &values).map(Some)
    }
}

impl Reader {
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
                    std::str::from_utf8(bytes).ok()?;
                    found.put(field.slot, Slot::Text(place_of(payload, bytes)?))?;
                }
                (Kind::Int { low, high }, Value::Varint(number)) => {
                    let number = number as i64; // as the wire has negative numbers
                    if !(*low..=*high).contains(&number) {
                        return None;
                    }
                    found.put(field.slot, Slot::Int(number))?;
                }
                (Kind::Double, Value::Fixed64(bytes)) => {
                    found.put(field.slot, Slot::Double(f64::from_le_bytes(bytes)))?;
                }
                (Kind::Message { table }, Value::Bytes(bytes)) => {
                    found.put(field.slot, Slot::Message(place_of(payload, bytes)?))?;
                    self.walk(payload, bytes, *table, level + 1, found)?;
                }
                (Kind::Raw, Value::Bytes(bytes)) => found.raws.push((field.slot, place_of(payload, bytes)?)),
                _ => return None,
            }
        }
        Some(())
    }

    fn values<'py>(
        &self,
        py: Python<'py>,
        request: Request<'_>,
        now_ms: i64,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let mut values: Vec<Bound<'py, PyAny>> = Vec::with_capacity(self.columns.len() + 1);
        let mut presence = self.verdicts.mask(&request);
        let mut last_group: Option<(&[u8], &NamedTuple, usize)> = None;
        for column in &self.columns {
            let value = match column {
                Column::Text { slot, required } => {
                    let text = request.text(*slot);
                    if *required && text.is_empty() {
                        return Ok(None);
                    }
                    string(py, text)
                }
                Column::Int { slot, instead_of_zero } => {
                    let number = request.int(*slot);
                    int(py, if number == 0 { *instead_of_zero } else { number })?
                }
                Column::Bool { slot } => (request.int(*slot) != 0).into_pyobject(py)?.to_owned().into_any(),
                Column::Time { slot, ahead_ms } => {
                    let time_ms = request.int(*slot);
                    if time_ms <= 0 || time_ms > now_ms.saturating_add(*ahead_ms) {
                        return Ok(None);
                    }
                    int(py, time_ms)?
                }
                Column::Ip { slot } => {
                    let text = request.text(*slot);
                    if text.contains(':') {
                        let Some(canonical) = canonical_ipv6(text) else { return Ok(None) };
                        string(py, &canonical)
                    } else {
                        string(py, text)
                    }
                }
                Column::Masked { slot, make } => match request.text(*slot) {
                    "" => py.None().into_bound(py),
                    text => make.bind(py).call1((text,))?,
                },
                Column::Iin => string(py, request.iin()),
                Column::TruncatedIin => string(py, request.truncated_iin()),
                Column::Last4 => string(py, request.last4()),
                Column::Group { make, parts, present, optional, bit, needs } => {
                    let message = request.message(*present);
                    // Goods mostly go where the bill goes: the same bytes are the same object.
                    let made = match (message, last_group) {
                        (Some(bytes), Some((before, same, at)))
                            if bytes == before && make.is(same) && !bytes.is_empty() =>
                        {
                            values[at].clone()
                        }
                        _ => {
                            if let Some(bytes) = message {
                                last_group = Some((bytes, make, values.len()));
                            }
                            group(py, &request, make, parts, *optional, message.is_some())?
                        }
                    };
                    if !made.is_none() {
                        presence = presence.filter(|_| fit(&request, needs)).map(|mask| mask | bit);
                    }
                    made
                }
                Column::Location { make, latitude, longitude, present, bit } => {
                    if request.message(*present).is_none() {
                        py.None().into_bound(py)
                    } else {
                        let (latitude, longitude) = (request.double(*latitude), request.double(*longitude));
                        let made = make.bind(py).call1((latitude, longitude))?;
                        if made.is_none() {
                            return Ok(None);
                        }
                        let nowhere = latitude.abs() < NOWHERE_DEGREES && longitude.abs() < NOWHERE_DEGREES;
                        presence = presence.filter(|_| !nowhere).map(|mask| mask | bit);
                        made
                    }
                }
                Column::Raws { make, slot } => {
                    let raws: Vec<_> = request.raws(*slot).map(|bytes| PyBytes::new(py, bytes)).collect();
                    if raws.is_empty() {
                        PyTuple::empty(py).into_any()
                    } else {
                        let made = make.bind(py).call1((raws,))?;
                        if made.is_none() {
                            return Ok(None);
                        }
                        made
                    }
                }
                Column::Written { fields } => written(py, &request, fields).into_any(),
                Column::NewList => PyList::empty(py).into_any(),
                Column::Presence { both, bit } => {
                    let both = !values[both.0].is_none() && !values[both.1].is_none();
                    match presence {
                        Some(mask) => masks::number(py, mask | if both { *bit } else { 0 }),
                        None => int(py, -1)?,
                    }
                }
            };
            values.push(value);
        }
        Ok(Some(values))
    }

    fn highest_slot(&self) -> usize {
        let fields = self.tables.iter().flatten().flatten().map(|field| field.slot);
        let columns = self.columns.iter().flat_map(|column| match column {
            Column::Text { slot, .. }
            | Column::Int { slot, .. }
            | Column::Bool { slot }
            | Column::Time { slot, .. }
            | Column::Ip { slot }
            | Column::Masked { slot, .. }
            | Column::Raws { slot, .. } => vec![*slot],
            Column::Group { parts, present, needs, .. } => {
                let mut slots = vec![*present];
                slots.extend(needs);
                slots.extend(parts.iter().map(|part| match part {
                    Part::Text(slot) | Part::Int(slot) | Part::OptionalInt(slot) => *slot,
                }));
                slots
            }
            Column::Location { latitude, longitude, present, .. } => vec![*latitude, *longitude, *present],
            Column::Written { fields } => {
                let slots = fields.iter().filter_map(|(_, source)| match source {
                    Source::Text(slot) | Source::Int { slot, .. } => Some(*slot),
                    _ => None,
                });
                slots.collect()
            }
            Column::Iin | Column::TruncatedIin | Column::Last4 | Column::NewList => Vec::new(),
            Column::Presence { .. } => Vec::new(),
        });
        let card = [self.card.pan, self.card.network_token, self.card.card_ref, self.card.iin, self.card.last4];
        let verdicts = [self.verdicts.highest_slot()];
        fields.chain(columns).chain(card).chain(verdicts).max().unwrap_or(0)
    }
}

/// `make(parts)`; None where the message is absent, or where nothing in it is given (unless `optional`).
fn group<'py>(
    py: Python<'py>,
    request: &Request<'_>,
    make: &NamedTuple,
    parts: &[Part],
    optional: bool,
    present: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let given = |part: &Part| match part {
        Part::Text(slot) => request.has_text(*slot),
        Part::Int(slot) | Part::OptionalInt(slot) => request.int(*slot) != 0,
    };
    if !present || (!optional && !parts.iter().any(given)) {
        return Ok(py.None().into_bound(py));
    }
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        values.push(match part {
            Part::Text(slot) => string(py, request.text(*slot)),
            Part::Int(slot) => int(py, request.int(*slot))?,
            Part::OptionalInt(slot) => match request.slot(*slot) {
                Slot::Int(number) => int(py, number)?,
                _ => py.None().into_bound(py),
            },
        });
    }
    make.make(py, values)
}

/// The message of some fields. Room for most, which have 300 bytes.
fn written<'py>(
    py: Python<'py>,
    request: &Request<'_>,
    fields: &[(u64, Source)],
) -> Bound<'py, PyBytes> {
    let mut out = Vec::with_capacity(512);
    let mut inside_from = 0;
    for (number, source) in fields {
        let text = match source {
            Source::Text(slot) => request.text(*slot),
            Source::TruncatedIin => request.truncated_iin(),
            Source::Last4 => request.last4(),
            Source::Int { slot, instead_of_zero } => {
                let given = request.int(*slot);
                put_number(&mut out, *number, if given == 0 { *instead_of_zero } else { given } as u64);
                continue;
            }
            Source::Begin => {
                put_chunk_number(&mut out, *number);
                inside_from = out.len();
                continue;
            }
            Source::End => {
                put_length_before(&mut out, inside_from);
                continue;
            }
        };
        if !text.is_empty() {
            put_chunk(&mut out, *number, text.as_bytes());
        }
    }
    PyBytes::new(py, &out)
}

/// Whether a group has what it needs to be of use to its recipient.
fn fit(request: &Request<'_>, needs: &Needs) -> bool {
    needs.split_first().is_none_or(|(first, others)| {
        let given = |slot: &usize| request.has_text(*slot);
        given(first) && others.iter().any(given)
    })
}

fn string<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyAny> {
    if text.is_empty() {
        return intern!(py, "").clone().into_any();
    }
    PyString::new(py, text).into_any()
}

fn int(py: Python<'_>, number: i64) -> PyResult<Bound<'_, PyAny>> {
    Ok(number.into_pyobject(py)?.into_any())
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

fn column_of(row: &Bound<'_, PyTuple>) -> PyResult<Column> {
    let kind: String = row.get_item(0)?.extract()?;
    let slot = |at: usize| -> PyResult<usize> { row.get_item(at)?.extract() };
    let make = |at: usize| -> PyResult<Py<PyAny>> { Ok(row.get_item(at)?.unbind()) };
    Ok(match kind.as_str() {
        "text" => Column::Text { slot: slot(1)?, required: row.get_item(2)?.extract()? },
        "int" => Column::Int { slot: slot(1)?, instead_of_zero: row.get_item(2)?.extract()? },
        "bool" => Column::Bool { slot: slot(1)? },
        "time" => Column::Time { slot: slot(1)?, ahead_ms: row.get_item(2)?.extract()? },
        "ip" => Column::Ip { slot: slot(1)? },
        "masked" => Column::Masked { slot: slot(1)?, make: make(2)? },
        "iin" => Column::Iin,
        "truncated_iin" => Column::TruncatedIin,
        "last4" => Column::Last4,
        "group" => {
            let mut parts = Vec::new();
            for part in row.get_item(3)?.try_iter()? {
                let (kind, slot): (String, usize) = part?.extract()?;
                parts.push(match kind.as_str() {
                    "text" => Part::Text(slot),
                    "int" => Part::Int(slot),
                    "optional_int" => Part::OptionalInt(slot),
                    _ => return Err(PyValueError::new_err("a part that this engine does not know")),
                });
            }
            Column::Group {
                make: NamedTuple::of(&row.get_item(1)?)?,
                parts,
                present: slot(2)?,
                optional: row.get_item(4)?.extract()?,
                bit: row.get_item(5)?.extract()?,
                needs: row.get_item(6)?.extract()?,
            }
        }
        "location" => Column::Location {
            make: make(1)?,
            latitude: slot(2)?,
            longitude: slot(3)?,
            present: slot(4)?,
            bit: row.get_item(5)?.extract()?,
        },
        "raws" => Column::Raws { make: make(1)?, slot: slot(2)? },
        "written" => Column::Written { fields: sources_of(&row.get_item(1)?)? },
        "new_list" => Column::NewList,
        "presence" => Column::Presence { both: (slot(1)?, slot(2)?), bit: row.get_item(3)?.extract()? },
        _ => return Err(PyValueError::new_err("a column that this engine does not know")),
    })
}

/// Rows of (number, column), or of (number, "begin") and (0, "end").
fn sources_of(rows: &Bound<'_, PyAny>) -> PyResult<Vec<(u64, Source)>> {
    let mut fields = Vec::new();
    for row in rows.try_iter()? {
        let (number, column): (u64, Bound<'_, PyTuple>) = row?.extract()?;
        let kind: String = column.get_item(0)?.extract()?;
        let source = match kind.as_str() {
            "text" => Source::Text(column.get_item(1)?.extract()?),
            "time" => Source::Int { slot: column.get_item(1)?.extract()?, instead_of_zero: 0 },
            "int" => Source::Int {
                slot: column.get_item(1)?.extract()?,
                instead_of_zero: column.get_item(2)?.extract()?,
            },
            "truncated_iin" => Source::TruncatedIin,
            "last4" => Source::Last4,
            "begin" => Source::Begin,
            "end" => Source::End,
            _ => return Err(PyValueError::new_err("a column that is not written")),
        };
        fields.push((number, source));
    }
    Ok(fields)
}
