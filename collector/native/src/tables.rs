//! What the engine is told by Python: names from the registry and the words it writes. Plain data, compiled once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dialects::table::DialectTable;
use crate::families::Families;
use crate::wire::{push_field, BYTES, FIXED64};

macro_rules! slots {
    ($($slot:ident = $name:literal),* $(,)?) => {
        /// The attributes that the engine reads, and those that it alone writes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Slot { $($slot),* }

        impl Slot {
            /// Every slot with the name that Python gives it.
            pub const ALL: &'static [(Slot, &'static str)] = &[$((Slot::$slot, $name)),*];
        }
    };
}

slots! {
    Provider = "provider",
    System = "system",
    RequestModel = "request_model",
    ResponseModel = "response_model",
    ResponseId = "response_id",
    Operation = "operation",
    OwnOperation = "own_operation",
    Host = "host",
    ServiceTier = "service_tier",
    ErrorType = "error_type",
    FirstToken = "first_token",
    Chunks = "chunks",
    TimePerChunk = "time_per_chunk",
    ReturnedK = "returned_k",
    Scores = "scores",
    Documents = "documents",
    TopK = "top_k",
    Input = "input",
    InputFormer = "input_former",
    Output = "output",
    OutputFormer = "output_former",
    CacheRead = "cache_read",
    CacheWrite = "cache_write",
    CacheWriteFormer = "cache_write_former",
    Reasoning = "reasoning",
    InputAudio = "input_audio",
    InputImage = "input_image",
    OutputAudio = "output_audio",
    OutputImage = "output_image",
    FinishReasons = "finish_reasons",
    OutputMessages = "output_messages",
    Refused = "refused",
    GpuSeconds = "gpu_seconds",
    Port = "port",
    InputText = "input_text",
    OutputText = "output_text",
    CacheReadText = "cache_read_text",
    CacheReadImage = "cache_read_image",
    CacheReadAudio = "cache_read_audio",
    Written = "written",
    DialectMarker = "dialect_marker",
}

/// What a key is to the engine; one may be read and give away a dialect too.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub slot: Slot,
    pub is_marker: bool,
}

/// Attribute keys by their length, so that a key of no interest costs a look and seldom a comparison.
#[derive(Default)]
pub struct Keys {
    by_length: Vec<Vec<(Box<str>, Known)>>,
}

impl Keys {
    pub fn insert(&mut self, key: &str, slot: Slot) {
        if self.by_length.len() <= key.len() {
            self.by_length.resize_with(key.len() + 1, Vec::new);
        }
        let same_length = &mut self.by_length[key.len()];
        let is_marker = slot == Slot::DialectMarker;
        match same_length.iter_mut().find(|(name, _)| **name == *key) {
            Some((_, known)) if is_marker => known.is_marker = true,
            Some((_, known)) if known.slot == Slot::DialectMarker => known.slot = slot,
            Some(_) => {}
            None => same_length.push((key.into(), Known { slot, is_marker })),
        }
    }

    #[inline]
    pub fn find(&self, key: &str) -> Option<Known> {
        let candidates = self.by_length.get(key.len())?;
        candidates.iter().find(|(name, _)| **name == *key).map(|(_, known)| *known)
    }
}

/// The operations that mean something to the engine.
pub struct Operations {
    /// One call to a provider: only these are priced.
    pub calls: Vec<String>,
    pub chat: String,
    pub embeddings: String,
    pub retrieval: String,
}

/// What says that a call was refused: words of finish reasons and errors, and what they come to.
pub struct Refusals {
    pub by_word: HashMap<String, String>,
    pub refusal: String,
}

/// Why a call has no price, as far as this engine finds out itself.
pub struct Reasons {
    pub no_usage: Arc<str>,
    pub no_model: Arc<str>,
    pub inconsistent_usage: Arc<str>,
}

/// What is put on spans, encoded as far as it is known.
pub struct Written {
    pub cost_total: Vec<u8>,
    pub cost_input: Vec<u8>,
    pub cost_output: Vec<u8>,
    pub unknown_reason: String,
    pub cache_hit_ratio: Vec<u8>,
    pub context_utilization: Vec<u8>,
    pub tokens_per_second: Vec<u8>,
    pub time_per_token: Vec<u8>,
    pub time_per_chunk: Vec<u8>,
    pub input_tokens: String,
    pub output_tokens: String,
    pub repaired: String,
    pub cache_outside_input: String,
    pub reasoning_outside_output: String,
}

/// Boundaries of the histograms.
pub struct Boundaries {
    pub duration: Vec<f64>,
    pub first_token: Vec<f64>,
    pub time_per_token: Vec<f64>,
    pub returned: Vec<f64>,
    pub score: Vec<f64>,
    pub requested: Vec<f64>,
}

pub struct Tables {
    pub keys: Keys,
    pub dialects: DialectTable,
    pub service_name: String,
    /// The event that says what an evaluation came to.
    pub evaluation_event: String,
    /// Former provider names and what they became.
    pub provider_by_system: HashMap<String, String>,
    pub operations: Operations,
    pub refusals: Refusals,
    pub reasons: Reasons,
    pub written: Written,
    pub boundaries: Boundaries,
    /// OpenTelemetry's own metrics, where they are asked for.
    pub families: Option<Families>,
}

const ATTRIBUTES: u8 = 9;

/// A span's attribute field whose value is a string.
pub fn text_attribute(key: &str, value: &str) -> Vec<u8> {
    let mut any_value = Vec::with_capacity(value.len() + 4);
    push_field(&mut any_value, 1, value.as_bytes());
    attribute(key, &any_value)
}

/// A span's attribute field around an encoded value.
pub fn attribute(key: &str, any_value: &[u8]) -> Vec<u8> {
    let mut key_value = Vec::with_capacity(key.len() + any_value.len() + 8);
    push_field(&mut key_value, 1, key.as_bytes());
    push_field(&mut key_value, 2, any_value);
    let mut field = Vec::with_capacity(key_value.len() + 4);
    push_field(&mut field, ATTRIBUTES, &key_value);
    field
}

/// All of an attribute field whose value is a double, up to that double's eight bytes.
pub fn double_attribute_head(key: &str) -> Vec<u8> {
    let mut field = attribute(key, &[(4 << 3 | FIXED64) as u8, 0, 0, 0, 0, 0, 0, 0, 0]);
    field.truncate(field.len() - 8);
    debug_assert_eq!(u32::from(field[0] & 7), BYTES);
    field
}
