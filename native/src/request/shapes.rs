//! Shapes of strings, as `enrichment/formats.py` has them. A shape may refuse what its twin accepts (the twin is
//! asked then), and never accepts what its twin refuses.

use std::net::Ipv6Addr;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// A table of codes of two or three capitals (ISO 3166-1 alpha-2, ISO 4217): one bit a code.
pub struct Codes {
    bits: Vec<u64>,
}

pub enum Shape {
    Text { most: usize },
    Digits { least: usize, most: usize },
    Alphanumeric { exactly: usize },
    Printable { most: usize },
    /// Letters, digits, hyphens and underscores.
    Reference { least: usize, most: usize },
    Table(Codes),
    Iin,
    DateTime,
    Email,
    Phone,
    Uuid,
    Language { most: usize },
    Ip,
}

impl Shape {
    /// From `Format.shape`: a name and its numbers, or the codes of a table.
    pub fn from_python(shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let name: String = shape.get_item(0)?.extract()?;
        let number = |at: usize| -> PyResult<usize> { shape.get_item(at)?.extract() };
        Ok(match name.as_str() {
            "text" => Self::Text { most: number(1)? },
            "digits" => Self::Digits { least: number(1)?, most: number(2)? },
            "alphanumeric" => Self::Alphanumeric { exactly: number(1)? },
            "printable" => Self::Printable { most: number(1)? },
            "reference" => Self::Reference { least: number(1)?, most: number(2)? },
            "table" => {
                let mut codes = Codes { bits: vec![0; CODES.div_ceil(64)] };
                for code in shape.get_item(1)?.try_iter()? {
                    let number = code_number(code?.extract::<String>()?.as_bytes());
                    let number = number
                        .ok_or_else(|| PyValueError::new_err("a table holds codes of 2 or 3 capitals"))?;
                    codes.bits[number / 64] |= 1 << (number % 64);
                }
                Self::Table(codes)
            }
            "iin" => Self::Iin,
            "date_time" => Self::DateTime,
            "email" => Self::Email,
            "phone" => Self::Phone,
            "uuid" => Self::Uuid,
            "language" => Self::Language { most: number(1)? },
            "ip" => Self::Ip,
            _ => return Err(PyValueError::new_err("a shape that this engine does not know")),
        })
    }

    /// Whether a value that is not empty has this shape.
    pub fn fits(&self, value: &[u8]) -> bool {
        match self {
            Self::Text { most } => is_text(value, *most),
            Self::Digits { least, most } => (*least..=*most).contains(&value.len()) && all_digits(value),
            Self::Alphanumeric { exactly } => {
                value.len() == *exactly && all(value, u8::is_ascii_alphanumeric)
            }
            Self::Printable { most } => {
                value.len() <= *most && all(value, |byte| (0x20..=0x7e).contains(byte))
            }
            Self::Reference { least, most } => {
                let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                (*least..=*most).contains(&value.len()) && all(value, part)
            }
            Self::Table(codes) => codes.has(value),
            Self::Iin => matches!(value.len(), 6 | 8) && all_digits(value),
            Self::DateTime => is_date_time(value),
            Self::Email => is_email(value),
            Self::Phone => {
                (8..=16).contains(&value.len())
                    && value[0] == b'+'
                    && value[1] != b'0'
                    && all_digits(&value[1..])
            }
            Self::Uuid => is_uuid(value),
            Self::Language { most } => value.len() <= *most && is_language(value),
            Self::Ip => is_ipv4(value) || value.contains(&b':'),
        }
    }
}

impl Codes {
    fn has(&self, value: &[u8]) -> bool {
        code_number(value).is_some_and(|number| self.bits[number / 64] >> (number % 64) & 1 == 1)
    }
}

/// Three letters, each 1 to 26, or 0 where the third is missing.
const CODES: usize = 27 * 27 * 27;

