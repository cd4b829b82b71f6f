//! The engine of otel-llm's collector: one pass over the bytes of an OTLP request.
//!
//! The twin of `engine/pure.py`, over the wire format instead of messages: a request is scanned once, spans that
//! change are spliced, and every other byte is copied. A request that is not plain ([`wire::Irregular`]) is left to the
//! reference, so that there is one place where odd input is judged.

#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]
#![deny(unsafe_code)]

pub mod any_value;
pub mod bounds;
pub mod check;
pub mod checks;
pub mod content;
mod content_value;
pub mod conversions;
pub mod count;
pub mod derive;
pub mod dialect_table;
pub mod dialects;
pub mod drop_content;
pub mod edits;
pub mod engine;
pub mod families;
pub mod json;
pub mod json_parts;
pub mod layers;
pub mod listed;
pub mod measure;
pub mod memory;
pub mod noticed;
pub mod parse;
pub mod parts;
pub mod patch;
pub mod plain;
pub mod prices;
pub mod profile;
pub mod profile_edit;
pub mod profile_names;
pub mod profile_root;
pub mod profile_rules;
pub mod profile_scan;
pub mod redact;
pub mod refusals;
pub mod scan;
pub mod schema;
pub mod shape_names;
pub mod shapes;
pub mod sources;
pub mod span_reading;
pub mod spans;
pub mod splice;
pub mod summary;
pub mod tables;
pub mod trees;
pub mod value;
pub mod wire;
pub mod writer;

#[cfg(feature = "python")]
mod python;
#[cfg(feature = "python")]
mod python_content;
#[cfg(feature = "python")]
mod python_families;
#[cfg(feature = "python")]
mod python_noticed;
#[cfg(feature = "python")]
mod python_profile;
#[cfg(feature = "python")]
mod python_summary;
