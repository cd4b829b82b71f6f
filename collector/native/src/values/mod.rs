//! Attribute values: read from the wire, as Python has them, and as JSON text.

pub mod any_value;
pub mod json;
pub mod json_parts;
pub mod parse;
pub mod plain;
pub mod value;
