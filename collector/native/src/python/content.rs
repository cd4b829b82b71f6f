//! The content rules for Python: plain data in, and the passes that apply them.

use std::borrow::Cow;
use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::content::bounds::Bounder;
use crate::content::checks::{Check, Ibans};
use crate::content::redact::{Action, Finds, Redactor, Row};
use crate::content::{Content, ContentKeys};
use crate::count::log_records;
use crate::python::detached;
use crate::wire::patch::Patch;
use crate::wire::splice::Plan;
use crate::wire::Result as Regular;

/// The rules as `engine/native.py` writes them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlainContent {
    exact: Vec<String>,
    prefixes: Vec<String>,
    known: Vec<String>,
    quotes: Vec<String>,
    redaction: Option<PlainRedaction>,
    max_field_bytes: usize,
    replaces_blobs: bool,
    mark: String,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlainRedaction {
    names: Vec<String>,
    /// The number of a name, a pattern, the name of a check.
    rows: Vec<(usize, String, String)>,
    action: String,
    key: Vec<u8>,
    is_free: bool,
    iban_lengths: HashMap<String, usize>,
}

/// What is done to content.
#[pyclass(frozen, name = "ContentRules", module = "otel_llm_wire")]
pub struct PyContentRules {
    content: Content,
    /// What finds are counted under.
    notes: Vec<String>,
}

/// A request with what was found in it; the request is `None` where it stays.
type Applied<'py> = Option<(Option<Bound<'py, PyBytes>>, Finds)>;

/// A request, its records, and what was found in it.
type Logs<'py> = (Bound<'py, PyBytes>, u64, Bound<'py, PyDict>);

#[pymethods]
impl PyContentRules {
    #[new]
    fn new(plain: PlainContent) -> PyResult<Self> {
        let redactor = plain.redaction.map(redactor).transpose()?;
        let notes = redactor.iter().flat_map(|one| &one.names).map(|name| format!("redacted_{name}")).collect();
        let keys = ContentKeys {
            exact: plain.exact.into_iter().collect(),
            prefixes: plain.prefixes,
            known: plain.known.into_iter().collect(),
            quotes: plain.quotes,
        };
        let is_bounded = plain.max_field_bytes > 0 || plain.replaces_blobs;
        let bounder = is_bounded.then(|| Bounder::new(plain.max_field_bytes, plain.replaces_blobs));
        Ok(PyContentRules { content: Content { keys, redactor, bounder, mark: plain.mark }, notes })
    }

    /// `(payload, accepted, notes)` of a logs request, or None when the reference has to look at it.
    fn logs<'py>(&self, request: &Bound<'py, PyBytes>) -> PyResult<Option<Logs<'py>>> {
        let (py, bytes) = (request.py(), request.as_bytes());
        let Ok(accepted) = detached(py, bytes.len(), || log_records(bytes)) else {
            return Ok(None);
        };
        let Some((payload, found)) = self.apply(py, bytes, |request, found| self.content.logs(request, found))? else {
            return Ok(None);
        };
        let notes = PyDict::new(py);
        self.note(&found, &notes)?;
        Ok(Some((payload.unwrap_or_else(|| request.clone()), accepted, notes)))
    }
}

impl PyContentRules {
    /// The trace request that `plan` makes of `request`, with the rules applied; `None` when the reference has to look
    /// at it.
    pub fn traces<'py>(
        &self,
        request: &Bound<'py, PyBytes>,
        plan: Option<&Plan>,
        notes: &Bound<'py, PyDict>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (py, bytes) = (request.py(), request.as_bytes());
        let written = detached(py, bytes.len(), || {
            plan.map_or(Cow::Borrowed(bytes), |plan| {
                let mut target = vec![0; plan.size(bytes)];
                plan.write(bytes, &mut target);
                Cow::Owned(target)
            })
        });
        let applied = self.apply(py, &written, |request, found| self.content.traces(request, found))?;
        let Some((payload, found)) = applied else { return Ok(None) };
        self.note(&found, notes)?;
        Ok(Some(payload.unwrap_or_else(|| match written {
            Cow::Borrowed(_) => request.clone(),
            Cow::Owned(written) => PyBytes::new(py, &written),
        })))
    }

    fn apply<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        rules: impl FnOnce(&[u8], &mut Finds) -> Regular<Patch> + Send,
    ) -> PyResult<Applied<'py>> {
        let mut found = self.content.no_finds();
        let Ok(patch) = detached(py, request.len(), || rules(request, &mut found)) else {
            return Ok(None);
        };
        if patch.is_empty() {
            return Ok(Some((None, found)));
        }
        let payload = PyBytes::new_with(py, patch.size(request), |target| {
            detached(py, request.len(), || patch.write(request, target));
            Ok(())
        })?;
        Ok(Some((Some(payload), found)))
    }

    fn note(&self, found: &Finds, notes: &Bound<'_, PyDict>) -> PyResult<()> {
        for (name, count) in self.notes.iter().zip(found).filter(|(_, count)| **count > 0) {
            notes.set_item(name, count)?;
        }
        Ok(())
    }
}

fn redactor(plain: PlainRedaction) -> PyResult<Redactor> {
    let wrong = |what: String| PyValueError::new_err(format!("tables: {what}"));
    let action = match &*plain.action {
        "replace" => Action::Replace,
        "hash" => Action::Hash,
        "drop" => Action::Drop,
        other => return Err(wrong(format!("no action is called {other}"))),
    };
    let row = |(name, pattern, check): (usize, String, String)| {
        let known = Check::ALL.iter().find(|(_, known)| *known == check);
        known
            .map(|(check, _)| Row { name, pattern, check: *check })
            .ok_or_else(|| wrong(format!("no check is called {check}")))
    };
    let rows = plain.rows.into_iter().map(row).collect::<PyResult<Vec<_>>>()?;
    let length = |(country, length): (String, usize)| {
        let country = country.as_bytes().try_into().map_err(|_| wrong(format!("{country} is no country")))?;
        Ok((country, length))
    };
    let ibans = plain.iban_lengths.into_iter().map(length).collect::<PyResult<Ibans>>()?;
    Redactor::new(plain.names, rows, action, plain.key, plain.is_free, ibans)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}
