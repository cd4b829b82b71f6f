//! The Python module: plain data in, plain data out.

mod calls;
mod content;
mod families;
mod noticed;
mod profile;
mod summary;

use std::collections::HashMap;
use std::sync::Arc;

use bumpalo::Bump;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::count::{log_records, metric_points};
use crate::dialects::table::{DialectTable, Settings};
use crate::engine::{Engine, Traces};
use crate::meaning::MEASURED_KINDS;
use crate::measure::{Group, Histogram};
use crate::noticed::Condition;
use crate::prices::{Answer, Cache, Question, Rates, Source, Tier, KINDS};
use crate::python::calls::{PyCallMemory, PyKept};
use crate::python::content::PyContentRules;
use crate::python::families::{FamilyNames, PlainFamilies};
use crate::python::noticed::noticed;
use crate::tables::{
    double_attribute_head, text_attribute, Boundaries, Keys, Operations, Reasons, Refusals, Slot, Tables, Written,
};

/// The form of what Python gives and is answered. It changes with either, here and in the collector's `rust.py`.
const TABLES: u32 = 9;

/// Requests from this size on are processed without the interpreter's lock. Below, giving it up and waiting to get it
/// back costs more than the pass.
const DETACH_BYTES: usize = 32 * 1024;

/// The tables as `engine/native.py` writes them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlainTables {
    keys: Vec<(String, String)>,
    words: HashMap<String, String>,
    provider_by_system: HashMap<String, String>,
    provider_calls: Vec<String>,
    refusals: HashMap<String, String>,
    metrics: HashMap<String, String>,
    boundaries: HashMap<String, Vec<f64>>,
    rate_capacity: usize,
    /// As JSON, which `DialectTable` reads.
    dialects: String,
    keeps_originals: bool,
    max_dialect_problems: usize,
    max_json_chars: usize,
    families: Option<PlainFamilies>,
}

/// The rates of one model as Python answers: a reason, or tiers with the source and version of the price, and
/// the size of the context window.
#[derive(FromPyObject)]
enum PlainAnswer {
    Reason(String),
    Rates(Vec<PlainTier>, String, String, u64),
}

/// Start, rates of the input, rates of the output, per request, per microsecond of GPU time.
type PlainTier = (i64, Vec<(usize, i64)>, Vec<(usize, i64)>, i64, i64);

/// Names of metrics as Python strings, made once.
struct MetricNames {
    requests: Py<PyString>,
    errors: Py<PyString>,
    duration: Py<PyString>,
    tokens: Py<PyString>,
    cost: Py<PyString>,
    unpriced: Py<PyString>,
    refusals: Py<PyString>,
    first_token: Py<PyString>,
    time_per_token: Py<PyString>,
    returned: Py<PyString>,
    score: Py<PyString>,
    requested: Py<PyString>,
}

#[pyclass(frozen, name = "Engine", module = "otel_llm_wire")]
struct PyEngine {
    engine: Engine,
    names: MetricNames,
    kinds: [Py<PyString>; MEASURED_KINDS.len()],
    ask: Py<PyAny>,
    words: OriginWords,
    histogram: Py<PyAny>,
    content: Option<Py<PyContentRules>>,
    families: FamilyNames,
}

struct AskPython<'a> {
    ask: &'a Py<PyAny>,
    words: &'a OriginWords,
}

/// The attributes that say where a price comes from.
struct OriginWords {
    currency_key: String,
    currency: String,
    source_key: String,
    version_key: String,
}

impl Source for AskPython<'_> {
    fn ask(&self, question: &Question<'_>) -> Option<Answer> {
        Python::attach(|py| {
            let asked = (question.provider, question.model, question.start_ns, question.tier, question.host);
            let answer = self.ask.call1(py, asked).ok()?; // the reference asks again, and reports what is wrong
            Some(match answer.extract::<PlainAnswer>(py).ok()? {
                PlainAnswer::Reason(reason) => Answer::Unknown(reason.into()),
                PlainAnswer::Rates(tiers, source, version, context_window) => Answer::Rates(Arc::new(Rates {
                    tiers: tiers.into_iter().map(tier).collect::<Option<_>>()?,
                    origin: self.words.encode(&source, &version),
                    context_window,
                })),
            })
        })
    }
}

