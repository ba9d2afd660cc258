//! Reads a request that is as it should be, in one pass: from bytes on the wire to the checked payment.
//!
//! What to read is a table that Python hands over (`enrichment/reader.py`), made from the contract and from the
//! formats that the twin checks by. Whatever is not as it should be, or only unusual (a field twice, a field
//! that the contract does not have), gives None: the twin then reads it again, and names what is wrong.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::shapes::{Shape, canonical_ipv6};
use crate::slots::{Card, Digits, Request, Slot};
use crate::verdicts::Verdicts;
use crate::wire::{Fields, Value};

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
    Group { make: Py<PyAny>, parts: Vec<Part>, present: usize, optional: bool },
    Location { make: Py<PyAny>, latitude: usize, longitude: usize, present: usize },
    Raws { make: Py<PyAny>, slot: usize },
    NewList,
    /// Mask of the fields that are there and plainly fit to be shared; -1 where that is for Python to say.
    Presence,
    /// Whether two messages that are there are the same to the byte.
    Same { one: usize, other: usize },
}

/// A message whose parts make one field.
struct Whole {
    present: usize,
    parts: Vec<usize>,
    bit: u64,
    /// Slots of which the first, and one of the others, must be given for it to be fit.
    needs: Vec<usize>,
}

/// What is known of a place on the map.
struct Place {
    latitude: usize,
    longitude: usize,
    present: usize,
    bit: u64,
}

/// Fields that are made of messages: addresses (the first two, with the bit for having both), browser, location.
struct Wholes {
    all: Vec<Whole>,
    both: u64,
    place: Place,
}

/// Nearer to 0, 0 than this is where failed look-ups end up.
const NOWHERE_DEGREES: f64 = 0.01;

/// `Reader(tables, columns, details, wholes, card, slots, payment, verdicts)`: `read(payload, now_ms)` is a payment
/// or None, `details(payload)` the values of such a payment that were left for later.
#[pyclass(frozen, module = "ein_native")]
pub struct Reader {
    tables: Vec<Table>,
    columns: Vec<Column>,
    details: Vec<Column>,
    wholes: Wholes,
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
        details: Vec<Bound<'_, PyTuple>>,
        wholes: (Vec<(usize, Vec<usize>, u64, Vec<usize>)>, u64, (usize, usize, usize, u64)),
        card: (usize, usize, usize, usize, usize),
        slots: usize,
        payment: Py<PyAny>,
        verdicts: (u64, Vec<(String, usize, u64)>, Vec<Bound<'_, PyTuple>>),
    ) -> PyResult<Self> {
        let reader = Self {
            tables: tables.iter().map(|rows| table_of(rows)).collect::<PyResult<_>>()?,
            columns: columns.iter().map(column_of).collect::<PyResult<_>>()?,
            details: details.iter().map(column_of).collect::<PyResult<_>>()?,
            wholes: Wholes::of(wholes),
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
        payload: &[u8],
        now_ms: i64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut request = Request { slots: vec![Slot::Absent; self.slots], raws: Vec::new() };
        let found = self.walk(payload, 0, 0, &mut request).and_then(|()| request.card(&self.card));
        let Some(digits) = found else { return Ok(None) };
        let Some(values) = self.values(py, &self.columns, &request, digits, now_ms)? else { return Ok(None) };
        self.payment.bind(py).call1(PyTuple::new(py, values)?).map(Some)
    }

    /// The details of a request that `read` has read.
    fn details<'py>(&self, py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
        let mut request = Request { slots: vec![Slot::Absent; self.slots], raws: Vec::new() };
        let found = self.walk(payload, 0, 0, &mut request);
        let unread = || PyValueError::new_err("not a request that was read before");
        found.ok_or_else(unread)?;
        let values = self.values(py, &self.details, &request, ("", "", ""), 0)?;
        PyTuple::new(py, values.ok_or_else(unread)?)
    }
}

