//! Whole numbers as text.

/// A number as text, of at most 20 characters, without an allocation.
#[derive(Default)]
pub struct Text {
    bytes: [u8; 20],
    length: usize,
}

impl Text {
    /// By hand: the library's way to write a number takes nearly as long as a hash.
    pub fn put(&mut self, number: i64) {
        let (mut digits, mut left) = ([0; 20], number.unsigned_abs());
        let mut from = digits.len();
        loop {
            from -= 1;
            digits[from] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if number < 0 {
            from -= 1;
            digits[from] = b'-';
        }
        self.length = digits.len() - from;
        self.bytes[..self.length].copy_from_slice(&digits[from..]);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
