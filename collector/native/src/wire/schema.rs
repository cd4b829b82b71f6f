//! Which OTLP fields are text, numbers and messages. Written by `schema.py` from `opentelemetry-proto`.

/// What stands in a field. `Unknown` fields are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unknown,
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Text,
    PackedVarint,
    PackedFixed64,
    Message(&'static Message),
}

/// The fields of a message by their number.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub fields: &'static [Kind],
}

pub static ANY_VALUE: Message = Message {
    fields: &[
        Kind::Unknown,
        // string_value
        Kind::Text,
        // bool_value
        Kind::Varint,
        // int_value
        Kind::Varint,
        // double_value
        Kind::Fixed64,
        // array_value
        Kind::Message(&ARRAY_VALUE),
        // kvlist_value
        Kind::Message(&KEY_VALUE_LIST),
        // bytes_value
        Kind::Bytes,
        // string_value_strindex
        Kind::Varint,
    ],
};

pub static ARRAY_VALUE: Message = Message {
    fields: &[
        Kind::Unknown,
        // values
        Kind::Message(&ANY_VALUE),
    ],
};

pub static ENTITY_REF: Message = Message {
    fields: &[
        Kind::Unknown,
        // schema_url
        Kind::Text,
        // type
        Kind::Text,
        // id_keys
        Kind::Text,
        // description_keys
        Kind::Text,
    ],
};

pub static EXEMPLAR: Message = Message {
    fields: &[
        Kind::Unknown,
        Kind::Unknown,
        // time_unix_nano
        Kind::Fixed64,
        // as_double
        Kind::Fixed64,
        // span_id
        Kind::Bytes,
        // trace_id
        Kind::Bytes,
        // as_int
        Kind::Fixed64,
        // filtered_attributes
        Kind::Message(&KEY_VALUE),
    ],
};

pub static EXPONENTIAL_HISTOGRAM: Message = Message {
    fields: &[
        Kind::Unknown,
        // data_points
        Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT),
        // aggregation_temporality
        Kind::Varint,
    ],
};

pub static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    fields: &[
        Kind::Unknown,
        // attributes
        Kind::Message(&KEY_VALUE),
        // start_time_unix_nano
        Kind::Fixed64,
        // time_unix_nano
        Kind::Fixed64,
        // count
        Kind::Fixed64,
        // sum
        Kind::Fixed64,
        // scale
        Kind::Varint,
        // zero_count
        Kind::Fixed64,
        // positive
        Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT_BUCKETS),
        // negative
        Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT_BUCKETS),
        // flags
        Kind::Varint,
        // exemplars
        Kind::Message(&EXEMPLAR),
        // min
        Kind::Fixed64,
        // max
        Kind::Fixed64,
        // zero_threshold
        Kind::Fixed64,
    ],
};

pub static EXPONENTIAL_HISTOGRAM_DATA_POINT_BUCKETS: Message = Message {
    fields: &[
        Kind::Unknown,
        // offset
        Kind::Varint,
        // bucket_counts
        Kind::PackedVarint,
    ],
};

pub static EXPORT_LOGS_SERVICE_REQUEST: Message = Message {
    fields: &[
        Kind::Unknown,
        // resource_logs
        Kind::Message(&RESOURCE_LOGS),
    ],
};

pub static EXPORT_METRICS_SERVICE_REQUEST: Message = Message {
    fields: &[
        Kind::Unknown,
        // resource_metrics
        Kind::Message(&RESOURCE_METRICS),
    ],
};

pub static EXPORT_TRACE_SERVICE_REQUEST: Message = Message {
    fields: &[
        Kind::Unknown,
        // resource_spans
        Kind::Message(&RESOURCE_SPANS),
    ],
};

pub static GAUGE: Message = Message {
    fields: &[
        Kind::Unknown,
        // data_points
        Kind::Message(&NUMBER_DATA_POINT),
    ],
};

pub static HISTOGRAM: Message = Message {
    fields: &[
        Kind::Unknown,
        // data_points
        Kind::Message(&HISTOGRAM_DATA_POINT),
        // aggregation_temporality
        Kind::Varint,
    ],
};