impl Reader {
    fn walk<'a>(
        &self,
        message: &'a [u8],
        table: usize,
        level: usize,
        request: &mut Request<'a>,
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
                    request.put(field.slot, Slot::Text(std::str::from_utf8(bytes).ok()?))?;
                }
                (Kind::Int { low, high }, Value::Varint(number)) => {
                    let number = number as i64; // as the wire has negative numbers
                    if !(*low..=*high).contains(&number) {
                        return None;
                    }
                    request.put(field.slot, Slot::Int(number))?;
                }
                (Kind::Double, Value::Fixed64(bytes)) => {
                    request.put(field.slot, Slot::Double(f64::from_le_bytes(bytes)))?;
                }
                (Kind::Message { table }, Value::Bytes(bytes)) => {
                    request.put(field.slot, Slot::Message(bytes))?;
                    self.walk(bytes, *table, level + 1, request)?;
                }
                (Kind::Raw, Value::Bytes(bytes)) => request.raws.push((field.slot, bytes)),
                _ => return None,
            }
        }
        Some(())
    }

    fn values<'py>(
        &self,
        py: Python<'py>,
        columns: &[Column],
        request: &Request<'_>,
        digits: Digits<'_>,
        now_ms: i64,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let mut values: Vec<Bound<'py, PyAny>> = Vec::with_capacity(columns.len());
        let mut last_group: Option<(&[u8], &Py<PyAny>, usize)> = None;
        for column in columns {
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
                Column::Iin => string(py, digits.0),
                Column::TruncatedIin => string(py, digits.1),
                Column::Last4 => string(py, digits.2),
                Column::Group { make, parts, present, optional } => {
                    let message = request.message(*present);
                    // Goods mostly go where the bill goes: the same bytes are the same object.
                    match (message, last_group) {
                        (Some(bytes), Some((before, same, at)))
                            if bytes == before && make.is(same) && !bytes.is_empty() =>
                        {
                            values[at].clone()
                        }
                        _ => {
                            if let Some(bytes) = message {
                                last_group = Some((bytes, make, values.len()));
                            }
                            group(py, request, make, parts, *optional, message.is_some())?
                        }
                    }
                }
                Column::Location { make, latitude, longitude, present } => {
                    if request.message(*present).is_none() {
                        py.None().into_bound(py)
                    } else {
                        let (latitude, longitude) = (request.double(*latitude), request.double(*longitude));
                        let made = make.bind(py).call1((latitude, longitude))?;
                        if made.is_none() {
                            return Ok(None);
                        }
                        made
                    }
                }
                Column::Raws { make, slot } => {
                    let of_slot = request.raws.iter().filter(|(at, _)| at == slot);
                    let raws: Vec<_> = of_slot.map(|(_, bytes)| PyBytes::new(py, bytes)).collect();
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
                Column::NewList => PyList::empty(py).into_any(),
                Column::Presence => {
                    let Ok(wholes) = self.wholes.mask(request) else { return Ok(None) };
                    match (self.verdicts.mask(request), wholes) {
                        (Some(mask), Some(wholes)) => (mask | wholes).into_pyobject(py)?.into_any(),
                        _ => int(py, -1)?,
                    }
                }
                Column::Same { one, other } => {
                    let same = match (request.message(*one), request.message(*other)) {
                        (Some(one), Some(other)) => one == other && !one.is_empty(),
                        _ => false,
                    };
                    same.into_pyobject(py)?.to_owned().into_any()
                }
            };
            values.push(value);
        }
        Ok(Some(values))
    }

    fn highest_slot(&self) -> usize {
        let fields = self.tables.iter().flatten().flatten().map(|field| field.slot);
        let columns = self.columns.iter().chain(&self.details).flat_map(|column| match column {
            Column::Text { slot, .. }
            | Column::Int { slot, .. }
            | Column::Bool { slot }
            | Column::Time { slot, .. }
            | Column::Ip { slot }
            | Column::Masked { slot, .. }
            | Column::Raws { slot, .. } => vec![*slot],
            Column::Group { parts, present, .. } => {
                let mut slots = vec![*present];
                slots.extend(parts.iter().map(|part| match part {
                    Part::Text(slot) | Part::Int(slot) | Part::OptionalInt(slot) => *slot,
                }));
                slots
            }
            Column::Location { latitude, longitude, present, .. } => vec![*latitude, *longitude, *present],
            Column::Iin | Column::TruncatedIin | Column::Last4 | Column::NewList => Vec::new(),
            Column::Presence => Vec::new(),
            Column::Same { one, other } => vec![*one, *other],
        });
        let card = [self.card.pan, self.card.network_token, self.card.card_ref, self.card.iin, self.card.last4];
        let verdicts = [self.verdicts.highest_slot()];
        fields.chain(columns).chain(card).chain(verdicts).chain(self.wholes.slots()).max().unwrap_or(0)
    }
}

