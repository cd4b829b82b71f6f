//! The protobuf wire format, as far as OTLP uses it.
//!
//! Everything here is stricter than protobuf itself: groups, numbers that do not end, lengths past the end, field 0 and
//! nesting beyond [`MAX_DEPTH`] are [`Irregular`], and so is what protobuf would have to merge. A request that is irregular is
//! not judged here; the reference engine, which asks protobuf, decides what becomes of it.

pub mod check;
pub mod edits;
pub mod patch;
pub mod schema;
pub mod splice;

/// The request is not of the plain shape that this engine handles; the reference has to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Irregular;

pub type Result<T> = std::result::Result<T, Irregular>;

/// Levels of messages inside each other. Protobuf itself stops at 100.
pub const MAX_DEPTH: u32 = 64;

pub const VARINT: u32 = 0;
pub const FIXED64: u32 = 1;
pub const BYTES: u32 = 2;
pub const FIXED32: u32 = 5;

const MAX_LENGTH_BYTES: usize = 5;
const SHORT_TEXT: usize = 64; // below, looking for the fastest instructions costs more than they save

/// A position in the request and the end of the message it stands in. Positions count from the start of the request.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    upto_end: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(request: &'a [u8]) -> Self {
        Cursor { upto_end: request, at: 0 }
    }

    /// The same message from another place on.
    #[must_use]
    pub fn moved_to(&self, at: usize) -> Self {
        Cursor { at, ..*self }
    }

    #[inline]
    pub fn is_done(&self) -> bool {
        self.at >= self.upto_end.len()
    }

    pub fn end(&self) -> usize {
        self.upto_end.len()
    }

    /// What has not been read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        &self.upto_end[self.at..]
    }

    #[inline]
    fn byte(&mut self) -> Result<u8> {
        let byte = *self.upto_end.get(self.at).ok_or(Irregular)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.long_varint(first)
    }

    fn long_varint(&mut self, first: u8) -> Result<u64> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if shift == 63 && byte > 1 { Err(Irregular) } else { Ok(value) };
            }
        }
        Err(Irregular)
    }

    /// The next field's number and wire type.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, u32)> {
        let from = self.at;
        let tag = u32::try_from(self.varint()?).map_err(|_| Irregular)?;
        if tag >> 3 == 0 || self.at - from > MAX_LENGTH_BYTES {
            return Err(Irregular);
        }
        Ok((tag >> 3, tag & 7))
    }

    /// The content of a length-delimited field as a cursor of its own.
    #[inline]
    pub fn message(&mut self) -> Result<Cursor<'a>> {
        let from = self.at;
        let length = self.varint()?;
        if length > (self.upto_end.len() - self.at) as u64 || self.at - from > MAX_LENGTH_BYTES {
            return Err(Irregular);
        }
        let start = self.at;
        self.at += length as usize;
        Ok(Cursor { upto_end: &self.upto_end[..self.at], at: start })
    }

    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        Ok(self.message()?.rest())
    }

    #[inline]
    pub fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        if bytes.len() < SHORT_TEXT {
            std::str::from_utf8(bytes).map_err(|_| Irregular)
        } else {
            simdutf8::basic::from_utf8(bytes).map_err(|_| Irregular)
        }
    }

    #[inline]
    pub fn fixed64(&mut self) -> Result<u64> {
        let bytes = self.rest().first_chunk::<8>().ok_or(Irregular)?;
        self.at += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    fn fixed32(&mut self) -> Result<()> {
        self.rest().first_chunk::<4>().ok_or(Irregular)?;
        self.at += 4;
        Ok(())
    }

    /// Passes over the content of a field that nobody asks about.
    #[inline]
    pub fn skip(&mut self, wire: u32) -> Result<()> {
        match wire {
            VARINT => self.varint().map(|_| ()),
            FIXED64 => self.fixed64().map(|_| ()),
            BYTES => self.message().map(|_| ()),
            FIXED32 => self.fixed32(),
            _ => Err(Irregular),
        }
    }
}

/// Appends `value` as a varint.
pub fn push_varint(target: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        target.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    target.push(value as u8);
}

/// Bytes that `value` takes as a varint.
pub fn varint_size(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a length-delimited field.
pub fn push_field(target: &mut Vec<u8>, number: u8, content: &[u8]) {
    target.push(number << 3 | BYTES as u8);
    push_varint(target, content.len() as u64);
    target.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_every_size_are_read_as_they_were_written() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut written = Vec::new();
                push_varint(&mut written, value);
                assert_eq!(written.len(), varint_size(value));
                assert_eq!(Cursor::new(&written).varint(), Ok(value));
            }
        }
    }

    #[test]
    fn what_does_not_end_or_runs_past_the_end_is_irregular() {
        assert_eq!(Cursor::new(&[0xff; 11]).varint(), Err(Irregular));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(Irregular));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(), Err(Irregular));
        assert!(Cursor::new(&[3, 1, 2]).message().is_err());
        assert!(Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]).message().is_err());
        assert_eq!(Cursor::new(&[0x02]).tag(), Err(Irregular));
        for wire in [3, 4, 6, 7] {
            assert_eq!(Cursor::new(&[0; 9]).skip(wire), Err(Irregular));
        }
    }

    #[test]
    fn a_number_may_be_longer_than_it_needs_to_be() {
        assert_eq!(Cursor::new(&[0x81, 0x80, 0x00]).varint(), Ok(1));
        assert_eq!(Cursor::new(&[0x82, 0x00, 7, 8]).bytes(), Ok(&[7, 8][..]));
    }
}