fn code_number(value: &[u8]) -> Option<usize> {
    if !matches!(value.len(), 2 | 3) || !value.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    let letter = |at: usize| value.get(at).map_or(0, |byte| usize::from(byte - b'A') + 1);
    Some((letter(0) * 27 + letter(1)) * 27 + letter(2))
}

fn all_digits(value: &[u8]) -> bool {
    all(value, u8::is_ascii_digit)
}

/// Whether all bytes are so: without a branch a byte, since nearly always all of them are.
fn all(value: &[u8], is: impl Fn(&u8) -> bool) -> bool {
    value.iter().fold(true, |so_far, byte| so_far & is(byte))
}

/// No C0, DEL or C1 (Unicode category Cc), at most `most` characters.
fn is_text(value: &[u8], most: usize) -> bool {
    if all(value, |byte| (0x20..0x7f).contains(byte)) {
        return value.len() <= most;
    }
    std::str::from_utf8(value)
        .is_ok_and(|text| text.chars().count() <= most && !text.chars().any(char::is_control))
}

/// DE7: MMDDhhmmss. 29 February is a real date in some years.
fn is_date_time(value: &[u8]) -> bool {
    if value.len() != 10 || !all_digits(value) {
        return false;
    }
    let two = |at: usize| (value[at] - b'0') * 10 + value[at + 1] - b'0';
    let days = match two(0) {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 29,
        _ => return false,
    };
    (1..=days).contains(&two(2)) && two(4) < 24 && two(6) < 60 && two(8) < 60
}

/// ASCII addresses only: the twin knows the others.
fn is_email(value: &[u8]) -> bool {
    if !(3..=254).contains(&value.len()) {
        return false;
    }
    let Some(at) = value.iter().position(|byte| *byte == b'@') else { return false };
    let (local, domain) = (&value[..at], &value[at + 1..]);
    if !(1..=64).contains(&local.len()) {
        return false;
    }
    let atom = |part: &[u8]| {
        !part.is_empty()
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(byte))
    };
    let label = |part: &[u8]| {
        (1..=63).contains(&part.len())
            && part[0].is_ascii_alphanumeric()
            && part[part.len() - 1].is_ascii_alphanumeric()
            && part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let Some(dot) = domain.iter().rposition(|byte| *byte == b'.') else { return false };
    let top = &domain[dot + 1..];
    local.split(|byte| *byte == b'.').all(atom)
        && domain[..dot].split(|byte| *byte == b'.').all(label)
        && (2..=63).contains(&top.len())
        && top.iter().all(u8::is_ascii_alphabetic)
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_language(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b'-');
    parts.next().is_some_and(|first| (2..=8).contains(&first.len()) && first.iter().all(u8::is_ascii_alphabetic))
        && parts.all(|part| (1..=8).contains(&part.len()) && part.iter().all(u8::is_ascii_alphanumeric))
}

fn is_ipv4(value: &[u8]) -> bool {
    let mut octets = 0;
    value.split(|byte| *byte == b'.').all(|octet| {
        octets += 1;
        let leading_zero = octet.len() > 1 && octet[0] == b'0';
        (1..=3).contains(&octet.len())
            && all_digits(octet)
            && !leading_zero
            && octet.iter().fold(0u32, |sum, byte| sum * 10 + u32::from(byte - b'0')) < 256
    }) && octets == 4
}

/// RFC 5952 form, or the IPv4 address inside an IPv4-mapped one. None asks the twin.
pub fn canonical_ipv6(value: &str) -> Option<String> {
    let address: Ipv6Addr = value.parse().ok()?;
    Some(match address.to_ipv4_mapped() {
        Some(inside) => inside.to_string(),
        None => address.to_string(),
    })
}

/// ISO/IEC 7812-1 annex B over ASCII digits.
pub fn luhn_valid(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = u32::from(byte - b'0');
            if at % 2 == 0 {
                digit
            } else if digit > 4 {
                digit * 2 - 9
            } else {
                digit * 2
            }
        })
        .sum();
    sum.is_multiple_of(10)
}
