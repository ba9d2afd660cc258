//! What makes a value doubtful: as `enrichment/quality.py` has it, or doubting more. Never less.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::request::slots::Request;

/// Longest word by whose length others are told from words at once: of a set that is looked at all the same.
const MOST_LENGTHS: usize = 63;

/// Words, and which lengths they have: nearly all texts have another.
pub struct Words {
    words: HashSet<Vec<u8>, BuildHasherDefault<Fnv>>,
    lengths: u64,
}

impl Words {
    fn of(words: Vec<Vec<u8>>) -> Self {
        let lengths = words.iter().fold(0, |lengths, word| lengths | 1 << word.len().min(MOST_LENGTHS));
        Self { words: words.into_iter().collect(), lengths }
    }

    fn has_length(&self, length: usize) -> bool {
        self.lengths >> length.min(MOST_LENGTHS) & 1 == 1
    }

    fn contains(&self, word: &[u8]) -> bool {
        self.has_length(word.len()) && self.words.contains(word)
    }
}

/// FNV-1a of 64 bits (draft-eastlake-fnv): a third of the standard hasher's time. The words are our own, so that
/// nobody can choose them to collide.
#[derive(Clone)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A calling code has up to three digits, and none begins with another.
const CODES: usize = 1000;

/// Longest text that is put into lower case here: an address as RFC 5321 has it.
const MOST_BYTES: usize = 254;

/// The one character beyond ASCII that has a lower case within: the sign of kelvin.
const KELVIN: char = '\u{212a}';

/// As many at the end, all alike, are no number that anybody has.
const REPEATED_DIGITS: usize = 7;

pub enum Doubt {
    OneOf(Words),
    NoneOf(Words),
    Placeholder(Words),
    Name { words: Words, most_digits: usize },
    NotPublic,
    Mailbox { domains: Words, top_levels: Words, roles: Words },
    Phone { digits: Vec<(usize, usize)> },
    Postal { country: usize, forms: HashMap<String, Vec<Vec<u8>>> },
    Robot { prefixes: Parts, within: Parts },
    /// Of two numbers, where both were given and the whole is at most so much.
    Above { part: usize, whole: usize, most: i64 },
}

/// Words of two letters or more, and the pairs of letters that any of them begins with: nearly all places of a text
/// begin none.
pub struct Parts {
    words: Vec<Vec<u8>>,
    pairs: Box<[u64; PAIRS / 64]>,
}

const PAIRS: usize = 1 << 16;

impl Parts {
    fn of(words: Vec<Vec<u8>>) -> PyResult<Self> {
        let mut pairs = Box::new([0; PAIRS / 64]);
        for word in &words {
            let [first, second, ..] = word.to_ascii_lowercase()[..] else {
                return Err(PyValueError::new_err("a part of a name has two letters or more"));
            };
            for first in [first, first.to_ascii_uppercase()] {
                for second in [second, second.to_ascii_uppercase()] {
                    let pair = usize::from(u16::from_be_bytes([first, second]));
                    pairs[pair / 64] |= 1 << (pair % 64);
                }
            }
        }
        Ok(Self { words, pairs })
    }

    fn any_in(&self, text: &[u8]) -> bool {
        (0..text.len().saturating_sub(1)).any(|from| self.any_at(&text[from..]))
    }

    fn any_at(&self, rest: &[u8]) -> bool {
        let [first, second, ..] = *rest else { return false };
        let pair = usize::from(u16::from_be_bytes([first, second]));
        let begins = |word: &Vec<u8>| rest.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word));
        self.pairs[pair / 64] >> (pair % 64) & 1 == 1 && self.words.iter().any(begins)
    }
}

