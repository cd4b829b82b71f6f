//! The items of metrics and logs requests.

use crate::wire::check;
use crate::wire::schema::{
    EXPORT_LOGS_SERVICE_REQUEST, EXPORT_METRICS_SERVICE_REQUEST, LOG_RECORD, METRIC, RESOURCE_LOGS, RESOURCE_METRICS,
    SCOPE_LOGS, SCOPE_METRICS,
};
use crate::wire::{Cursor, Irregular, Result, BYTES};

/// Counts the points of a metrics request.
///
/// # Errors
/// `Irregular` when the reference has to look at it.
pub fn metric_points(request: &[u8]) -> Result<u64> {
    let mut points = 0;
    let mut request = Cursor::new(request);
    while !request.is_done() {
        let (number, wire) = request.tag()?;
        if (number, wire) != (1, BYTES) {
            check::field(&mut request, &EXPORT_METRICS_SERVICE_REQUEST, number, wire, 0)?;
            continue;
        }
        let mut resource = request.message()?;
        while !resource.is_done() {
            let (number, wire) = resource.tag()?;
            if (number, wire) != (2, BYTES) {
                check::field(&mut resource, &RESOURCE_METRICS, number, wire, 1)?;
                continue;
            }
            let mut scope = resource.message()?;
            while !scope.is_done() {
                let (number, wire) = scope.tag()?;
                if (number, wire) == (2, BYTES) {
                    points += points_of(scope.message()?)?;
                } else {
                    check::field(&mut scope, &SCOPE_METRICS, number, wire, 2)?;
                }
            }
        }
    }
    Ok(points)
}

/// The points of one metric: those of the kind of data that came last, which is the one protobuf keeps.
fn points_of(mut metric: Cursor<'_>) -> Result<u64> {
    let (mut kind, mut points) = (0, 0);
    while !metric.is_done() {
        let (number, wire) = metric.tag()?;
        let from = metric;
        check::field(&mut metric, &METRIC, number, wire, 3)?;
        if matches!((number, wire), (5 | 7 | 9 | 10 | 11, BYTES)) {
            let mut data = { from }.message()?;
            if number != kind {
                (kind, points) = (number, 0);
            }
            while !data.is_done() {
                let (number, wire) = data.tag()?;
                points += u64::from((number, wire) == (1, BYTES));
                data.skip(wire)?;
            }
        }
    }
    Ok(points)
}

/// Counts the records of a logs request.
///
/// # Errors
/// `Irregular` when the reference has to look at it.
pub fn log_records(request: &[u8]) -> Result<u64> {
    let mut records = 0;
    let mut request = Cursor::new(request);
    while !request.is_done() {
        let (number, wire) = request.tag()?;
        if (number, wire) != (1, BYTES) {
            check::field(&mut request, &EXPORT_LOGS_SERVICE_REQUEST, number, wire, 0)?;
            continue;
        }
        let mut resource = request.message()?;
        while !resource.is_done() {
            let (number, wire) = resource.tag()?;
            if (number, wire) != (2, BYTES) {
                check::field(&mut resource, &RESOURCE_LOGS, number, wire, 1)?;
                continue;
            }
            let mut scope = resource.message()?;
            while !scope.is_done() {
                let (number, wire) = scope.tag()?;
                if (number, wire) == (2, BYTES) {
                    log_record(scope.message()?)?;
                    records += 1;
                } else {
                    check::field(&mut scope, &SCOPE_LOGS, number, wire, 2)?;
                }
            }
        }
    }
    Ok(records)
}

fn log_record(mut record: Cursor<'_>) -> Result<()> {
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    while !record.is_done() {
        match record.tag()? {
            (9, BYTES) => trace_id = record.bytes()?,
            (10, BYTES) => span_id = record.bytes()?,
            (number, wire) => check::field(&mut record, &LOG_RECORD, number, wire, 3)?,
        }
    }
    match (trace_id.len(), span_id.len()) {
        (0 | 16, 0 | 8) => Ok(()),
        _ => Err(Irregular),
    }
}
