//! OpenTelemetry's own metrics for Python: what is derived, and the numbers.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::families::{Families, Key, Sums, MODALITIES};

/// Names and boundaries of the metrics in the order that `families` has.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct PlainFamilies {
    has_old: bool,
    has_new: bool,
    inference: Vec<String>,
    client: Vec<String>,
    kinds: [String; 2],
    modalities: [String; MODALITIES],
    metrics: Vec<(String, Vec<f64>)>,
}

impl PlainFamilies {
    pub fn families(&self) -> Families {
        Families {
            has_old: self.has_old,
            has_new: self.has_new,
            inference: self.inference.clone(),
            client: self.client.clone(),
            kinds: self.kinds.clone(),
            modalities: self.modalities.clone(),
            boundaries: self.metrics.iter().map(|(_, boundaries)| boundaries.clone()).collect(),
        }
    }
}

/// Names of the metrics as Python strings, made once.
pub struct FamilyNames(Vec<Py<PyString>>);

impl FamilyNames {
    pub fn new(py: Python<'_>, plain: Option<&PlainFamilies>) -> Self {
        let metrics = plain.map(|plain| &*plain.metrics).unwrap_or_default();
        FamilyNames(metrics.iter().map(|(name, _)| PyString::new(py, name).unbind()).collect())
    }

    /// Adds the numbers of one request; `histogram` makes what is added of each histogram.
    pub fn measured(
        &self,
        py: Python<'_>,
        sums: &Sums<'_>,
        histogram: &Py<PyAny>,
        counters: &Bound<'_, PyDict>,
        histograms: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let labels = |&(_, place, tail): &Key<'_>| {
            let (names, port) = sums.labels[place];
            let port = port.map(|port| port.to_string()).unwrap_or_default();
            PyTuple::new(py, names.into_iter().chain([&*port]).chain(tail).collect::<Vec<_>>())
        };
        for (key, count) in &sums.counters {
            counters.set_item((&self.0[key.0], labels(key)?), count)?;
        }
        for (key, one) in &sums.histograms {
            histograms.set_item((&self.0[key.0], labels(key)?), histogram.call1(py, (&one.counts, one.sum))?)?;
        }
        Ok(())
    }
}