pub static HISTOGRAM_DATA_POINT: Message = Message {
    fields: &[
        Kind::Unknown,
        Kind::Unknown,
        // start_time_unix_nano
        Kind::Fixed64,
        // time_unix_nano
        Kind::Fixed64,
        // count
        Kind::Fixed64,
        // sum
        Kind::Fixed64,
        // bucket_counts
        Kind::PackedFixed64,
        // explicit_bounds
        Kind::PackedFixed64,
        // exemplars
        Kind::Message(&EXEMPLAR),
        // attributes
        Kind::Message(&KEY_VALUE),
        // flags
        Kind::Varint,
        // min
        Kind::Fixed64,
        // max
        Kind::Fixed64,
    ],
};

pub static INSTRUMENTATION_SCOPE: Message = Message {
    fields: &[
        Kind::Unknown,
        // name
        Kind::Text,
        // version
        Kind::Text,
        // attributes
        Kind::Message(&KEY_VALUE),
        // dropped_attributes_count
        Kind::Varint,
    ],
};

pub static KEY_VALUE: Message = Message {
    fields: &[
        Kind::Unknown,
        // key
        Kind::Text,
        // value
        Kind::Message(&ANY_VALUE),
        // key_strindex
        Kind::Varint,
    ],
};

pub static KEY_VALUE_LIST: Message = Message {
    fields: &[
        Kind::Unknown,
        // values
        Kind::Message(&KEY_VALUE),
    ],
};

pub static LOG_RECORD: Message = Message {
    fields: &[
        Kind::Unknown,
        // time_unix_nano
        Kind::Fixed64,
        // severity_number
        Kind::Varint,
        // severity_text
        Kind::Text,
        Kind::Unknown,
        // body
        Kind::Message(&ANY_VALUE),
        // attributes
        Kind::Message(&KEY_VALUE),
        // dropped_attributes_count
        Kind::Varint,
        // flags
        Kind::Fixed32,
        // trace_id
        Kind::Bytes,
        // span_id
        Kind::Bytes,
        // observed_time_unix_nano
        Kind::Fixed64,
        // event_name
        Kind::Text,
    ],
};

pub static METRIC: Message = Message {
    fields: &[
        Kind::Unknown,
        // name
        Kind::Text,
        // description
        Kind::Text,
        // unit
        Kind::Text,
        Kind::Unknown,
        // gauge
        Kind::Message(&GAUGE),
        Kind::Unknown,
        // sum
        Kind::Message(&SUM),
        Kind::Unknown,
        // histogram
        Kind::Message(&HISTOGRAM),
        // exponential_histogram
        Kind::Message(&EXPONENTIAL_HISTOGRAM),
        // summary
        Kind::Message(&SUMMARY),
        // metadata
        Kind::Message(&KEY_VALUE),
    ],
};

pub static NUMBER_DATA_POINT: Message = Message {
    fields: &[
        Kind::Unknown,
        Kind::Unknown,
        // start_time_unix_nano
        Kind::Fixed64,
        // time_unix_nano
        Kind::Fixed64,
        // as_double
        Kind::Fixed64,
        // exemplars
        Kind::Message(&EXEMPLAR),
        // as_int
        Kind::Fixed64,
        // attributes
        Kind::Message(&KEY_VALUE),
        // flags
        Kind::Varint,
    ],
};

pub static RESOURCE: Message = Message {
    fields: &[
        Kind::Unknown,
        // attributes
        Kind::Message(&KEY_VALUE),
        // dropped_attributes_count
        Kind::Varint,
        // entity_refs
        Kind::Message(&ENTITY_REF),
    ],
};

pub static RESOURCE_LOGS: Message = Message {
    fields: &[
        Kind::Unknown,
        // resource
        Kind::Message(&RESOURCE),
        // scope_logs
        Kind::Message(&SCOPE_LOGS),
        // schema_url
        Kind::Text,
    ],
};

pub static RESOURCE_METRICS: Message = Message {
    fields: &[
        Kind::Unknown,
        // resource
        Kind::Message(&RESOURCE),
        // scope_metrics
        Kind::Message(&SCOPE_METRICS),
        // schema_url
        Kind::Text,
    ],
};

