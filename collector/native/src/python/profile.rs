//! What is done to a request for its destination, for Python: plain data in, bytes out.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::content::dropping;
use crate::profile::apply;
use crate::profile::rules::{Number, Pick, PlainProfile, PlainSource, Rules};
use crate::python::detached;
use crate::wire::splice::Plan;
use crate::wire::Result;

/// A profile as `deliver/profile_native.py` writes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Tables {
    places: Vec<(String, String)>,
    others: String,
    types: Vec<(String, String)>,
    add: Vec<(String, Value)>,
    root: Vec<(String, Vec<String>, String)>,
    last: Vec<String>,
    originals: Option<Vec<(String, Vec<String>)>>,
    dialect_names: String,
    dialect_carried: String,
    arrays_as_json: bool,
    resource: Vec<(String, String)>,
}

/// Where an added attribute takes its value: a resource's, a span's, or several of a span's.
#[derive(FromPyObject)]
enum Value {
    Resource(String),
    Span(Vec<String>),
    Json(Vec<(String, String)>),
}

impl From<Value> for PlainSource {
    fn from(value: Value) -> Self {
        match value {
            Value::Resource(name) => PlainSource::Resource(name),
            Value::Span(names) => PlainSource::Span(names),
            Value::Json(parts) => PlainSource::Json(parts),
        }
    }
}

impl From<Tables> for PlainProfile {
    fn from(tables: Tables) -> Self {
        let number = |word: &str| if word == "int" { Number::Int } else { Number::Double };
        let pick = |word: &str| if word == "last" { Pick::Last } else { Pick::First };
        PlainProfile {
            places: tables.places,
            others: tables.others,
            types: tables.types.into_iter().map(|(pattern, word)| (pattern, number(&word))).collect(),
            add: tables.add.into_iter().map(|(name, value)| (name, value.into())).collect(),
            root: tables.root.into_iter().map(|(name, sources, word)| (name, sources, pick(&word))).collect(),
            last: tables.last,
            originals: tables.originals,
            dialect_names: tables.dialect_names,
            dialect_carried: tables.dialect_carried,
            arrays_as_json: tables.arrays_as_json,
            resource: tables.resource,
        }
    }
}

#[pyclass(frozen, name = "Profile", module = "otel_llm_wire")]
pub struct PyProfile {
    rules: Rules,
}

#[pymethods]
impl PyProfile {
    #[new]
    fn new(tables: Tables) -> Self {
        PyProfile { rules: Rules::new(&tables.into()) }
    }

    /// The request as its destination wants it, the same object where nothing changes; None when the reference has to
    /// look at it.
    fn apply<'py>(&self, request: &Bound<'py, PyBytes>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        edited(request, |bytes| apply(bytes, &self.rules))
    }
}

#[pyclass(frozen, name = "Content", module = "otel_llm_wire")]
pub struct PyContent {
    rules: dropping::Rules,
}

#[pymethods]
impl PyContent {
    /// `names` and `prefixes` of attributes that are content, names that are none in spite of their prefix, the prefix of
    /// events with content in their body, and the attribute with an event's name.
    #[new]
    #[allow(clippy::needless_pass_by_value)] // what is extracted from Python is owned
    fn new(
        names: Vec<String>,
        prefixes: Vec<String>,
        except: Vec<String>,
        event_prefix: &str,
        event_name: &str,
        message_fields: Vec<String>,
    ) -> Self {
        PyContent { rules: dropping::Rules::new(&names, &prefixes, &except, event_prefix, event_name, &message_fields) }
    }

    /// A request of spans or of log records without content, the same object where it has none; None when the reference has
    /// to look at it.
    fn drop<'py>(&self, request: &Bound<'py, PyBytes>, is_logs: bool) -> PyResult<Option<Bound<'py, PyBytes>>> {
        edited(request, |bytes| dropping::drop_content(bytes, &self.rules, is_logs))
    }
}

/// The request with the edits that `edits` makes.
fn edited<'py>(
    request: &Bound<'py, PyBytes>,
    edits: impl FnOnce(&[u8]) -> Result<Option<Plan>> + Send,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let (py, bytes) = (request.py(), request.as_bytes());
    match detached(py, bytes.len(), || edits(bytes)) {
        Err(_) => Ok(None),
        Ok(None) => Ok(Some(request.clone())),
        Ok(Some(plan)) => PyBytes::new_with(py, plan.size(bytes), |target| {
            detached(py, bytes.len(), || plan.write(bytes, target));
            Ok(())
        })
        .map(Some),
    }
}