impl OriginWords {
    fn encode(&self, source: &str, version: &str) -> Vec<u8> {
        let pairs = [(&self.currency_key, &*self.currency), (&self.source_key, source), (&self.version_key, version)];
        pairs.map(|(key, value)| text_attribute(key, value)).concat()
    }
}

fn tier((start, input, output, per_request, per_gpu_microsecond): PlainTier) -> Option<Tier> {
    let is_known = input.iter().chain(&output).all(|(kind, _)| *kind < KINDS.len());
    is_known.then_some(Tier { start, input, output, per_request, per_gpu_microsecond })
}

#[pymethods]
impl PyEngine {
    /// `ask(provider, model, start_ns, tier, host)` knows the rates; `histogram(counts, sum)` makes what is returned.
    #[new]
    #[allow(clippy::needless_pass_by_value)] // what is extracted from Python is owned
    fn new(
        py: Python<'_>,
        plain: PlainTables,
        memory: &PyCallMemory,
        ask: Py<PyAny>,
        histogram: Py<PyAny>,
        content: Option<Py<PyContentRules>>,
    ) -> PyResult<Self> {
        let metric = |name: &str| take(&plain.metrics, name).map(|name| PyString::new(py, &name).unbind());
        let names = MetricNames {
            requests: metric("requests")?,
            errors: metric("errors")?,
            duration: metric("duration")?,
            tokens: metric("tokens")?,
            cost: metric("cost")?,
            unpriced: metric("unpriced")?,
            refusals: metric("refusals")?,
            first_token: metric("first_token")?,
            time_per_token: metric("time_per_token")?,
            returned: metric("returned")?,
            score: metric("score")?,
            requested: metric("requested")?,
        };
        let families = FamilyNames::new(py, plain.families.as_ref());
        let rates = Cache::new(plain.rate_capacity);
        let words = OriginWords {
            currency_key: take(&plain.words, "cost_currency")?,
            currency: take(&plain.words, "currency")?,
            source_key: take(&plain.words, "cost_source")?,
            version_key: take(&plain.words, "cost_price_version")?,
        };
        Ok(PyEngine {
            engine: Engine { tables: tables(&plain)?, rates, memory: memory.memory.clone() },
            names,
            kinds: MEASURED_KINDS.map(|kind| PyString::new(py, KINDS[kind]).unbind()),
            ask,
            words,
            histogram,
            content,
            families,
        })
    }

    /// `(payload, accepted, counters, histograms, notes, noticed, kept)`, or None when the reference has to look at the
    /// request. `conditions` say which spans are noticed.
    #[allow(clippy::needless_pass_by_value)]
    fn traces<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyBytes>,
        conditions: Vec<(String, String, f64)>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let bytes = request.as_bytes();
        let source = AskPython { ask: &self.ask, words: &self.words };
        let mut arena = Bump::new();
        let conditions: Vec<_> =
            conditions.iter().filter_map(|(what, sign, bound)| Condition::named(what, sign, *bound)).collect();
        let passed = detached(py, bytes.len(), || self.engine.traces(bytes, &source, &conditions, &mut arena));
        let Ok(mut traces) = passed else { return Ok(None) };
        let notes = PyDict::new(py);
        let payload = match (&traces.plan, &self.content) {
            _ if traces.accepted == 0 => PyBytes::new(py, b""),
            (plan, Some(content)) => match content.get().traces(request, plan.as_ref(), &notes)? {
                Some(payload) => payload,
                None => return Ok(None),
            },
            (None, None) => request.clone(),
            (Some(plan), None) => PyBytes::new_with(py, plan.size(bytes), |target| {
                detached(py, bytes.len(), || plan.write(bytes, target));
                Ok(())
            })?,
        };
        let (counters, histograms) = self.measurements(py, &traces)?;
        let [_, layers, answered, repeated, late, forgotten] = traces.verdicts;
        let own = [
            ("layered_duplicate", traces.layered_duplicates + layers),
            ("negative_duration", traces.negative_durations),
            ("repeated_response", answered),
            ("repeated_span", repeated),
            ("layered_late", late),
            ("layers_forgotten", forgotten),
        ];
        for (name, count) in own.into_iter().filter(|(_, count)| *count > 0) {
            notes.set_item(name, count)?;
        }
        for (name, count) in traces.dialects.named(&self.engine.tables.dialects) {
            notes.set_item(name, count)?;
        }
        let met = PyList::new(py, traces.noticed.iter().map(|one| noticed(py, one)))?;
        let kept = PyKept { memory: self.engine.memory.clone(), calls: std::mem::take(&mut traces.calls) };
        (payload, traces.accepted, counters, histograms, notes, met, Bound::new(py, kept)?).into_pyobject(py).map(Some)
    }
}

