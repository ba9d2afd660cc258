//! Protobuf on the wire: just enough to walk a message. What is unusual is left to the library in Python.

/// One field of a message.
pub enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
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
                Value::Fixed64(*value)
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

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for at in 0..10 {
        let byte = *rest.get(at)?;
        // The tenth byte holds one bit.
        if at == 9 && byte > 1 {
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
