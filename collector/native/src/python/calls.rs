//! The memory of calls that the engine here and the reference share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::memory::{span_key, Call, Memory};

/// A call as the reference describes it: `engine/calls.py`.
#[derive(FromPyObject)]
struct PlainCall {
    key: Vec<u8>,
    parent: Vec<u8>,
    operation: String,
    response: Option<(String, String)>,
    has_usage: bool,
    is_wrapper: bool,
    start: u64,
    end: u64,
}

impl PlainCall {
    fn call(&self, memory: &Memory) -> Call {
        let key = |bytes: &[u8]| bytes.split_at_checked(16).map_or([0; 24], |(trace, span)| span_key(trace, span));
        Call {
            key: key(&self.key),
            parent: key(&self.parent),
            operation: memory.name(&self.operation),
            response: self.response.as_ref().map_or(0, |(service, id)| memory.response(service, id)),
            has_usage: self.has_usage,
            is_wrapper: self.is_wrapper,
            start: self.start,
            end: self.end,
        }
    }
}

/// The memory of calls that the engine here and the reference share.
#[pyclass(frozen, name = "CallMemory", module = "otel_llm_wire")]
pub struct PyCallMemory {
    pub memory: Arc<Mutex<Memory>>,
}

#[pymethods]
impl PyCallMemory {
    #[new]
    fn new(capacity: usize, window_ns: u64) -> Self {
        PyCallMemory { memory: Arc::new(Mutex::new(Memory::new(capacity, window_ns))) }
    }

    #[allow(clippy::needless_pass_by_value)] // what is extracted from Python is owned
    fn judge(&self, calls: Vec<PlainCall>) -> Vec<u32> {
        let memory = locked(&self.memory);
        calls.iter().map(|call| memory.judge(&call.call(&memory)) as u32).collect()
    }

    #[allow(clippy::needless_pass_by_value)]
    fn remember(&self, calls: Vec<PlainCall>) {
        let mut memory = locked(&self.memory);
        for call in &calls {
            let call = call.call(&memory);
            memory.remember(&call);
        }
    }
}

fn locked(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calls of one request; called when the request is kept.
#[pyclass(frozen, name = "Kept", module = "otel_llm_wire")]
pub struct PyKept {
    pub memory: Arc<Mutex<Memory>>,
    pub calls: Vec<Call>,
}

#[pymethods]
impl PyKept {
    fn __call__(&self) {
        let mut memory = locked(&self.memory);
        for call in &self.calls {
            memory.remember(call);
        }
    }
}
