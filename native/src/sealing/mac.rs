//! Every keyed name that the product gives: the twin of `Macs` and `CardTokens` in
//! gateway/sealing/pseudonyms_macs.py. Nothing here shows a value or a secret, in an error either.
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::bytes::decimal::Text;
use crate::sealing::mac_keyed::{Keyed, Labelled, NoKey};
use crate::request::doubts::is_repeated;
use crate::request::read_request::{ReadRequest, read_of};

/// Numbers of v1.UnitSource; the reference of a card is the sender's own.
const PAR: i64 = 1;
const PAN: i64 = 2;
const CARD_REF: i64 = 3;
const NETWORK_TOKEN: i64 = 4;
const VELOCITY_KINDS: usize = 8;
const ID_BYTES: usize = 26;
/// RFC 4648 6, in lower case.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl From<NoKey> for PyErr {
    fn from(_: NoKey) -> Self {
        PyValueError::new_err("a MAC key needs at least one byte")
    }
}

/// 130 bits.
pub type Letters = [u8; ID_BYTES];
pub type Text26<'py> = Bound<'py, PyString>;
pub type Key<'py> = Bound<'py, PyBytes>;
pub type VelocityKeys<'py> =
    (Option<Key<'py>>, Key<'py>, Option<Key<'py>>, Option<Key<'py>>, Option<Key<'py>>);
pub type NamesOf<'py> = (i64, Key<'py>, VelocityKeys<'py>, Text26<'py>);

/// All but the card tokens, whose secrets come one a recipient and epoch.
#[pyclass(module = "ein_native", frozen)]
pub struct Macs {
    unit: Labelled,
    velocity: [Keyed<16>; VELOCITY_KINDS],
    share: Keyed<ID_BYTES>,
    evaluation: Keyed<ID_BYTES>,
    request: Keyed<16>,
}

#[pymethods]
impl Macs {
    #[new]
    fn new(unit: &[u8], velocity: &[u8], share: &[u8]) -> PyResult<Self> {
        let kind =
            |number: u8| Keyed::new(velocity, &[b"ein-velocity-".as_slice(), &[b'0' + number]].concat());
        Ok(Self {
            unit: Labelled::new(unit, b"unit_key/1")?,
            velocity: [kind(0)?, kind(1)?, kind(2)?, kind(3)?, kind(4)?, kind(5)?, kind(6)?, kind(7)?],
            share: Keyed::new(share, b"ein-share-id")?,
            evaluation: Keyed::new(share, b"ein-evaluation")?,
            request: Keyed::new(share, b"ein-request")?,
        })
    }

