//! Whether protobuf could read a message of OTLP: the table-driven walk for everything that the engine does not look at.

use crate::wire::schema::{Kind, Message};
use crate::wire::{Cursor, Irregular, Result, BYTES, MAX_DEPTH};

/// Walks all of `cursor` as `message`.
///
/// # Errors
/// `Irregular` where protobuf would refuse the message, or might.
pub fn message(mut cursor: Cursor<'_>, message: &Message, depth: u32) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Irregular);
    }
    while !cursor.is_done() {
        let (number, wire) = cursor.tag()?;
        field(&mut cursor, message, number, wire, depth)?;
    }
    Ok(())
}

/// Walks one field of `message`, whose tag has been read.
///
/// # Errors
/// As [`message()`].
#[inline]
pub fn field(cursor: &mut Cursor<'_>, message: &Message, number: u32, wire: u32, depth: u32) -> Result<()> {
    let kind = message.fields.get(number as usize).copied().unwrap_or(Kind::Unknown);
    match (kind, wire) {
        (Kind::Text, BYTES) => cursor.text().map(|_| ()),
        (Kind::Message(inner), BYTES) => self::message(cursor.message()?, inner, depth + 1),
        (Kind::PackedFixed64, BYTES) => match cursor.bytes()?.len() % 8 {
            0 => Ok(()),
            _ => Err(Irregular),
        },
        (Kind::PackedVarint, BYTES) => {
            let mut packed = cursor.message()?;
            while !packed.is_done() {
                packed.varint()?;
            }
            Ok(())
        }
        _ => cursor.skip(wire),
    }
}
