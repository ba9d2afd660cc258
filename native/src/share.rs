//! The shares of one payment: body, token, id, encryption, and what answer and record say of each. The twin of
//! `TwinShares` in gateway/sharing/share.py. What is released, and to whom, is decided in Python.
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::json;
use crate::mac::{CardTokens, Letters, Macs, text_of};
use crate::masks;
use crate::seal::ContentKey;
use crate::share_fields::{Known, ShareFields};
use crate::wire::{put_chunk, put_chunk_number, put_length_before, put_number, put_varint};

/// What most bodies fit in, and what is around them in a record.
const FIRST_CAPACITY: usize = 2048;
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
}

#[pymethods]
impl ShareTarget {
    #[new]
    fn new(
        program: String,
        routing: Vec<u8>,
        kid: String,
        content_key: Py<ContentKey>,
        epoch: i64,
        tokens: Py<CardTokens>,
        before: Option<(i64, Py<CardTokens>)>,
    ) -> Self {
        Self { program, routing, kid, content_key, epoch, tokens, before }
    }

    fn __repr__(&self) -> &'static str {
        "ShareTarget(****)"
    }
}

/// `Shares(macs, fields, last)`; `last` is the mask of the fields that come behind the others.
#[pyclass(module = "ein_native", frozen)]
pub struct Shares {
    macs: Py<Macs>,
    fields: ShareFields,
    last: u128,
    /// Fields that are made for each recipient, and come with the order.
    made: u128,
}

/// One share that is to be made.
struct Order<'a, 'py> {
    target: &'a ShareTarget,
    mask: u128,
    /// Members for this recipient, as JSON.
    made: Bound<'py, PyBytes>,
    part: Bound<'py, PyBytes>,
    consent_id: Bound<'py, PyString>,
    arm: i64,
    elements: Bound<'py, PyBytes>,
}

/// Of a card that has tokens: the present one, and of the epoch before.
type Tokens = Option<(Letters, Option<Letters>)>;

/// What all shares of the payment have.
struct Common<'a, 'py> {
    known: Known<'a, 'py>,
    sender_id: &'a str,
    intent: Bound<'py, PyString>,
    attempt_no: i64,
    /// Of the body, without its last brace.
    matching: Vec<u8>,
    keys: &'a Bound<'py, PyTuple>,
    expires_at_ms: i64,
}

#[pymethods]
impl Shares {
    #[new]
    fn new(macs: Py<Macs>, fields: Vec<Bound<'_, PyTuple>>, last: u128, made: u128) -> PyResult<Self> {
        Ok(Self { macs, fields: ShareFields::of(&fields)?, last, made })
    }

    fn __repr__(&self) -> &'static str {
        "Shares(****)"
    }

    /// Of each order (target, mask, members made, standing part, consent, arm, elements): share id, decision of the
    /// answer, decision of the record.
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
        let known = Known::of(signals)?;
        let intent = known.payment.getattr(intern!(py, "payment_intent_id"))?.cast_into::<PyString>()?;
        let attempt_no = known.payment.getattr(intern!(py, "attempt_no"))?.extract()?;
        let mut matching = Vec::with_capacity(256);
        matching.extend_from_slice(b",\"match\":{\"keys\":");
        json::write(&mut matching, match_keys.as_any(), 2)?;
        matching.extend_from_slice(b",\"attempted_at_ms\":");
        json::write(&mut matching, &known.payment.getattr(intern!(py, "initiated_at_ms"))?, 2)?;
        let common = Common { known, sender_id, intent, attempt_no, matching, keys: match_keys, expires_at_ms };
        let all = PyList::empty(py);
        let mut last = None;
        for order in orders.iter() {
            let order = order.cast::<PyTuple>()?;
            if order.len() != 7 {
                return Err(PyTypeError::new_err("an order has seven parts"));
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
                elements: bytes(6)?,
            };
            // Programs of one recipient have one token.
            let before = order.target.before.as_ref().map(|(_, tokens)| tokens.as_ptr());
            let of = (order.target.tokens.as_ptr(), before);
            let tokens = match last {
                Some((same, tokens)) if same == of => tokens,
                _ => tokens_of(order.target, digits),
            };
            last = Some((of, tokens));
            all.append(self.share(py, &common, &order, tokens.as_ref())?)?;
        }
        Ok(all)
    }
}

type Made<'py> = (Bound<'py, PyString>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

fn tokens_of(target: &ShareTarget, digits: &str) -> Tokens {
    (!digits.is_empty()).then(|| {
        let before = target.before.as_ref().map(|(_, tokens)| tokens.get().letters(digits));
        (target.tokens.get().letters(digits), before)
    })
}

