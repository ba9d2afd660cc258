//! The shares of one payment: body, token, id, encryption, and what answer and record say of each. The twin of
//! `TwinShares` in gateway/sharing/share.py. What is released, and to whom, is decided in Python.
use std::mem;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::bytes::json;
use crate::sealing::mac::{CardTokens, Letters, Macs, text_of};
use crate::policy::masks;
use crate::sealing::seal::ContentKey;
use crate::sealing::share_elements::Elements;
use crate::sealing::share_fields::{Known, MOST_FIELDS, ShareFields};
use crate::bytes::wire::{put_chunk, put_chunk_number, put_length_before, put_number, put_varint};

/// What is around a body in a record.
const AROUND: usize = 1024;

/// Numbers of v1.EnrichAuthorizationResponse and v1.ProgramDecision.
const ANSWER_DECISIONS: u64 = 7;
const SHARED: u64 = 1;
/// Of storage.v1.Evaluation and storage.v1.Decision.
const RECORD_DECISIONS: u64 = 24;
const RELEASED: u64 = 1;
const SHA256_BYTES: usize = 32;

/// A program's recipient while one content key serves it.
#[pyclass(module = "ein_native", frozen)]
pub struct ShareTarget {
    program: String,
    /// Members of the body that are the same for all shares of the program.
    routing: Vec<u8>,
    kid: String,
    content_key: Py<ContentKey>,
    epoch: i64,
    tokens: Py<CardTokens>,
    /// The epoch before, while its tokens are given beside the others.
    before: Option<(i64, Py<CardTokens>)>,
    elements: Elements,
}

#[pymethods]
impl ShareTarget {
    #[new]
    #[pyo3(signature = (program, routing, kid, content_key, epoch, tokens, before, elements=Vec::new()))]
    #[allow(clippy::too_many_arguments)] // as its twin, a named tuple
    fn new(
        program: String,
        routing: Vec<u8>,
        kid: String,
        content_key: Py<ContentKey>,
        epoch: i64,
        tokens: Py<CardTokens>,
        before: Option<(i64, Py<CardTokens>)>,
        elements: Vec<(String, usize)>,
    ) -> PyResult<Self> {
        let elements = Elements::of(&elements)?;
        Ok(Self { program, routing, kid, content_key, epoch, tokens, before, elements })
    }

    fn __repr__(&self) -> &'static str {
        "ShareTarget(****)"
    }
}

/// `Shares(macs, fields, last, made, element_value)`; `last` is the mask of the fields that come behind the others.
#[pyclass(module = "ein_native", frozen)]
pub struct Shares {
    macs: Py<Macs>,
    fields: ShareFields,
    last: u128,
    /// Fields that are made for each recipient, and come with the order.
    made: u128,
    /// The twin's text of a field in an element, for what is not plain.
    element_value: Py<PyAny>,
    room: Mutex<Room>,
}

/// One share that is to be made.
pub struct Order<'a, 'py> {
    pub target: &'a ShareTarget,
    pub mask: u128,
    /// Members for this recipient, as JSON.
    pub made: Bound<'py, PyBytes>,
    pub part: Bound<'py, PyBytes>,
    pub consent_id: Bound<'py, PyString>,
    pub arm: i64,
}

/// Of a card that has tokens: the present one, and of the epoch before.
type Tokens = Option<(Letters, Option<Letters>)>;

/// By whom tokens were made: of the present epoch, and of the one before.
type Made = (*mut ffi::PyObject, Option<*mut ffi::PyObject>);

/// What all shares of a payment have.
pub struct OnePayment<'a, 'py> {
    known: Known<'a, 'py>,
    digits: &'a str,
    sender_id: &'a str,
    keys: &'a Bound<'py, PyTuple>,
    expires_at_ms: i64,
    tokens: Option<(Made, Tokens)>,
    room: &'a mut Room,
}

