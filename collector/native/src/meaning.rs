//! The `GenAI` meaning of a span's attributes. The twin of `engine/spans.py`.

use crate::families::Numbers;
use crate::prices::{
    Usage, CACHE_READ, CACHE_WRITE, GPU_MICROSECONDS, INPUT, INPUT_AUDIO, INPUT_IMAGE, OUTPUT, OUTPUT_AUDIO,
    OUTPUT_IMAGE, REASONING,
};
use crate::refusals::refusal;
use crate::spans::{any_value, elements, RawSpan, Value, SPAN_DEPTH};
use crate::tables::{Refusals, Slot, Tables};
use crate::values::json;
use crate::wire::{Irregular, Result, BYTES};

const MAX_TOKENS: u64 = 1_000_000_000_000; // more than any call can have: a larger count is a broken one
const MAX_COUNT_CHARS: usize = 13;
const MAX_JSON_CHARS: usize = 1 << 20;
const MAX_GPU_SECONDS: f64 = 1e9;
const OTHER_ERROR: &str = "_OTHER";

/// Kinds of tokens that are measured, in the order of [`GenAi::tokens`].
pub const MEASURED_KINDS: [usize; 5] = [INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING];

/// One `GenAI` operation or RAG step.
#[derive(Debug)]
pub struct GenAi<'a> {
    pub operation: &'a str,
    pub is_call: bool,
    pub provider: &'a str,
    pub request_model: &'a str,
    pub response_model: &'a str,
    pub response_id: &'a str,
    pub host: &'a str,
    pub tier: &'a str,
    pub error: &'a str,
    /// `None` when the counts needed for a price did not arrive.
    pub usage: Option<Usage>,
    pub tokens: [Option<u64>; MEASURED_KINDS.len()],
    pub first_token: Option<f64>,
    pub chunks: Option<u64>,
    pub time_per_chunk: Option<f64>,
    pub returned_k: Option<u64>,
    /// The score of the first document that a retrieval returned.
    pub best_score: Option<f64>,
    pub requested_k: Option<u64>,
    pub gpu_microseconds: u64,
    /// Why the call was refused; "" when it was not.
    pub refusal: &'a str,
    pub cache_was_outside: bool,
    pub reasoning_was_outside: bool,
    /// A layer around another span of the same call.
    pub is_wrapper: bool,
    /// `None` for what has no part in OpenTelemetry's own metrics, or where they are not asked for.
    pub family: Option<Numbers>,
}

impl<'a> RawSpan<'a> {
    /// The `GenAI` meaning of the span, or `None` when it has none.
    ///
    /// # Errors
    /// `Irregular` where Python reads numbers or JSON by rules of its own.
    pub fn meaning<'t: 'a>(&self, tables: &'t Tables) -> Result<Option<GenAi<'a>>> {
        if !self.is_touched {
            return Ok(None);
        }
        let mut provider = self.text(Slot::Provider);
        if provider.is_empty() {
            let system = self.text(Slot::System);
            provider = tables.provider_by_system.get(system).map_or(system, String::as_str);
        }
        let request_model = self.text(Slot::RequestModel);
        let mut operation = self.text(Slot::Operation);
        if operation.is_empty() {
            operation = self.text(Slot::OwnOperation);
        }
        if operation.is_empty() {
            if provider.is_empty() || request_model.is_empty() {
                return Ok(None);
            }
            operation = &tables.operations.chat; // conventions before 1.27 had no operation name
        }
        let mut found = GenAi {
            operation,
            is_call: tables.operations.calls.iter().any(|call| call == operation),
            provider,
            request_model,
            response_model: self.text(Slot::ResponseModel),
            response_id: self.text(Slot::ResponseId),
            host: self.text(Slot::Host),
            tier: self.text(Slot::ServiceTier),
            error: self.error(),
            usage: None,
            tokens: [None; MEASURED_KINDS.len()],
            first_token: seconds(self.value(Slot::FirstToken)),
            chunks: count(self.value(Slot::Chunks))?,
            time_per_chunk: seconds(self.value(Slot::TimePerChunk)),
            returned_k: None,
            best_score: None,
            requested_k: None,
            gpu_microseconds: 0,
            refusal: "",
            cache_was_outside: false,
            reasoning_was_outside: false,
            is_wrapper: false,
            family: self.family(operation, tables)?,
        };
        if found.is_call {
            found.gpu_microseconds = microseconds(seconds(self.value(Slot::GpuSeconds)).unwrap_or(0.0));
            found.refusal = self.refusal(&tables.refusals)?;
            self.read_usage(&mut found, operation == tables.operations.embeddings)?;
        } else if operation == tables.operations.retrieval {
            found.returned_k = self.returned_k()?;
            found.best_score = self.best_score()?;
            found.requested_k = count(self.value(Slot::TopK))?;
        }
        Ok(Some(found))
    }

    fn family(&self, operation: &str, tables: &Tables) -> Result<Option<Numbers>> {
        let Some(families) = &tables.families else { return Ok(None) };
        if !families.client.iter().any(|one| one == operation) {
            return Ok(None);
        }
        let mut numbers = Numbers { port: count(self.value(Slot::Port))?, ..Numbers::default() };
        for (parts, slots) in numbers.parts.iter_mut().zip([
            [Slot::InputText, Slot::InputImage, Slot::InputAudio],
            [Slot::OutputText, Slot::OutputImage, Slot::OutputAudio],
            [Slot::CacheReadText, Slot::CacheReadImage, Slot::CacheReadAudio],
        ]) {
            for (part, slot) in parts.iter_mut().zip(slots) {
                *part = count(self.value(slot))?;
            }
        }
        Ok(Some(numbers))
    }

    fn error(&self) -> &'a str {
        match self.text(Slot::ErrorType) {
            "" if self.is_error => OTHER_ERROR,
            kind => kind,
        }
    }

