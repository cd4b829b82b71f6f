//! Noticed spans for Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::noticed::Noticed;

type Ids<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);
type Names<'a> = (&'a str, &'a str, &'a str, &'a str);
type Plain<'py, 'a> = (Ids<'py>, Names<'a>, bool, f64, Option<f64>, Option<u64>, Option<u64>, Option<f64>);

/// Ids, names and numbers of a span, as `engine/native.py` reads them.
pub fn noticed<'py, 'a>(py: Python<'py>, one: &Noticed<'a>) -> Plain<'py, 'a> {
    let ids = (PyBytes::new(py, one.trace_id), PyBytes::new(py, one.span_id));
    let names = (one.service, one.operation, one.provider, one.model);
    let (input, output) = (one.input_tokens, one.output_tokens);
    (ids, names, one.is_error, one.seconds, one.cost, input, output, one.first_token)
}