impl Shares {
    fn share<'py>(
        &self,
        py: Python<'py>,
        common: &Common<'_, 'py>,
        order: &Order<'_, 'py>,
        tokens: Option<&(Letters, Option<Letters>)>,
    ) -> PyResult<Made<'py>> {
        let (target, intent) = (order.target, common.intent.to_str()?);
        let share_id =
            self.macs.get().share_letters(common.sender_id, intent, common.attempt_no, &target.program);
        let mut body = self.body(common, order, &share_id, tokens)?;
        let told = told(common, order, &share_id)?;
        let recorded = recorded(common, order, &share_id, tokens, &mut body)?;
        Ok((text_of(py, &share_id), PyBytes::new(py, &told), PyBytes::new(py, &recorded)))
    }

    /// As `write_body` in gateway/sealing/body.py; letters of ids need no escape.
    fn body(
        &self,
        common: &Common<'_, '_>,
        order: &Order<'_, '_>,
        share_id: &Letters,
        tokens: Option<&(Letters, Option<Letters>)>,
    ) -> PyResult<Vec<u8>> {
        let target = order.target;
        let mut out = Vec::with_capacity(FIRST_CAPACITY);
        out.extend_from_slice(b"{\"share_id\":\"");
        out.extend_from_slice(share_id);
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&target.routing);
        out.extend_from_slice(b",\"card_token\":\"");
        out.extend_from_slice(tokens.map_or(&[], |(present, _)| present));
        out.extend_from_slice(b"\",\"token_epoch\":");
        json::write_number(&mut out, if tokens.is_some() { target.epoch } else { 0 });
        out.extend_from_slice(&common.matching);
        if let (Some((_, Some(older))), Some((epoch, _))) = (tokens, &target.before) {
            out.extend_from_slice(b",\"previous_card_token\":\"");
            out.extend_from_slice(older);
            out.extend_from_slice(b"\",\"previous_token_epoch\":");
            json::write_number(&mut out, *epoch);
        }
        out.extend_from_slice(b"},\"fields\":{");
        let fields = order.mask & !self.last & !self.made;
        let mut first = self.fields.write(&mut out, &common.known, fields, true)?;
        if !order.made.as_bytes().is_empty() {
            if !first {
                out.push(b',');
            }
            out.extend_from_slice(order.made.as_bytes());
            first = false;
        }
        self.fields.write(&mut out, &common.known, order.mask & self.last, first)?;
        out.extend_from_slice(b"}}");
        Ok(out)
    }
}

/// v1.ProgramDecision of what is shared, in its answer.
fn told(common: &Common<'_, '_>, order: &Order<'_, '_>, share_id: &[u8]) -> PyResult<Vec<u8>> {
    let mut out = Vec::with_capacity(AROUND);
    put_chunk_number(&mut out, ANSWER_DECISIONS);
    let from = out.len();
    put_text(&mut out, 1, &order.target.program);
    put_number(&mut out, 2, SHARED);
    put_chunk(&mut out, 4, share_id);
    if let Ok(key) = common.keys.get_borrowed_item(0) {
        put_text(&mut out, 6, key.cast::<PyString>()?.to_str()?);
    }
    put_number(&mut out, 7, common.expires_at_ms as u64);
    out.extend_from_slice(order.elements.as_bytes());
    put_length_before(&mut out, from);
    Ok(out)
}

/// storage.v1.Decision of what is released, in its record. The body is encrypted in its place, and sealed into it.
fn recorded(
    common: &Common<'_, '_>,
    order: &Order<'_, '_>,
    share_id: &[u8],
    tokens: Option<&(Letters, Option<Letters>)>,
    body: &mut [u8],
) -> PyResult<Vec<u8>> {
    let (target, key) = (order.target, order.target.content_key.get());
    let sealed = key.length(body.len());
    let mut out = Vec::with_capacity(sealed + order.part.as_bytes().len() + AROUND);
    put_chunk_number(&mut out, RECORD_DECISIONS);
    let from = out.len();
    out.extend_from_slice(order.part.as_bytes());
    put_chunk(&mut out, 2, share_id);
    put_text(&mut out, 5, order.consent_id.to_str()?);
    put_number(&mut out, 7, RELEASED);
    put_number(&mut out, 10, order.arm as u64);
    put_number(&mut out, 15, 1); // eligible
    put_number(&mut out, 16, order.mask as u64);
    if let Some((present, _)) = tokens {
        put_chunk(&mut out, 19, present);
        put_number(&mut out, 20, target.epoch as u64);
    }
    put_text(&mut out, 22, &target.kid);
    put_chunk(&mut out, 23, &[0; SHA256_BYTES]); // of what comes behind it
    let hash_to = out.len();
    put_chunk_number(&mut out, 24);
    put_varint(&mut out, sealed as u64);
    let sealed_from = out.len();
    out.resize(sealed_from + sealed, 0);
    let hash = key.seal_into(&mut out[sealed_from..], body)?;
    out[hash_to - SHA256_BYTES..hash_to].copy_from_slice(&hash);
    put_number(&mut out, 26, common.expires_at_ms as u64);
    for key in common.keys.iter_borrowed() {
        put_chunk(&mut out, 27, key.cast::<PyString>()?.to_str()?.as_bytes());
    }
    if let Some((_, Some(older))) = tokens {
        put_chunk(&mut out, 28, older);
    }
    put_number(&mut out, 29, (order.mask >> 64) as u64);
    put_length_before(&mut out, from);
    Ok(out)
}

/// A field of a text; an empty one is left out.
fn put_text(out: &mut Vec<u8>, number: u64, text: &str) {
    if !text.is_empty() {
        put_chunk(out, number, text.as_bytes());
    }
}
