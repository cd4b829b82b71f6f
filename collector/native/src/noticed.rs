//! Spans that rules about single spans look at. The twin of `span_conditions.py`.

use crate::measure::Cost;
use crate::prices::NANO;
use crate::scan::Found;

/// What a condition asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Error,
    Cost,
    Duration,
    InputTokens,
    OutputTokens,
    FirstToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

/// A condition on a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    pub what: What,
    pub sign: Sign,
    pub bound: f64,
}

/// A span that meets a condition.
#[derive(Debug, PartialEq)]
pub struct Noticed<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub service: &'a str,
    pub operation: &'a str,
    pub provider: &'a str,
    pub model: &'a str,
    pub is_error: bool,
    pub seconds: f64,
    pub cost: Option<f64>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub first_token: Option<f64>,
}

impl Condition {
    /// The condition that Python writes so.
    pub fn named(what: &str, sign: &str, bound: f64) -> Option<Self> {
        let what = match what {
            "error" => What::Error,
            "cost" => What::Cost,
            "duration" => What::Duration,
            "input_tokens" => What::InputTokens,
            "output_tokens" => What::OutputTokens,
            "time_to_first_token" => What::FirstToken,
            _ => return None,
        };
        let sign = match sign {
            ">" => Sign::Greater,
            ">=" => Sign::GreaterOrEqual,
            "<" => Sign::Less,
            "<=" => Sign::LessOrEqual,
            "==" => Sign::Equal,
            "!=" => Sign::NotEqual,
            _ => return None,
        };
        Some(Condition { what, sign, bound })
    }

    #[allow(clippy::float_cmp)] // somebody asked for exactly this number
    fn holds(&self, span: &Noticed<'_>) -> bool {
        let value = match self.what {
            What::Error => span.is_error.then_some(1.0),
            What::Cost => span.cost,
            What::Duration => Some(span.seconds),
            What::InputTokens => span.input_tokens.map(|count| count as f64),
            What::OutputTokens => span.output_tokens.map(|count| count as f64),
            What::FirstToken => span.first_token,
        };
        value.is_some_and(|value| match self.sign {
            Sign::Greater => value > self.bound,
            Sign::GreaterOrEqual => value >= self.bound,
            Sign::Less => value < self.bound,
            Sign::LessOrEqual => value <= self.bound,
            Sign::Equal => value == self.bound,
            Sign::NotEqual => value != self.bound,
        })
    }
}

/// The span when it meets any of `conditions`; one that was counted before does not.
pub fn noticed<'a>(conditions: &[Condition], span: &Found<'a>, service: &'a str, cost: &Cost) -> Option<Noticed<'a>> {
    if conditions.is_empty() || span.is_repeat {
        return None;
    }
    let meaning = &span.meaning;
    let one = Noticed {
        trace_id: span.trace_id,
        span_id: span.span_id,
        service,
        operation: meaning.operation,
        provider: meaning.provider,
        model: meaning.request_model,
        is_error: !meaning.error.is_empty(),
        seconds: span.end.saturating_sub(span.start) as f64 / NANO,
        cost: if let Cost::Usd(usd) = cost { Some(*usd) } else { None },
        input_tokens: meaning.tokens[0],
        output_tokens: meaning.tokens[1],
        first_token: meaning.first_token,
    };
    conditions.iter().any(|condition| condition.holds(&one)).then_some(one)
}