impl Doubt {
    /// From a row of (kind, slot, what the kind needs).
    pub fn from_python(row: &Bound<'_, PyTuple>) -> PyResult<(Self, usize)> {
        let kind: String = row.get_item(0)?.extract()?;
        let slot: usize = row.get_item(1)?.extract()?;
        let listed = |at: usize| -> PyResult<Vec<Vec<u8>>> {
            row.get_item(at)?.try_iter()?.map(|text| Ok(text?.extract::<String>()?.into_bytes())).collect()
        };
        let words = |at: usize| -> PyResult<Words> { Ok(Words::of(listed(at)?)) };
        let doubt = match kind.as_str() {
            "one_of" => Self::OneOf(words(2)?),
            "none_of" => Self::NoneOf(words(2)?),
            "placeholder" => Self::Placeholder(words(2)?),
            "name" => Self::Name { words: words(2)?, most_digits: row.get_item(3)?.extract()? },
            "not_public" => Self::NotPublic,
            "mailbox" => Self::Mailbox { domains: words(2)?, top_levels: words(3)?, roles: words(4)? },
            "phone" => Self::Phone { digits: digits_of(row.get_item(2)?.extract()?)? },
            "postal" => {
                let forms: Vec<(String, Vec<String>)> = row.get_item(3)?.extract()?;
                let bytes = |forms: Vec<String>| forms.into_iter().map(String::into_bytes).collect();
                let forms = forms.into_iter().map(|(country, forms)| (country, bytes(forms))).collect();
                Self::Postal { country: row.get_item(2)?.extract()?, forms }
            }
            "robot" => Self::Robot { prefixes: Parts::of(listed(2)?)?, within: Parts::of(listed(3)?)? },
            "above" => {
                let most: Option<i64> = row.get_item(3)?.extract()?;
                Self::Above { part: slot, whole: row.get_item(2)?.extract()?, most: most.unwrap_or(i64::MAX) }
            }
            _ => return Err(PyValueError::new_err("a doubt that this engine does not know")),
        };
        Ok((doubt, slot))
    }

    /// Another slot that it looks at, or 0.
    pub fn other_slot(&self) -> usize {
        match self {
            Self::Postal { country, .. } => *country,
            Self::Above { whole, .. } => *whole,
            _ => 0,
        }
    }

    pub fn is_cast_on(&self, value: &str, request: &Request<'_>) -> bool {
        if let Self::Postal { country, forms } = self {
            return forms.get(request.text(*country)).is_some_and(|forms| !has_form(value, forms));
        }
        if let Self::Above { part, whole, most } = self {
            let (part, whole) = (request.number(*part), request.number(*whole));
            return whole.is_some_and(|whole| part > Some(whole) && whole <= *most);
        }
        if value.is_empty() {
            return false;
        }
        match self {
            Self::OneOf(words) => words.contains(value.as_bytes()),
            Self::NoneOf(words) => !words.contains(value.as_bytes()),
            Self::Placeholder(words) => is_word(value, words) || is_repeated(value),
            Self::Name { words, most_digits } => {
                is_word(value, words) || is_repeated(value) || !is_name(value, *most_digits)
            }
            Self::NotPublic => !is_public(value),
            Self::Mailbox { domains, top_levels, roles } => {
                with_lower(value.as_bytes(), |email| is_nobodys(email, domains, top_levels, roles))
            }
            Self::Phone { digits } => is_impossible(value.as_bytes(), digits),
            Self::Postal { .. } | Self::Above { .. } => false,
            Self::Robot { prefixes, within } => {
                let name = value.as_bytes();
                prefixes.any_at(name) || within.any_in(name)
            }
        }
    }
}

/// What a look at the value in lower case says; true for what is too long for one.
fn with_lower(value: &[u8], look: impl Fn(&[u8]) -> bool) -> bool {
    let mut lower = [0u8; MOST_BYTES];
    let Some(lower) = lower.get_mut(..value.len()) else { return true };
    lower.copy_from_slice(value);
    lower.make_ascii_lowercase();
    look(lower)
}

fn is_word(value: &str, words: &Words) -> bool {
    if value.is_ascii() {
        return words.has_length(value.len()) && with_lower(value.as_bytes(), |lower| words.contains(lower));
    }
    value.contains(KELVIN)
}