    fn refusal<'t>(&self, known: &'t Refusals) -> Result<&'t str> {
        let (reasons, messages) = (self.value(Slot::FinishReasons), self.value(Slot::OutputMessages));
        refusal(self.text(Slot::ErrorType), reasons, messages, self.value(Slot::Refused), known)
    }

    /// Token counts by precedence of spelling, never by summing spellings; subsets put inside their wholes.
    fn read_usage(&self, found: &mut GenAi<'a>, is_embeddings: bool) -> Result<()> {
        let mut input = self.first(&[Slot::Input, Slot::InputFormer])?;
        let mut output = self.first(&[Slot::Output, Slot::OutputFormer])?;
        let cache_read = self.first(&[Slot::CacheRead])?;
        let cache_write = self.first(&[Slot::CacheWrite, Slot::CacheWriteFormer])?;
        let reasoning = self.first(&[Slot::Reasoning])?;
        let cached = cache_read.unwrap_or(0) + cache_write.unwrap_or(0);
        if let Some(count) = input.as_mut().filter(|count| cached > **count) {
            *count += cached; // Anthropic's and Bedrock's habit: input without the cached tokens
            found.cache_was_outside = true;
        }
        let thought = reasoning.unwrap_or(0);
        if let Some(count) = output.as_mut().filter(|count| thought > **count) {
            *count += thought; // Gemini's and xAI's habit: output without reasoning
            found.reasoning_was_outside = true;
        }
        found.tokens = [input, output, cache_read, cache_write, reasoning];
        let Some(input) = input else { return Ok(()) };
        if output.is_none() && !is_embeddings {
            return Ok(());
        }
        let mut usage = Usage::default();
        usage[INPUT] = input;
        usage[OUTPUT] = output.unwrap_or(0);
        usage[CACHE_READ] = cache_read.unwrap_or(0);
        usage[CACHE_WRITE] = cache_write.unwrap_or(0);
        usage[REASONING] = thought;
        usage[GPU_MICROSECONDS] = found.gpu_microseconds;
        for (slot, kind) in [
            (Slot::InputAudio, INPUT_AUDIO),
            (Slot::InputImage, INPUT_IMAGE),
            (Slot::OutputAudio, OUTPUT_AUDIO),
            (Slot::OutputImage, OUTPUT_IMAGE),
        ] {
            usage[kind] = self.first(&[slot])?.unwrap_or(0);
        }
        found.usage = Some(usage);
        Ok(())
    }

    /// The count under the first of `slots` that holds one.
    fn first(&self, slots: &[Slot]) -> Result<Option<u64>> {
        for slot in slots {
            if let Some(count) = count(self.value(*slot))? {
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    fn best_score(&self) -> Result<Option<f64>> {
        let Value::Array(mut array) = self.value(Slot::Scores) else { return Ok(None) };
        while !array.is_done() {
            match array.tag()? {
                (1, BYTES) => return Ok(seconds(any_value(array.message()?, SPAN_DEPTH + 4)?)),
                (_, wire) => array.skip(wire)?,
            }
        }
        Ok(None)
    }

    fn returned_k(&self) -> Result<Option<u64>> {
        if let Some(count) = count(self.value(Slot::ReturnedK))? {
            return Ok(Some(count));
        }
        match self.value(Slot::Documents) {
            Value::Array(array) => elements(array).map(Some),
            Value::Text(text) if text.len() <= MAX_JSON_CHARS || text.chars().count() <= MAX_JSON_CHARS => {
                json::list_length(text)
            }
            _ => Ok(None),
        }
    }
}

/// A count: an int, a whole double (JavaScript's) or digits in a string. `None` when absent, negative or absurd.
fn count(value: Value<'_>) -> Result<Option<u64>> {
    let count = match value {
        Value::Int(count) => u64::try_from(count).ok(),
        Value::Double(count) => whole(count),
        Value::Text(digits) if (1..=MAX_COUNT_CHARS).contains(&digits.len()) && digits.is_ascii() => {
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().unwrap_or(u64::MAX))
        }
        Value::Text(digits) if !digits.is_ascii() && digits.chars().all(char::is_numeric) => {
            return Err(Irregular); // Python knows the digits of other scripts
        }
        _ => None,
    };
    Ok(count.filter(|count| *count <= MAX_TOKENS))
}

/// A double that holds a count.
#[allow(clippy::float_cmp, clippy::cast_sign_loss)] // whole numbers compare exactly, and this one is not negative
fn whole(count: f64) -> Option<u64> {
    (count.trunc() == count && (0.0..=MAX_TOKENS as f64).contains(&count)).then_some(count as u64)
}

fn seconds(value: Value<'_>) -> Option<f64> {
    let seconds = match value {
        Value::Double(seconds) => seconds,
        Value::Int(seconds) => seconds as f64,
        _ => return None,
    };
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

#[allow(clippy::cast_sign_loss)] // `seconds` gives nothing below 0
fn microseconds(seconds: f64) -> u64 {
    (seconds.min(MAX_GPU_SECONDS) * 1e6).round_ties_even() as u64
}