impl PyEngine {
    fn measurements<'py>(
        &self,
        py: Python<'py>,
        traces: &Traces<'_>,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
        let (counters, histograms) = (PyDict::new(py), PyDict::new(py));
        for group in &traces.sums.groups {
            self.group_counters(py, group, &counters)?;
            let labels = PyTuple::new(py, group.labels)?;
            for (name, histogram) in [
                (&self.names.duration, &group.duration),
                (&self.names.first_token, &group.first_token),
                (&self.names.time_per_token, &group.time_per_token),
                (&self.names.returned, &group.returned),
                (&self.names.score, &group.score),
                (&self.names.requested, &group.requested),
            ] {
                if !histogram.is_empty() {
                    histograms.set_item((name, &labels), self.delta(py, histogram)?)?;
                }
            }
        }
        self.families.measured(py, &traces.families, &self.histogram, &counters, &histograms)?;
        Ok((counters, histograms))
    }

    fn group_counters<'py>(&self, py: Python<'py>, group: &Group<'_>, counters: &Bound<'py, PyDict>) -> PyResult<()> {
        let [service, operation, provider, model] = group.labels.map(|label| PyString::new(py, label));
        let labels = (&service, &operation, &provider, &model);
        counters.set_item((&self.names.requests, labels), group.requests)?;
        let with = |last: &Bound<'py, PyString>| PyTuple::new(py, [&service, &operation, &provider, &model, last]);
        for (error, count) in &group.errors {
            counters.set_item((&self.names.errors, with(&PyString::new(py, error))?), count)?;
        }
        for (kind, count) in self.kinds.iter().zip(group.tokens) {
            if let Some(count) = count {
                counters.set_item((&self.names.tokens, with(kind.bind(py))?), count)?;
            }
        }
        if let Some(usd) = group.cost {
            counters.set_item((&self.names.cost, labels), usd)?;
        }
        for (reason, count) in &group.unpriced {
            counters.set_item((&self.names.unpriced, with(&PyString::new(py, reason))?), count)?;
        }
        for (reason, count) in &group.refusals {
            counters.set_item((&self.names.refusals, with(&PyString::new(py, reason))?), count)?;
        }
        Ok(())
    }

    fn delta(&self, py: Python<'_>, histogram: &Histogram) -> PyResult<Py<PyAny>> {
        self.histogram.call1(py, (&histogram.counts, histogram.sum))
    }
}

/// Runs `work` without the interpreter's lock where that pays.
pub fn detached<T: Send>(py: Python<'_>, size: usize, work: impl FnOnce() -> T + Send) -> T {
    if size < DETACH_BYTES {
        work()
    } else {
        py.detach(work)
    }
}

fn take(words: &HashMap<String, String>, name: &str) -> PyResult<String> {
    words.get(name).cloned().ok_or_else(|| PyValueError::new_err(format!("tables: {name} is missing")))
}