/// One character over and over, hyphens aside. Nearly all values begin and end otherwise, which is looked at first.
pub fn is_repeated(value: &str) -> bool {
    let (first, last) = (value.chars().next(), value.chars().next_back());
    if first != last && first != Some('-') && last != Some('-') {
        return false;
    }
    let mut others = value.chars().filter(|one| *one != '-');
    let first = others.next();
    others.all(|one| Some(one) == first)
}

/// Of what is not ASCII only that it is no number is looked at here.
fn is_name(value: &str, most_digits: usize) -> bool {
    let letters = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let others = value.chars().any(|one| !one.is_ascii() && one.is_numeric());
    letters && digits <= most_digits && !others
}

fn is_nobodys(email: &[u8], domains: &Words, top_levels: &Words, roles: &Words) -> bool {
    let Some(at) = email.iter().rposition(|byte| *byte == b'@') else { return true };
    let (local, mut domain) = (&email[..at], &email[at + 1..]);
    let local = local.split(|byte| *byte == b'+').next().unwrap_or(local);
    if roles.contains(local) || domains.contains(domain) {
        return true;
    }
    while let Some(dot) = domain.iter().position(|byte| *byte == b'.') {
        domain = &domain[dot + 1..];
        if domains.contains(domain) {
            return true;
        }
    }
    top_levels.contains(domain)
}

/// Takes E.164 with its plus: eight characters at least.
fn is_impossible(phone: &[u8], digits: &[(usize, usize)]) -> bool {
    let Some(code) = phone.get(1..4) else { return true };
    let code = code.iter().fold(0, |sum, byte| sum * 10 + usize::from(byte.wrapping_sub(b'0')));
    let (least, most) = digits.get(code).copied().unwrap_or((1, 0));
    let tail = &phone[phone.len() - REPEATED_DIGITS.min(phone.len())..];
    !(least..=most).contains(&(phone.len() - 1)) || tail.iter().all(|byte| *byte == tail[0])
}

/// By the first three digits, how many there may be in all. From rows of (code, least and most behind it).
fn digits_of(plans: Vec<(String, usize, usize)>) -> PyResult<Vec<(usize, usize)>> {
    let mut digits = vec![(1, 0); CODES];
    for (code, least, most) in plans {
        let missing = 3usize.checked_sub(code.len());
        let (Some(missing), Ok(number)) = (missing, code.parse::<usize>()) else {
            return Err(PyValueError::new_err("a calling code has up to three digits"));
        };
        let step = 10usize.pow(missing as u32);
        digits[number * step..(number + 1) * step].fill((least + code.len(), most + code.len()));
    }
    Ok(digits)
}

/// Spaces and hyphens aside: 9 stands for a digit, A for a letter.
fn has_form(postal_code: &str, forms: &[Vec<u8>]) -> bool {
    let bare = || postal_code.bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
    let chars = bare().count();
    forms.iter().any(|form| {
        form.len() == chars
            && form.iter().zip(bare()).all(|(kind, byte)| match kind {
                b'9' => byte.is_ascii_digit(),
                _ => byte.is_ascii_alphabetic(),
            })
    })
}

/// An address of the open internet; some that are may be called doubtful.
fn is_public(value: &str) -> bool {
    if let Ok(address) = value.parse::<Ipv4Addr>() {
        let [first, second, third, _] = address.octets();
        return !(matches!(first, 0 | 10 | 127 | 224..)
            || (first == 100 && (64..=127).contains(&second))
            || (first == 169 && second == 254)
            || (first == 172 && (16..=31).contains(&second))
            || (first == 192 && matches!((second, third), (168, _) | (0, 0 | 2) | (88, 99)))
            || (first == 198 && (matches!(second, 18 | 19) || (second, third) == (51, 100)))
            || (first == 203 && (second, third) == (0, 113)));
    }
    let Ok(address) = value.parse::<Ipv6Addr>() else { return false };
    let [first, second, ..] = address.segments();
    // 2000::/3 without 6to4, Teredo and documentation.
    first >> 13 == 1
        && first != 0x2002
        && (first, second) != (0x2001, 0)
        && (first, second) != (0x2001, 0x0db8)
        && !(first == 0x3fff && second >> 12 == 0)
}