    fn __repr__(&self) -> &'static str {
        "Macs(****)"
    }

    fn unit_key<'py>(&self, py: Python<'py>, kind: &str, value: &str) -> Key<'py> {
        PyBytes::new(py, &self.unit.digest(&[&[kind.as_bytes()], &[value.as_bytes()]]))
    }

    fn velocity_key<'py>(&self, py: Python<'py>, kind: usize, value: &str) -> PyResult<Key<'py>> {
        let Some(keyed) = self.velocity.get(kind) else {
            return Err(PyIndexError::new_err("no such kind of velocity key"));
        };
        Ok(PyBytes::new(py, &keyed.digest(&[value.as_bytes()])))
    }

    fn share_id<'py>(
        &self,
        py: Python<'py>,
        sender_id: &str,
        payment_intent_id: &str,
        attempt_no: i64,
        program: &str,
    ) -> Text26<'py> {
        text_of(py, &self.share_letters(sender_id, payment_intent_id, attempt_no, program))
    }

    fn evaluation_id<'py>(
        &self,
        py: Python<'py>,
        sender_id: &str,
        payment_intent_id: &str,
        attempt_no: i64,
        request_id: &str,
    ) -> Text26<'py> {
        text_of(py, &id(&self.evaluation, sender_id, payment_intent_id, attempt_no, request_id))
    }

    fn request_digest<'py>(&self, py: Python<'py>, request: &[u8]) -> Key<'py> {
        PyBytes::new(py, &self.digest_of(request))
    }

    /// As `names` of a payment that the engine has read, and the source of its unit before them: number of v1.UnitSource.
    /// `kinds` has the kind of unit by source. None where the twin has to look.
    fn names_of<'py>(
        &self,
        payment: &Bound<'py, PyAny>,
        sender_id: &str,
        kinds: &Bound<'py, PyDict>,
    ) -> PyResult<Option<NamesOf<'py>>> {
        let py = payment.py();
        let Some(read) = read_of(payment)? else { return Ok(None) };
        self.names_of_read(py, read.get(), sender_id, kinds)
    }

    /// What a payment is clustered by, counted under and known by, in one call.
    #[allow(clippy::too_many_arguments)] // the payment's own fields, passed without a container on the hot path
    fn names<'py>(
        &self,
        py: Python<'py>,
        sender_id: &str,
        source: i64,
        kind_text: &str,
        unit: &str,
        merchant_id: &str,
        ip: &str,
        device_id: &str,
        email: &str,
        payment_intent_id: &str,
        attempt_no: i64,
        request_id: &str,
    ) -> (Key<'py>, VelocityKeys<'py>, Text26<'py>) {
        let unit_key = self.unit_of(kind_text, source, sender_id, unit);
        let (sender, unit) = (sender_id.as_bytes(), unit.as_bytes());
        let [card, merchant, address, device, mailbox, ..] = &self.velocity;
        let key = |keyed: &Keyed<16>, parts: &[&[u8]]| PyBytes::new(py, &keyed.digest(parts));
        let mut from = Text::default();
        from.put(source);
        let own: [&[u8]; 2] = if source == CARD_REF { [sender, b":"] } else { [b"", b""] };
        let keys = (
            (!unit.is_empty()).then(|| key(card, &[from.bytes(), b":", own[0], own[1], unit])),
            key(merchant, &[sender, b":", merchant_id.as_bytes()]),
            (!ip.is_empty()).then(|| key(address, &[ip.as_bytes()])),
            (!device_id.is_empty()).then(|| key(device, &[sender, b":", device_id.as_bytes()])),
            (!email.is_empty()).then(|| key(mailbox, &[email.as_bytes()])),
        );
        let evaluation_id = self.evaluation_id(py, sender_id, payment_intent_id, attempt_no, request_id);
        (PyBytes::new(py, &unit_key), keys, evaluation_id)
    }
}

/// Card tokens of one recipient and epoch.
#[pyclass(module = "ein_native", frozen)]
pub struct CardTokens(Labelled);

#[pymethods]
impl CardTokens {
    #[new]
    fn new(secret: &[u8]) -> PyResult<Self> {
        Ok(Self(Labelled::new(secret, b"card_token/1")?))
    }

    fn __repr__(&self) -> &'static str {
        "CardTokens(****)"
    }

    fn card_token<'py>(&self, py: Python<'py>, pan: &str) -> Text26<'py> {
        text_of(py, &self.letters(pan))
    }
}

impl CardTokens {
    /// As `card_token`.
    pub fn letters(&self, pan: &str) -> Letters {
        base32(self.0.digest(&[&[pan.as_bytes()]]))
    }
}

impl Macs {
    pub fn digest_of(&self, request: &[u8]) -> [u8; 16] {
        self.request.digest(&[request])
    }

