//! base64url without padding (RFC 7515 2), the twin of `encode` in gateway/sealing/base64url.py.

/// Letters of so many bytes.
pub fn length(bytes: usize) -> usize {
    bytes / 3 * 4 + [0, 2, 3][bytes % 3]
}

/// Writes the letters of `data` to the beginning of `out`, and gives what is behind them.
pub fn encode<'a>(out: &'a mut [u8], data: &[u8]) -> &'a mut [u8] {
    let (letters, behind) = out.split_at_mut(length(data.len()));
    let (threes, rest) = data.as_chunks::<3>();
    let (fours, last) = letters.as_chunks_mut::<4>();
    for (four, [a, b, c]) in fours.iter_mut().zip(threes) {
        let bits = u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c);
        *four = [(bits >> 18) as u8, (bits >> 12) as u8, (bits >> 6) as u8, bits as u8];
    }
    let bits = rest.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (24 - 8 * rest.len());
    for (at, last) in last.iter_mut().enumerate() {
        *last = (bits >> (18 - 6 * at)) as u8;
    }
    // By itself and without a table, so that the compiler takes many at once.
    for letter in letters {
        *letter = letter_of(*letter & 63);
    }
    behind
}

/// RFC 4648 5: A to Z, a to z, 0 to 9, - and _, each range a step from the one before.
fn letter_of(bits: u8) -> u8 {
    let mut letter = bits + b'A';
    letter += if bits >= 26 { b'a' - b'Z' - 1 } else { 0 };
    letter -= if bits >= 52 { b'z' - b'0' + 1 } else { 0 };
    letter -= if bits >= 62 { b'9' - b'-' + 1 } else { 0 };
    letter += if bits >= 63 { b'_' - b'-' - 1 } else { 0 };
    letter
}
