//! base64url without padding (RFC 7515 2), the twin of `encode` in gateway/sealing/base64url.py.

/// RFC 4648 5.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Letters of so many bytes.
pub fn length(bytes: usize) -> usize {
    bytes / 3 * 4 + [0, 2, 3][bytes % 3]
}

/// Writes the letters of `data` to the beginning of `out`, and gives what is behind them.
pub fn encode<'a>(out: &'a mut [u8], data: &[u8]) -> &'a mut [u8] {
    let (letters, behind) = out.split_at_mut(length(data.len()));
    let letter = |bits: u32| LETTERS[(bits & 63) as usize];
    let (threes, rest) = data.as_chunks::<3>();
    let (fours, last) = letters.as_chunks_mut::<4>();
    for (four, [a, b, c]) in fours.iter_mut().zip(threes) {
        let bits = u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c);
        *four = [letter(bits >> 18), letter(bits >> 12), letter(bits >> 6), letter(bits)];
    }
    let bits = rest.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (24 - 8 * rest.len());
    for (at, last) in last.iter_mut().enumerate() {
        *last = letter(bits >> (18 - 6 * at));
    }
    behind
}