/// Where a payment's shares are written, kept for those of the next: to ask for kilobytes takes longer than to fill
/// them.
#[derive(Default)]
pub struct Room {
    /// Of the body, without its last brace.
    matching: Vec<u8>,
    members: Members,
    /// Of the share in hand.
    body: Vec<u8>,
    /// What the answer and the record say of it, where nobody gathers them.
    told: Vec<u8>,
    recorded: Vec<u8>,
}

impl Room {
    /// Nothing of a payment in the clear stays until the next one comes: not behind the end of a text either, where a
    /// longer one was.
    fn wipe(&mut self) {
        for text in [&mut self.matching, &mut self.members.text, &mut self.body, &mut self.told] {
            text.clear();
            text.resize(text.capacity(), 0);
        }
    }
}

/// Fields that were written before, each as a member: programs mostly share the same ones.
#[derive(Default)]
struct Members {
    text: Vec<u8>,
    /// By number, of those that it has.
    spans: Vec<(usize, usize)>,
    have: u128,
}

impl Members {
    fn clear(&mut self) {
        self.text.clear();
        self.spans.resize(MOST_FIELDS, (0, 0));
        self.have = 0;
    }

    fn of(&self, number: usize) -> Option<&[u8]> {
        let (from, to) = *self.spans.get(number)?;
        (self.have >> number & 1 == 1).then(|| &self.text[from..to])
    }
}

#[pymethods]
impl Shares {
    #[new]
    fn new(
        macs: Py<Macs>,
        fields: Vec<Bound<'_, PyTuple>>,
        last: u128,
        made: u128,
        element_value: Py<PyAny>,
    ) -> PyResult<Self> {
        Ok(Self { macs, fields: ShareFields::of(&fields)?, last, made, element_value, room: Mutex::default() })
    }

    fn __repr__(&self) -> &'static str {
        "Shares(****)"
    }

    /// Of each order (target, mask, members made, standing part, consent, arm): share id, decision of the answer,
    /// decision of the record.
    #[allow(clippy::too_many_arguments)] // what a payment's shares have in common, one by one, without a container
    fn seal<'py>(
        &self,
        py: Python<'py>,
        signals: &Bound<'py, PyAny>,
        digits: &str,
        sender_id: &str,
        match_keys: &Bound<'py, PyTuple>,
        expires_at_ms: i64,
        orders: &Bound<'py, PyList>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut room = self.swapped(Room::default());
        let (mut told, mut recorded) = (mem::take(&mut room.told), mem::take(&mut room.recorded));
        let mut payment = OnePayment::of(signals, digits, sender_id, match_keys, expires_at_ms, &mut room)?;
        let all = PyList::empty(py);
        for order in orders.iter() {
            let order = order.cast::<PyTuple>()?;
            if order.len() != 6 {
                return Err(PyTypeError::new_err("an order has six parts"));
            }
            let target = order.get_borrowed_item(0)?;
            let bytes = |at: usize| order.get_item(at)?.cast_into::<PyBytes>().map_err(PyErr::from);
            let order = Order {
                target: target.cast::<ShareTarget>()?.get(),
                mask: masks::bits(&order.get_item(1)?)
                    .ok_or_else(|| PyValueError::new_err("a mask of fields"))?,
                made: bytes(2)?,
                part: bytes(3)?,
                consent_id: order.get_item(4)?.cast_into::<PyString>()?,
                arm: order.get_borrowed_item(5)?.extract()?,
            };
            told.clear();
            recorded.clear();
            let share_id = self.share(&mut payment, &order, &mut told, &mut recorded)?;
            all.append((text_of(py, &share_id), PyBytes::new(py, &told), PyBytes::new(py, &recorded)))?;
        }
        (room.told, room.recorded) = (told, recorded);
        self.swapped(room);
        Ok(all)
    }
}