fn dialects(plain: &PlainTables) -> PyResult<DialectTable> {
    let settings = Settings {
        names_key: take(&plain.words, "dialect_names")?,
        problems_key: take(&plain.words, "dialect_problems")?,
        carried_key: take(&plain.words, "dialect_carried")?,
        keeps_originals: plain.keeps_originals,
        max_problems: plain.max_dialect_problems,
        max_json_chars: plain.max_json_chars,
    };
    DialectTable::read(&plain.dialects, settings).map_err(PyValueError::new_err)
}

fn tables(plain: &PlainTables) -> PyResult<Tables> {
    let word = |name: &str| take(&plain.words, name);
    let boundaries = |name: &str| {
        let found = plain.boundaries.get(name).cloned();
        found.ok_or_else(|| PyValueError::new_err(format!("tables: boundaries of {name} are missing")))
    };
    let mut keys = Keys::default();
    for (slot, key) in &plain.keys {
        let known = Slot::ALL.iter().find(|(_, name)| name == slot);
        let (slot, _) = known.ok_or_else(|| PyValueError::new_err(format!("tables: no slot is called {slot}")))?;
        keys.insert(key, *slot);
    }
    Ok(Tables {
        keys,
        dialects: dialects(plain)?,
        service_name: word("service_name")?,
        evaluation_event: word("evaluation_event")?,
        provider_by_system: plain.provider_by_system.clone(),
        operations: Operations {
            calls: plain.provider_calls.clone(),
            chat: word("chat")?,
            embeddings: word("embeddings")?,
            retrieval: word("retrieval")?,
        },
        refusals: Refusals { by_word: plain.refusals.clone(), refusal: word("refusal")? },
        reasons: Reasons {
            no_usage: word("no_usage")?.into(),
            no_model: word("no_model")?.into(),
            inconsistent_usage: word("inconsistent_usage")?.into(),
        },
        written: Written {
            cost_total: double_attribute_head(&word("cost_total")?),
            cost_input: double_attribute_head(&word("cost_input")?),
            cost_output: double_attribute_head(&word("cost_output")?),
            unknown_reason: word("cost_unknown_reason")?,
            cache_hit_ratio: double_attribute_head(&word("cache_hit_ratio")?),
            context_utilization: double_attribute_head(&word("context_utilization")?),
            tokens_per_second: double_attribute_head(&word("tokens_per_second")?),
            time_per_token: double_attribute_head(&word("time_per_token")?),
            time_per_chunk: double_attribute_head(&word("time_per_chunk")?),
            input_tokens: word("input_tokens")?,
            output_tokens: word("output_tokens")?,
            repaired: word("usage_repaired")?,
            cache_outside_input: word("cache_outside_input")?,
            reasoning_outside_output: word("reasoning_outside_output")?,
        },
        boundaries: Boundaries {
            duration: boundaries("duration")?,
            first_token: boundaries("first_token")?,
            time_per_token: boundaries("time_per_token")?,
            returned: boundaries("returned")?,
            score: boundaries("score")?,
            requested: boundaries("requested")?,
        },
        families: plain.families.as_ref().map(PlainFamilies::families),
    })
}

/// Points of a metrics request, or None when the reference has to look at it.
#[pyfunction(name = "metric_points")]
fn count_metric_points(py: Python<'_>, request: &[u8]) -> Option<u64> {
    detached(py, request.len(), || metric_points(request).ok())
}

/// Records of a logs request, or None when the reference has to look at it.
#[pyfunction(name = "log_records")]
fn count_log_records(py: Python<'_>, request: &[u8]) -> Option<u64> {
    detached(py, request.len(), || log_records(request).ok())
}

#[pymodule(gil_used = true)]
mod otel_llm_wire {
    #[pymodule_export]
    use super::{count_log_records, count_metric_points, PyCallMemory, PyContentRules, PyEngine};
    #[pymodule_export]
    use crate::python::profile::{PyContent, PyProfile};
    #[pymodule_export]
    use crate::python::summary::PySummaries;
    use pyo3::prelude::*;

    /// Says which tables this build reads.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("TABLES", super::TABLES)
    }
}
