//! Protobuf on the wire: just enough to walk a message. What is unusual is left to the library in Python.

/// Of a number of 64 bits.
const MOST_VARINT_BYTES: usize = 10;

/// One field of a message.
pub enum Value<'a> {
    Varint(u64),
    Fixed64(&'a [u8; 8]),
    Bytes(&'a [u8]),
}

/// Walks the fields of a message. `next` is None at its end; `Some(Err(()))` asks the library.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(usize, Value<'a>), ()>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.field().ok_or(()))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(usize, Value<'a>)> {
        let tag = varint(&mut self.rest)?;
        let number = usize::try_from(tag >> 3).ok()?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => {
                let (value, rest) = self.rest.split_first_chunk::<8>()?;
                self.rest = rest;
                Value::Fixed64(value)
            }
            2 => {
                let size = usize::try_from(varint(&mut self.rest)?).ok()?;
                let (value, rest) = self.rest.split_at_checked(size)?;
                self.rest = rest;
                Value::Bytes(value)
            }
            _ => return None,
        };
        Some((number, value))
    }
}

pub fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for at in 0..MOST_VARINT_BYTES {
        let byte = *rest.get(at)?;
        // The tenth byte holds one bit.
        if at == MOST_VARINT_BYTES - 1 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *rest = &rest[at + 1..];
            return Some(number);
        }
    }
    None
}

pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A field of bytes.
pub fn put_chunk(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_chunk_number(out, number);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// What stands before the length of such a field.
pub fn put_chunk_number(out: &mut Vec<u8>, number: u64) {
    put_varint(out, number << 3 | 2);
}

/// A field of a number; 0 is left out, as proto3 has it.
pub fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        put_varint(out, number << 3);
        put_varint(out, value);
    }
}

/// A field of a double; only what has no bit set is left out, so that -0.0 stays.
pub fn put_double(out: &mut Vec<u8>, number: u64, value: f64) {
    if value.to_bits() != 0 {
        put_varint(out, number << 3 | 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// The length of all that is behind `from`, put before it.
pub fn put_length_before(out: &mut Vec<u8>, from: usize) {
    let end = out.len();
    put_varint(out, (end - from) as u64);
    let mut length = [0; MOST_VARINT_BYTES];
    let size = out.len() - end;
    length[..size].copy_from_slice(&out[end..]);
    out.copy_within(from..end, from + size);
    out[from..from + size].copy_from_slice(&length[..size]);
}