impl<'a, 'py> OnePayment<'a, 'py> {
    pub fn of(
        signals: &'a Bound<'py, PyAny>,
        digits: &'a str,
        sender_id: &'a str,
        keys: &'a Bound<'py, PyTuple>,
        expires_at_ms: i64,
        room: &'a mut Room,
    ) -> PyResult<Self> {
        let known = Known::of(signals)?;
        room.members.clear();
        let matching = &mut room.matching;
        matching.clear();
        matching.extend_from_slice(b",\"match\":{\"keys\":");
        json::write(matching, keys.as_any(), 2)?;
        matching.extend_from_slice(b",\"attempted_at_ms\":");
        known.write_attempted_at(matching)?;
        Ok(Self { known, digits, sender_id, keys, expires_at_ms, tokens: None, room })
    }

    /// Programs of one recipient have one token.
    fn tokens_of(&mut self, target: &ShareTarget) -> Tokens {
        let before = target.before.as_ref().map(|(_, tokens)| tokens.as_ptr());
        let of = (target.tokens.as_ptr(), before);
        match self.tokens {
            Some((same, tokens)) if same == of => tokens,
            _ => {
                let made = (!self.digits.is_empty()).then(|| {
                    let before = target.before.as_ref().map(|(_, tokens)| tokens.get().letters(self.digits));
                    (target.tokens.get().letters(self.digits), before)
                });
                self.tokens = Some((of, made));
                made
            }
        }
    }

    /// The members of a mask in the order of their numbers, with a comma before each but what comes first.
    fn put_members(&mut self, fields: &ShareFields, mask: u128, mut first: bool) -> PyResult<bool> {
        let Room { body, members, .. } = &mut *self.room;
        let mut left = mask;
        while left != 0 {
            let number = left.trailing_zeros() as usize;
            left &= left - 1;
            if !first {
                body.push(b',');
            }
            first = false;
            if members.have >> number & 1 == 0 {
                let from = members.text.len();
                fields.write(&mut members.text, &self.known, 1 << number, true)?;
                members.spans[number] = (from, members.text.len());
                members.have |= 1 << number;
            }
            let (from, to) = members.spans[number];
            body.extend_from_slice(&members.text[from..to]);
        }
        Ok(first)
    }
}

impl Shares {
    /// Python is never called while the lock is held. A payment that fails leaves the next one without room to take.
    pub fn swapped(&self, mut room: Room) -> Room {
        room.wipe();
        mem::replace(&mut *self.room.lock().unwrap_or_else(PoisonError::into_inner), room)
    }

    /// Adds the decision of the answer and the decision of the record; the share's id.
    pub fn share(
        &self,
        payment: &mut OnePayment<'_, '_>,
        order: &Order<'_, '_>,
        told_to: &mut Vec<u8>,
        recorded_to: &mut Vec<u8>,
    ) -> PyResult<Letters> {
        let target = order.target;
        let share_id = payment.known.share_letters(self.macs.get(), payment.sender_id, &target.program)?;
        let tokens = payment.tokens_of(target);
        self.body(payment, order, &share_id, tokens.as_ref())?;
        self.told(payment, order, &share_id, told_to)?;
        recorded(payment, order, &share_id, tokens.as_ref(), recorded_to)?;
        Ok(share_id)
    }

