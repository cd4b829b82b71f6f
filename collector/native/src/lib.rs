//! The engine of otel-llm's collector: one pass over the bytes of an OTLP request.
//!
//! The twin of `engine/pure.py`, over the wire format instead of messages: a request is scanned once, spans that
//! change are spliced, and every other byte is copied. A request that is not plain ([`wire::Irregular`]) is left to the
//! reference, so that there is one place where odd input is judged.

#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]
#![deny(unsafe_code)]

pub mod content;
pub mod count;
pub mod derive;
pub mod dialects;
pub mod engine;
pub mod families;
pub mod layers;
pub mod meaning;
pub mod measure;
pub mod memory;
pub mod noticed;
pub mod prices;
pub mod profile;
pub mod refusals;
pub mod scan;
pub mod spans;
pub mod summary;
pub mod tables;
pub mod values;
pub mod wire;
pub mod writer;

#[cfg(feature = "python")]
mod python;