/// `make(parts)`; None where the message is absent, or where nothing in it is given (unless `optional`).
fn group<'py>(
    py: Python<'py>,
    request: &Request<'_>,
    make: &Py<PyAny>,
    parts: &[Part],
    optional: bool,
    present: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let given = |part: &Part| match part {
        Part::Text(slot) => !request.text(*slot).is_empty(),
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
            Part::OptionalInt(slot) => match request.slots[*slot] {
                Slot::Int(number) => int(py, number)?,
                _ => py.None().into_bound(py),
            },
        });
    }
    make.bind(py).call1((PyTuple::new(py, values)?,))
}

/// What is known of a location is out of range: the twin names it.
struct OutOfRange;

impl Wholes {
    fn of(parts: (Vec<(usize, Vec<usize>, u64, Vec<usize>)>, u64, (usize, usize, usize, u64))) -> Self {
        let (rows, both, (latitude, longitude, present, bit)) = parts;
        let all = rows.into_iter().map(|(present, parts, bit, needs)| Whole { present, parts, bit, needs });
        Self { all: all.collect(), both, place: Place { latitude, longitude, present, bit } }
    }

    /// Mask of those that are there; None where one is doubtful.
    fn mask(&self, request: &Request<'_>) -> Result<Option<u64>, OutOfRange> {
        let mut mask = Some(0);
        let mut addresses = 0;
        for (at, whole) in self.all.iter().enumerate() {
            if whole.is_there(request) {
                addresses += usize::from(at < 2);
                mask = mask.filter(|_| whole.is_fit(request)).map(|mask| mask | whole.bit);
            }
        }
        if addresses == 2 {
            mask = mask.map(|mask| mask | self.both);
        }
        if request.message(self.place.present).is_some() {
            let (latitude, longitude) =
                (request.double(self.place.latitude), request.double(self.place.longitude));
            // A comparison with NaN is false.
            if !(latitude.abs() <= 90.0 && longitude.abs() <= 180.0) {
                return Err(OutOfRange);
            }
            let nowhere = latitude.abs() < NOWHERE_DEGREES && longitude.abs() < NOWHERE_DEGREES;
            mask = mask.filter(|_| !nowhere).map(|mask| mask | self.place.bit);
        }
        Ok(mask)
    }

    fn slots(&self) -> Vec<usize> {
        let mut slots = vec![self.place.latitude, self.place.longitude, self.place.present];
        for whole in &self.all {
            slots.push(whole.present);
            slots.extend(whole.parts.iter().chain(&whole.needs));
        }
        slots
    }
}

impl Whole {
    fn is_there(&self, request: &Request<'_>) -> bool {
        let given = |slot: &usize| !request.text(*slot).is_empty() || request.int(*slot) != 0;
        request.message(self.present).is_some() && self.parts.iter().any(given)
    }

    fn is_fit(&self, request: &Request<'_>) -> bool {
        self.needs.split_first().is_none_or(|(first, others)| {
            let given = |slot: &usize| !request.text(*slot).is_empty();
            given(first) && others.iter().any(given)
        })
    }
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
                make: make(1)?,
                parts,
                present: slot(2)?,
                optional: row.get_item(4)?.extract()?,
            }
        }
        "location" => Column::Location {
            make: make(1)?,
            latitude: slot(2)?,
            longitude: slot(3)?,
            present: slot(4)?,
        },
        "raws" => Column::Raws { make: make(1)?, slot: slot(2)? },
        "new_list" => Column::NewList,
        "presence" => Column::Presence,
        "same" => Column::Same { one: slot(1)?, other: slot(2)? },
        _ => return Err(PyValueError::new_err("a column that this engine does not know")),
    })
}