    /// As `names_of`.
    pub fn names_of_read<'py>(
        &self,
        py: Python<'py>,
        read: &ReadRequest,
        sender_id: &str,
        kinds: &Bound<'py, PyDict>,
    ) -> PyResult<Option<NamesOf<'py>>> {
        let (request, own) = (read.request(py), &read.layout.own);
        let card = &own.card;
        let [par, pan] = [own.par, card.pan].map(|slot| request.text(slot));
        let named = [card.pan, card.card_ref, card.network_token].iter().any(|slot| request.has_text(*slot));
        let (source, unit) = match (par, pan, request.text(card.card_ref)) {
            (par, _, _) if !par.is_empty() && !(named && is_repeated(par)) => (PAR, par),
            _ if !read.has_pan() => return Ok(None),
            (_, pan, _) if !pan.is_empty() => (PAN, pan),
            (_, _, card_ref) if !card_ref.is_empty() => (CARD_REF, card_ref),
            _ => (NETWORK_TOKEN, request.text(card.network_token)),
        };
        let (email, ip) = (request.text(own.email), read.layout.ip(&request));
        let (Some(ip), true, Some(kind)) = (ip, email.is_ascii(), kinds.get_item(source)?) else { return Ok(None) };
        let (unit_key, keys, evaluation_id) = self.names(
            py,
            sender_id,
            source,
            kind.cast::<PyString>()?.to_str()?,
            unit,
            request.text(own.merchant_id),
            &ip,
            request.text(own.device_id),
            &email.to_ascii_lowercase(),
            request.text(own.payment_intent_id),
            request.int(own.attempt_no).max(1),
            request.text(own.request_id),
        );
        Ok(Some((source, unit_key, keys, evaluation_id)))
    }

    /// As `card_key_of` in gateway/sharing/objecting.py: what a request calls a card by besides the PAR, and its key.
    pub fn card_of<'py>(
        &self,
        py: Python<'py>,
        read: &ReadRequest,
        used: i64,
        sender_id: &str,
        kinds: &Bound<'py, PyDict>,
    ) -> PyResult<(i64, Key<'py>)> {
        let none = || (0, PyBytes::new(py, b""));
        if used != PAR {
            return Ok(none());
        }
        let (request, card) = (read.request(py), &read.layout.own.card);
        let (source, value) = match (request.text(card.pan), request.text(card.network_token)) {
            (pan, _) if !pan.is_empty() => (PAN, pan),
            (_, token) if !token.is_empty() => (NETWORK_TOKEN, token),
            _ => (CARD_REF, request.text(card.card_ref)),
        };
        let (Some(kind), false) = (kinds.get_item(source)?, value.is_empty()) else { return Ok(none()) };
        let key = self.unit_of(kind.cast::<PyString>()?.to_str()?, source, sender_id, value);
        Ok((source, PyBytes::new(py, &key)))
    }

    /// Equal references of two senders are two cards.
    fn unit_of(&self, kind: &str, source: i64, sender_id: &str, unit: &str) -> [u8; 16] {
        let (kind, sender, unit) = (kind.as_bytes(), sender_id.as_bytes(), unit.as_bytes());
        if source != CARD_REF {
            return self.unit.digest(&[&[kind], &[unit]]);
        }
        let mut number = Text::default();
        number.put(sender_id.chars().count() as i64);
        self.unit.digest(&[&[kind], &[number.bytes(), b":", sender, b":", unit]])
    }

    /// As `share_id`.
    pub fn share_letters(
        &self,
        sender_id: &str,
        payment_intent_id: &str,
        attempt_no: i64,
        program: &str,
    ) -> Letters {
        id(&self.share, sender_id, payment_intent_id, attempt_no, program)
    }
}

/// 130 bits, five bits of each byte as a letter. Lengths first, in characters as the twin has them, so that no
/// part reaches over its border; what is behind the second is the last.
fn id(
    keyed: &Keyed<ID_BYTES>,
    sender_id: &str,
    payment_intent_id: &str,
    attempt_no: i64,
    last: &str,
) -> Letters {
    let (mut sender, mut intent, mut attempt) = (Text::default(), Text::default(), Text::default());
    sender.put(sender_id.chars().count() as i64);
    intent.put(payment_intent_id.chars().count() as i64);
    attempt.put(attempt_no);
    let parts: [&[u8]; 9] = [
        sender.bytes(),
        b":",
        sender_id.as_bytes(),
        intent.bytes(),
        b":",
        payment_intent_id.as_bytes(),
        attempt.bytes(),
        b":",
        last.as_bytes(),
    ];
    keyed.digest(&parts).map(letter)
}

fn letter(five_bits: u8) -> u8 {
    LETTERS[usize::from(five_bits & 31)]
}

/// Of the alphabet alone, so that it is never empty for want of UTF-8.
pub fn text_of<'py>(py: Python<'py>, letters: &Letters) -> Text26<'py> {
    PyString::new(py, str::from_utf8(letters).unwrap_or_default())
}

/// 26 letters for 16 bytes, without padding.
fn base32(bytes: [u8; 16]) -> Letters {
    let bits = u128::from_be_bytes(bytes);
    let at = |number: usize| match number {
        25 => bits << 2,
        _ => bits >> (123 - 5 * number),
    };
    std::array::from_fn(|number| letter(at(number) as u8))
}
