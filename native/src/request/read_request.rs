//! A request that was read, kept beside its payment for the steps that are in the engine, and for the fields that
//! are made when they are asked for. It lives as long as the payment. It shows nothing, and is no more copied or
//! pickled than a card number is.
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::member;
use crate::request::columns::{Column, Columns};
use crate::request::slots::{Card, Found, Request};

/// Slots of what the engine's own steps take from a request.
#[derive(Clone, Copy)]
pub struct Own {
    pub card: Card,
    pub par: usize,
    pub merchant_id: usize,
    pub device_id: usize,
    pub email: usize,
    pub payment_intent_id: usize,
    pub request_id: usize,
    pub attempt_no: usize,
    pub network_match_key: usize,
    pub acquiring_institution_id: usize,
    pub retrieval_reference_number: usize,
    pub stan: usize,
    pub transmission_date_time: usize,
    pub currency: usize,
    pub card_acceptor_id: usize,
    pub amount_minor: usize,
    pub initiated_at_ms: usize,
    /// Columns.
    pub ip: usize,
    pub billing: usize,
    pub shipping: usize,
}

impl Own {
    pub fn of(py: Python<'_>, columns: &Columns, card: Card) -> PyResult<Self> {
        let lacking = || PyValueError::new_err("a payment lacks a field that engines take from it");
        let slot = |name: &str| match columns.named(py, name) {
            Some(Column::Text { slot, .. } | Column::Int { slot, .. } | Column::Time { slot, .. }) => Ok(*slot),
            _ => Err(lacking()),
        };
        let place = |name: &str| columns.place(&PyString::intern(py, name).unbind(), 0).ok_or_else(lacking);
        Ok(Self {
            card,
            par: slot("par")?,
            merchant_id: slot("merchant_id")?,
            device_id: slot("device_id")?,
            email: slot("email")?,
            payment_intent_id: slot("payment_intent_id")?,
            request_id: slot("request_id")?,
            attempt_no: slot("attempt_no")?,
            network_match_key: slot("network_match_key")?,
            acquiring_institution_id: slot("acquiring_institution_id")?,
            retrieval_reference_number: slot("retrieval_reference_number")?,
            stan: slot("stan")?,
            transmission_date_time: slot("transmission_date_time")?,
            currency: slot("currency")?,
            card_acceptor_id: slot("card_acceptor_id")?,
            amount_minor: slot("amount_minor")?,
            initiated_at_ms: slot("initiated_at_ms")?,
            ip: place("ip")?,
            billing: place("billing")?,
            shipping: place("shipping")?,
        })
    }
}

/// What all requests of one reader have in common.
pub struct Layout {
    pub columns: Columns,
    pub own: Own,
}

impl Layout {
    /// The address as payments have it.
    pub fn ip<'a>(&self, request: &Request<'a>) -> Option<Cow<'a, str>> {
        self.columns.all.get(self.own.ip)?.text(request)
    }

    /// Whether goods go where the bill goes, where that needs no second look; the inner None: an address is not given.
    pub fn ship_bill_match(&self, request: &Request<'_>) -> Option<Option<bool>> {
        let [billing, shipping] = [self.own.billing, self.own.shipping].map(|place| &self.columns.all[place]);
        if !billing.is_given(request) || !shipping.is_given(request) {
            return Some(None);
        }
        shipping.has_bytes_of(billing, request).then_some(Some(true))
    }
}

#[pyclass(frozen, module = "ein_native")]
pub struct ReadRequest {
    payload: Py<PyBytes>,
    found: Found,
    pub layout: Arc<Layout>,
    pan_dropped: AtomicBool,
}

#[pymethods]
impl ReadRequest {
    fn __repr__(&self) -> &'static str {
        "ReadRequest(<masked>)"
    }

    /// From now on it gives no PAN and no network token.
    pub fn drop_pan(&self) {
        self.pan_dropped.store(true, Ordering::Relaxed);
    }
}

impl ReadRequest {
    /// `found` is what a walk over this payload left.
    pub fn of(payload: &Bound<'_, PyBytes>, found: Found, layout: &Arc<Layout>) -> Self {
        let (payload, layout) = (payload.clone().unbind(), layout.clone());
        Self { payload, found, layout, pan_dropped: AtomicBool::new(false) }
    }

    pub fn request<'a>(&'a self, py: Python<'a>) -> Request<'a> {
        Request::of(self.payload.as_bytes(py), &self.found)
    }

    pub fn slots(&self) -> usize {
        self.found.slots.len()
    }

    pub fn has_pan(&self) -> bool {
        !self.pan_dropped.load(Ordering::Relaxed)
    }

    /// Digits of the PAN; empty where there is none, or none any more.
    pub fn pan<'a>(&'a self, py: Python<'a>) -> &'a str {
        if self.has_pan() { self.request(py).text(self.layout.own.card.pan) } else { "" }
    }
}

/// What was read of a payment; None of one that the twin has read.
pub fn read_of<'py>(payment: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, ReadRequest>>> {
    let read = member!(payment, "read")?;
    Ok(if read.is_none() { None } else { Some(read.cast_into::<ReadRequest>()?) })
}

/// `Late(name, place)`: a field of a payment that is made when it is asked for, as a descriptor of its class.
#[pyclass(frozen, module = "ein_native")]
pub struct Late {
    name: Py<PyString>,
    place: usize,
}

#[pymethods]
impl Late {
    #[new]
    fn new(name: &Bound<'_, PyString>, place: usize) -> PyResult<Self> {
        Ok(Self { name: PyString::intern(name.py(), name.to_str()?).unbind(), place })
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        payment: &Bound<'py, PyAny>,
        _class: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, late) = (slf.py(), slf.get());
        if payment.is_none() {
            return Ok(slf.clone().into_any()); // asked of the class
        }
        let missing = || PyAttributeError::new_err(late.name.clone_ref(py));
        let read = read_of(payment)?.ok_or_else(missing)?;
        let read = read.get();
        let columns = &read.layout.columns;
        let place = columns.place(&late.name, late.place).ok_or_else(missing)?;
        let (column, request) = (&columns.all[place], read.request(py));
        if matches!(column, Column::Masked { .. }) && !read.has_pan() {
            return Ok(py.None().into_bound(py));
        }
        column.make(py, &request)?.ok_or_else(missing)
    }
}
