//! Summaries of traces for Python.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::python::detached;
use crate::summary::{summaries, Summary, Words};

/// The names as `deliver/summary.py` writes them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Names {
    service_name: String,
    cost_total: String,
    failed_checks: String,
    evaluation_event: String,
    score_label: String,
    score_value: String,
    feedback_kind: String,
    failed_labels: Vec<String>,
}

#[pyclass(frozen, name = "Summaries", module = "otel_llm_wire")]
pub struct PySummaries {
    words: Words,
}

#[pymethods]
impl PySummaries {
    #[new]
    fn new(names: Names) -> Self {
        PySummaries {
            words: Words {
                service_name: names.service_name,
                cost_total: names.cost_total,
                failed_checks: names.failed_checks,
                evaluation_event: names.evaluation_event,
                score_label: names.score_label,
                score_value: names.score_value,
                feedback_kind: names.feedback_kind,
                failed_labels: names.failed_labels,
            },
        }
    }

    /// For each trace `(id, (spans, root, service, error, start, end, cost, feedback, evaluation failed))`; None when the
    /// reference has to look at the request.
    fn read<'py>(&self, py: Python<'py>, request: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyList>>> {
        let bytes = request.as_bytes();
        let Ok(found) = detached(py, bytes.len(), || summaries(bytes, &self.words)) else { return Ok(None) };
        PyList::new(py, found.iter().map(|one| (PyBytes::new(py, one.trace_id), said(one)))).map(Some)
    }
}

type Said<'a> = (u64, bool, &'a str, bool, u64, u64, f64, Option<f64>, bool);

fn said<'a>(one: &Summary<'a>) -> Said<'a> {
    let Summary { spans, has_root, service, is_error, start, end, cost, feedback, evaluation_failed, .. } = *one;
    (spans, has_root, service, is_error, start, end, cost, feedback, evaluation_failed)
}
