//! base64url without padding (RFC 7515 2), the twin of `encode` in gateway/sealing/base64url.py.

/// Letters of so many bytes.
pub fn length(bytes: usize) -> usize {
    bytes / 3 * 4 + [0, 2, 3][bytes % 3]
}

/// Writes the letters of `data` to the beginning of `out`, and gives what is behind them.
pub fn encode<'a>(out: &'a mut [u8], data: &[u8]) -> &'a mut [u8] {
    let (letters, behind) = out.split_at_mut(length(data.len()));
    // Six bytes to eight letters, of eight bytes that are read at once: two of them belong to the next.
    let sixes = data.len().saturating_sub(2) / 6;
    let (many, few) = letters.split_at_mut(sixes * 8);
    for (from, eight) in data.windows(8).step_by(6).zip(many.as_chunks_mut::<8>().0) {
        let from = from.try_into().map_or(0, u64::from_be_bytes);
        *eight = spread(from >> 16).to_be_bytes();
    }
    let (threes, rest) = data[sixes * 6..].as_chunks::<3>();
    let (fours, last) = few.as_chunks_mut::<4>();
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

/// 48 bits, six in each byte: by halves of halves of halves.
fn spread(bits: u64) -> u64 {
    let halves = (bits & 0xffff_ff00_0000) << 8 | bits & 0xff_ffff;
    let quarters = (halves & 0x00ff_f000_00ff_f000) << 4 | halves & 0x0000_0fff_0000_0fff;
    (quarters & 0x0fc0_0fc0_0fc0_0fc0) << 2 | quarters & 0x003f_003f_003f_003f
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