    /// As `write_body` in gateway/sealing/body.py; letters of ids need no escape.
    fn body(
        &self,
        payment: &mut OnePayment<'_, '_>,
        order: &Order<'_, '_>,
        share_id: &Letters,
        tokens: Option<&(Letters, Option<Letters>)>,
    ) -> PyResult<()> {
        let target = order.target;
        let Room { body: out, matching, .. } = &mut *payment.room;
        out.clear();
        out.extend_from_slice(b"{\"share_id\":\"");
        out.extend_from_slice(share_id);
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&target.routing);
        out.extend_from_slice(b",\"card_token\":\"");
        out.extend_from_slice(tokens.map_or(&[], |(present, _)| present));
        out.extend_from_slice(b"\",\"token_epoch\":");
        json::write_number(out, if tokens.is_some() { target.epoch } else { 0 });
        out.extend_from_slice(matching);
        if let (Some((_, Some(older))), Some((epoch, _))) = (tokens, &target.before) {
            out.extend_from_slice(b",\"previous_card_token\":\"");
            out.extend_from_slice(older);
            out.extend_from_slice(b"\",\"previous_token_epoch\":");
            json::write_number(out, *epoch);
        }
        out.extend_from_slice(b"},\"fields\":{");
        let mut first = payment.put_members(&self.fields, order.mask & !self.last & !self.made, true)?;
        if !order.made.as_bytes().is_empty() {
            if !first {
                payment.room.body.push(b',');
            }
            payment.room.body.extend_from_slice(order.made.as_bytes());
            first = false;
        }
        payment.put_members(&self.fields, order.mask & self.last, first)?;
        payment.room.body.extend_from_slice(b"}}");
        Ok(())
    }

    /// v1.ProgramDecision of what is shared, in its answer. Behind the body, which has the members.
    fn told(
        &self,
        payment: &OnePayment<'_, '_>,
        order: &Order<'_, '_>,
        share_id: &[u8],
        out: &mut Vec<u8>,
    ) -> PyResult<()> {
        put_chunk_number(out, ANSWER_DECISIONS);
        let from = out.len();
        put_text(out, 1, &order.target.program);
        put_number(out, 2, SHARED);
        put_chunk(out, 4, share_id);
        if let Ok(key) = payment.keys.get_borrowed_item(0) {
            put_text(out, 6, key.cast::<PyString>()?.to_str()?);
        }
        put_number(out, 7, payment.expires_at_ms as u64);
        let signals = payment.known.signals;
        let json = |number| self.fields.value(number, payment.room.members.of(number)?);
        let ask = |number: usize| self.element_value.bind(signals.py()).call1((signals, number));
        order.target.elements.put(out, order.mask, json, ask)?;
        put_length_before(out, from);
        Ok(())
    }
}

/// storage.v1.Decision of what is released, in its record. The body is encrypted in its place, and sealed into it.
fn recorded(
    payment: &mut OnePayment<'_, '_>,
    order: &Order<'_, '_>,
    share_id: &[u8],
    tokens: Option<&(Letters, Option<Letters>)>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let (target, key) = (order.target, order.target.content_key.get());
    let sealed = key.length(payment.room.body.len());
    out.reserve(sealed + order.part.as_bytes().len() + AROUND);
    put_chunk_number(out, RECORD_DECISIONS);
    let from = out.len();
    out.extend_from_slice(order.part.as_bytes());
    put_chunk(out, 2, share_id);
    put_text(out, 5, order.consent_id.to_str()?);
    put_number(out, 7, RELEASED);
    put_number(out, 10, order.arm as u64);
    put_number(out, 15, 1); // eligible
    put_number(out, 16, order.mask as u64);
    if let Some((present, _)) = tokens {
        put_chunk(out, 19, present);
        put_number(out, 20, target.epoch as u64);
    }
    put_text(out, 22, &target.kid);
    put_chunk(out, 23, &[0; SHA256_BYTES]); // of what comes behind it
    let hash_to = out.len();
    put_chunk_number(out, 24);
    put_varint(out, sealed as u64);
    let sealed_from = out.len();
    out.resize(sealed_from + sealed, 0);
    let hash = key.seal_into(&mut out[sealed_from..], &mut payment.room.body)?;
    out[hash_to - SHA256_BYTES..hash_to].copy_from_slice(&hash);
    put_number(out, 26, payment.expires_at_ms as u64);
    for key in payment.keys.iter_borrowed() {
        put_chunk(out, 27, key.cast::<PyString>()?.to_str()?.as_bytes());
    }
    if let Some((_, Some(older))) = tokens {
        put_chunk(out, 28, older);
    }
    put_number(out, 29, (order.mask >> 64) as u64);
    put_length_before(out, from);
    Ok(())
}

/// A field of a text; an empty one is left out.
fn put_text(out: &mut Vec<u8>, number: u64, text: &str) {
    if !text.is_empty() {
        put_chunk(out, number, text.as_bytes());
    }
}