pub static RESOURCE_SPANS: Message = Message {
    fields: &[
        Kind::Unknown,
        // resource
        Kind::Message(&RESOURCE),
        // scope_spans
        Kind::Message(&SCOPE_SPANS),
        // schema_url
        Kind::Text,
    ],
};

pub static SCOPE_LOGS: Message = Message {
    fields: &[
        Kind::Unknown,
        // scope
        Kind::Message(&INSTRUMENTATION_SCOPE),
        // log_records
        Kind::Message(&LOG_RECORD),
        // schema_url
        Kind::Text,
    ],
};

pub static SCOPE_METRICS: Message = Message {
    fields: &[
        Kind::Unknown,
        // scope
        Kind::Message(&INSTRUMENTATION_SCOPE),
        // metrics
        Kind::Message(&METRIC),
        // schema_url
        Kind::Text,
    ],
};

pub static SCOPE_SPANS: Message = Message {
    fields: &[
        Kind::Unknown,
        // scope
        Kind::Message(&INSTRUMENTATION_SCOPE),
        // spans
        Kind::Message(&SPAN),
        // schema_url
        Kind::Text,
    ],
};

pub static SPAN: Message = Message {
    fields: &[
        Kind::Unknown,
        // trace_id
        Kind::Bytes,
        // span_id
        Kind::Bytes,
        // trace_state
        Kind::Text,
        // parent_span_id
        Kind::Bytes,
        // name
        Kind::Text,
        // kind
        Kind::Varint,
        // start_time_unix_nano
        Kind::Fixed64,
        // end_time_unix_nano
        Kind::Fixed64,
        // attributes
        Kind::Message(&KEY_VALUE),
        // dropped_attributes_count
        Kind::Varint,
        // events
        Kind::Message(&SPAN_EVENT),
        // dropped_events_count
        Kind::Varint,
        // links
        Kind::Message(&SPAN_LINK),
        // dropped_links_count
        Kind::Varint,
        // status
        Kind::Message(&STATUS),
        // flags
        Kind::Fixed32,
    ],
};

pub static SPAN_EVENT: Message = Message {
    fields: &[
        Kind::Unknown,
        // time_unix_nano
        Kind::Fixed64,
        // name
        Kind::Text,
        // attributes
        Kind::Message(&KEY_VALUE),
        // dropped_attributes_count
        Kind::Varint,
    ],
};

pub static SPAN_LINK: Message = Message {
    fields: &[
        Kind::Unknown,
        // trace_id
        Kind::Bytes,
        // span_id
        Kind::Bytes,
        // trace_state
        Kind::Text,
        // attributes
        Kind::Message(&KEY_VALUE),
        // dropped_attributes_count
        Kind::Varint,
        // flags
        Kind::Fixed32,
    ],
};

pub static STATUS: Message = Message {
    fields: &[
        Kind::Unknown,
        Kind::Unknown,
        // message
        Kind::Text,
        // code
        Kind::Varint,
    ],
};

pub static SUM: Message = Message {
    fields: &[
        Kind::Unknown,
        // data_points
        Kind::Message(&NUMBER_DATA_POINT),
        // aggregation_temporality
        Kind::Varint,
        // is_monotonic
        Kind::Varint,
    ],
};

pub static SUMMARY: Message = Message {
    fields: &[
        Kind::Unknown,
        // data_points
        Kind::Message(&SUMMARY_DATA_POINT),
    ],
};

pub static SUMMARY_DATA_POINT: Message = Message {
    fields: &[
        Kind::Unknown,
        Kind::Unknown,
        // start_time_unix_nano
        Kind::Fixed64,
        // time_unix_nano
        Kind::Fixed64,
        // count
        Kind::Fixed64,
        // sum
        Kind::Fixed64,
        // quantile_values
        Kind::Message(&SUMMARY_DATA_POINT_VALUE_AT_QUANTILE),
        // attributes
        Kind::Message(&KEY_VALUE),
        // flags
        Kind::Varint,
    ],
};

pub static SUMMARY_DATA_POINT_VALUE_AT_QUANTILE: Message = Message {
    fields: &[
        Kind::Unknown,
        // quantile
        Kind::Fixed64,
        // value
        Kind::Fixed64,
    ],
};
