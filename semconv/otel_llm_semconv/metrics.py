"""Metrics: what the collector measures from spans, and the others we read or write.

Generated from the registry by `make generate`; edit `registry/*.yaml` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; label values stand in the order of `attributes`, `boundaries` only for histograms."""

    name: str
    instrument: str
    unit: str
    brief: str
    attributes: tuple[str, ...]
    boundaries: tuple[float, ...] = ()


GEN_AI_CLIENT_TOKEN_USAGE: Final = Metric(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    "Tokens of one operation by type; removed in September 2026, still sent.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "gen_ai.token.type",
    ),
    (
        1.0,
        4.0,
        16.0,
        64.0,
        256.0,
        1024.0,
        4096.0,
        16384.0,
        65536.0,
        262144.0,
        1048576.0,
        4194304.0,
        16777216.0,
        67108864.0,
    ),
)

GEN_AI_CLIENT_OPERATION_DURATION: Final = Metric(
    "gen_ai.client.operation.duration",
    "histogram",
    "s",
    "Duration of a client operation.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "error.type",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK: Final = Metric(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    "s",
    "Time to the first chunk of a streamed answer.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK: Final = Metric(
    "gen_ai.client.operation.time_per_output_chunk",
    "histogram",
    "s",
    "Time between the chunks of a streamed answer.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

GEN_AI_CLIENT_INFERENCE_DURATION: Final = Metric(
    "gen_ai.client.inference.duration",
    "histogram",
    "s",
    "Duration of an inference.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "error.type",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK: Final = Metric(
    "gen_ai.client.inference.time_to_first_chunk",
    "histogram",
    "s",
    "Time to the first chunk of a streamed inference.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

GEN_AI_CLIENT_INFERENCE_TIME_PER_OUTPUT_CHUNK: Final = Metric(
    "gen_ai.client.inference.time_per_output_chunk",
    "histogram",
    "s",
    "Time between the chunks of a streamed inference.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.input_tokens",
    "counter",
    "{token}",
    "Tokens of prompts, cached ones included.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "gen_ai.token.modality",
    ),
)

GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.output_tokens",
    "counter",
    "{token}",
    "Tokens of answers, reasoning included.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "gen_ai.token.modality",
    ),
)

GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_READ_INPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.cache_read.input_tokens",
    "counter",
    "{token}",
    "Prompt tokens read from a cache; a part of the input tokens.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "gen_ai.token.modality",
    ),
)

GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_WRITE_INPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.cache_write.input_tokens",
    "counter",
    "{token}",
    "Prompt tokens written to a cache; a part of the input tokens.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "gen_ai.token.modality",
    ),
)

GEN_AI_CLIENT_INFERENCE_USAGE_REASONING_OUTPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.usage.reasoning.output_tokens",
    "counter",
    "{token}",
    "Tokens spent on reasoning; a part of the output tokens.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "gen_ai.token.modality",
    ),
)

GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.operation.input_tokens",
    "histogram",
    "{token}",
    "Prompt tokens of one inference.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "error.type",
    ),
    (
        1.0,
        4.0,
        16.0,
        64.0,
        256.0,
        1024.0,
        4096.0,
        16384.0,
        65536.0,
        262144.0,
        1048576.0,
        4194304.0,
        16777216.0,
        67108864.0,
    ),
)

GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.operation.output_tokens",
    "histogram",
    "{token}",
    "Answer tokens of one inference.",
    (
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "server.address",
        "server.port",
        "error.type",
    ),
    (
        1.0,
        4.0,
        16.0,
        64.0,
        256.0,
        1024.0,
        4096.0,
        16384.0,
        65536.0,
        262144.0,
        1048576.0,
        4194304.0,
        16777216.0,
        67108864.0,
    ),
)

HW_GPU_IO: Final = Metric(
    "hw.gpu.io",
    "counter",
    "By",
    "Bytes over the links of the GPU.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
        "network.io.direction",
    ),
)

HW_GPU_MEMORY_LIMIT: Final = Metric(
    "hw.gpu.memory.limit",
    "updowncounter",
    "By",
    "Memory of the GPU.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
    ),
)

HW_GPU_MEMORY_USAGE: Final = Metric(
    "hw.gpu.memory.usage",
    "updowncounter",
    "By",
    "Memory of the GPU in use.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
    ),
)

HW_GPU_MEMORY_UTILIZATION: Final = Metric(
    "hw.gpu.memory.utilization",
    "gauge",
    "1",
    "Fraction of the GPU's memory in use.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
    ),
)

HW_GPU_UTILIZATION: Final = Metric(
    "hw.gpu.utilization",
    "gauge",
    "1",
    "Fraction of time in which the GPU did anything.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
        "hw.gpu.task",
    ),
)

HW_ENERGY: Final = Metric(
    "hw.energy",
    "counter",
    "J",
    "Energy the device used.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
        "hw.type",
    ),
)

HW_POWER: Final = Metric(
    "hw.power",
    "gauge",
    "W",
    "Power the device draws.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
        "hw.type",
    ),
)

HW_TEMPERATURE: Final = Metric(
    "hw.temperature",
    "gauge",
    "Cel",
    "Temperature of the device.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
        "hw.type",
        "hw.sensor_location",
    ),
)

HW_ERRORS: Final = Metric(
    "hw.errors",
    "counter",
    "{error}",
    "Errors of the device.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
        "hw.type",
        "error.type",
    ),
)

HW_STATUS: Final = Metric(
    "hw.status",
    "updowncounter",
    "1",
    "1 for the state the device is in, 0 for the others.",
    (
        "hw.id",
        "hw.name",
        "hw.parent",
        "hw.type",
        "hw.state",
    ),
)

SYSTEM_CPU_UTILIZATION: Final = Metric(
    "system.cpu.utilization",
    "gauge",
    "1",
    "Fraction of CPU time by mode.",
    (
        "cpu.mode",
    ),
)

SYSTEM_MEMORY_USAGE: Final = Metric(
    "system.memory.usage",
    "updowncounter",
    "By",
    "Memory by state.",
    (
        "system.memory.state",
    ),
)

SYSTEM_MEMORY_UTILIZATION: Final = Metric(
    "system.memory.utilization",
    "gauge",
    "1",
    "Fraction of memory by state.",
    (
        "system.memory.state",
    ),
)

SYSTEM_PAGING_USAGE: Final = Metric(
    "system.paging.usage",
    "updowncounter",
    "By",
    "Swap by state.",
    (
        "system.paging.state",
    ),
)

SYSTEM_DISK_IO: Final = Metric(
    "system.disk.io",
    "counter",
    "By",
    "Bytes read from and written to disks.",
    (
        "system.device",
        "disk.io.direction",
    ),
)

SYSTEM_NETWORK_IO: Final = Metric(
    "system.network.io",
    "counter",
    "By",
    "Bytes over network interfaces.",
    (
        "network.interface.name",
        "network.io.direction",
    ),
)

PROCESS_CPU_TIME: Final = Metric(
    "process.cpu.time",
    "counter",
    "s",
    "CPU time of the process by mode.",
    (
        "cpu.mode",
    ),
)

PROCESS_CPU_UTILIZATION: Final = Metric(
    "process.cpu.utilization",
    "gauge",
    "1",
    "Fraction of CPU time by mode, of all CPUs.",
    (
        "cpu.mode",
    ),
)

PROCESS_MEMORY_USAGE: Final = Metric(
    "process.memory.usage",
    "updowncounter",
    "By",
    "Resident memory of the process.",
    (
    ),
)

PROCESS_THREAD_COUNT: Final = Metric(
    "process.thread.count",
    "updowncounter",
    "{thread}",
    "Threads of the process.",
    (
    ),
)

PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: Final = Metric(
    "process.unix.file_descriptor.count",
    "updowncounter",
    "{file_descriptor}",
    "Open file descriptors of the process.",
    (
    ),
)

OTEL_LLM_BUDGET_LIMIT: Final = Metric(
    "otel_llm.budget.limit",
    "gauge",
    "{USD}",
    "Amount of the budget for the period.",
    (
        "otel_llm.budget.name",
        "otel_llm.budget.period",
        "otel_llm.budget.group",
    ),
)

OTEL_LLM_BUDGET_SPENT: Final = Metric(
    "otel_llm.budget.spent",
    "gauge",
    "{USD}",
    "Spent in the present period.",
    (
        "otel_llm.budget.name",
        "otel_llm.budget.period",
        "otel_llm.budget.group",
    ),
)

OTEL_LLM_BUDGET_USED: Final = Metric(
    "otel_llm.budget.used",
    "gauge",
    "1",
    "Spent by limit.",
    (
        "otel_llm.budget.name",
        "otel_llm.budget.period",
        "otel_llm.budget.group",
    ),
)

OTEL_LLM_BUDGET_FORECAST: Final = Metric(
    "otel_llm.budget.forecast",
    "gauge",
    "{USD}",
    "What the period will have cost at its end at the present pace.",
    (
        "otel_llm.budget.name",
        "otel_llm.budget.period",
        "otel_llm.budget.group",
    ),
)

OTEL_LLM_RECEIVER_RECEIVED_SPANS: Final = Metric(
    "otel_llm.receiver.received.spans",
    "counter",
    "{span}",
    "Spans in requests that could be read.",
    (
        "otel_llm.collector.receiver",
        "otel_llm.collector.transport",
    ),
)

OTEL_LLM_EXPORTER_ACCEPTED_SPANS: Final = Metric(
    "otel_llm.exporter.accepted.spans",
    "counter",
    "{span}",
    "Spans kept that the destination wants.",
    (
        "otel_llm.collector.exporter",
    ),
)

OTEL_LLM_EXPORTER_DROPPED_SPANS: Final = Metric(
    "otel_llm.exporter.dropped.spans",
    "counter",
    "{span}",
    "Spans that the destination never gets.",
    (
        "otel_llm.collector.exporter",
        "otel_llm.collector.reason",
        "otel_llm.collector.intentional",
    ),
)

OTEL_LLM_EXPORTER_WAITING_SPANS: Final = Metric(
    "otel_llm.exporter.waiting.spans",
    "updowncounter",
    "{span}",
    "Spans that wait in the log or are under way.",
    (
        "otel_llm.collector.exporter",
    ),
)

OTEL_LLM_RECEIVER_RECEIVED_METRIC_POINTS: Final = Metric(
    "otel_llm.receiver.received.metric_points",
    "counter",
    "{point}",
    "Metric points in requests that could be read.",
    (
        "otel_llm.collector.receiver",
        "otel_llm.collector.transport",
    ),
)

OTEL_LLM_EXPORTER_ACCEPTED_METRIC_POINTS: Final = Metric(
    "otel_llm.exporter.accepted.metric_points",
    "counter",
    "{point}",
    "Metric points kept that the destination wants.",
    (
        "otel_llm.collector.exporter",
    ),
)

OTEL_LLM_EXPORTER_DROPPED_METRIC_POINTS: Final = Metric(
    "otel_llm.exporter.dropped.metric_points",
    "counter",
    "{point}",
    "Metric points that the destination never gets.",
    (
        "otel_llm.collector.exporter",
        "otel_llm.collector.reason",
        "otel_llm.collector.intentional",
    ),
)

OTEL_LLM_EXPORTER_WAITING_METRIC_POINTS: Final = Metric(
    "otel_llm.exporter.waiting.metric_points",
    "updowncounter",
    "{point}",
    "Metric points that wait in the log or are under way.",
    (
        "otel_llm.collector.exporter",
    ),
)

OTEL_LLM_RECEIVER_RECEIVED_LOG_RECORDS: Final = Metric(
    "otel_llm.receiver.received.log_records",
    "counter",
    "{record}",
    "Log records in requests that could be read.",
    (
        "otel_llm.collector.receiver",
        "otel_llm.collector.transport",
    ),
)

OTEL_LLM_EXPORTER_ACCEPTED_LOG_RECORDS: Final = Metric(
    "otel_llm.exporter.accepted.log_records",
    "counter",
    "{record}",
    "Log records kept that the destination wants.",
    (
        "otel_llm.collector.exporter",
    ),
)

OTEL_LLM_EXPORTER_DROPPED_LOG_RECORDS: Final = Metric(
    "otel_llm.exporter.dropped.log_records",
    "counter",
    "{record}",
    "Log records that the destination never gets.",
    (
        "otel_llm.collector.exporter",
        "otel_llm.collector.reason",
        "otel_llm.collector.intentional",
    ),
)

OTEL_LLM_EXPORTER_WAITING_LOG_RECORDS: Final = Metric(
    "otel_llm.exporter.waiting.log_records",
    "updowncounter",
    "{record}",
    "Log records that wait in the log or are under way.",
    (
        "otel_llm.collector.exporter",
    ),
)

OTEL_LLM_HTTP_CLOSED_CONNECTIONS: Final = Metric(
    "otel_llm.http.closed_connections",
    "counter",
    "{connection}",
    "HTTP connections closed because the head of a request did not come in time, or was too large.",
    (
        "otel_llm.collector.reason",
    ),
)

OTEL_LLM_RECEIVER_REFUSED_ITEMS: Final = Metric(
    "otel_llm.receiver.refused_items",
    "counter",
    "{item}",
    "Refused items by reason.",
    (
        "otel_llm.collector.receiver",
        "otel_llm.collector.transport",
        "otel_llm.collector.signal",
        "otel_llm.collector.reason",
    ),
)

OTEL_LLM_ENGINE_NOTED_ITEMS: Final = Metric(
    "otel_llm.engine.noted_items",
    "counter",
    "{item}",
    "Items kept although something about them is odd.",
    (
        "otel_llm.collector.reason",
    ),
)

OTEL_LLM_BUILD_INFO: Final = Metric(
    "otel_llm.build.info",
    "gauge",
    "{build}",
    "The running version.",
    (
        "otel_llm.collector.version",
    ),
)

OTEL_LLM_EXPORTER_RETRIES: Final = Metric(
    "otel_llm.exporter.retries",
    "counter",
    "{request}",
    "Requests sent again.",
    (
        "otel_llm.collector.exporter",
    ),
)

OTEL_LLM_EXPORTER_DEAD_LETTERS: Final = Metric(
    "otel_llm.exporter.dead_letters",
    "counter",
    "{request}",
    "Requests put with the dead letters, or that the disk did not take.",
    (
        "otel_llm.collector.exporter",
        "otel_llm.collector.outcome",
    ),
)

OTEL_LLM_EXPORTER_SAMPLED_TRACES: Final = Metric(
    "otel_llm.exporter.sampled_traces",
    "counter",
    "{trace}",
    "Traces judged by late sampling, with the policy that decided.",
    (
        "otel_llm.collector.exporter",
        "otel_llm.collector.policy",
        "otel_llm.collector.decision",
    ),
)

OTEL_LLM_NOTIFICATIONS_SENT: Final = Metric(
    "otel_llm.notifications.sent",
    "counter",
    "{alert}",
    "Alerts that a target took.",
    (
        "otel_llm.collector.target",
    ),
)

OTEL_LLM_NOTIFICATIONS_FAILED: Final = Metric(
    "otel_llm.notifications.failed",
    "counter",
    "{alert}",
    "Alerts that a target did not take.",
    (
        "otel_llm.collector.target",
    ),
)

OTEL_LLM_ALERT_EVALUATIONS: Final = Metric(
    "otel_llm.alert.evaluations",
    "counter",
    "{rule}",
    "Rules evaluated.",
    (
    ),
)

OTEL_LLM_ALERT_EVALUATION_FAILURES: Final = Metric(
    "otel_llm.alert.evaluation_failures",
    "counter",
    "{rule}",
    "Rules that failed.",
    (
    ),
)

OTEL_LLM_ALERT_MISSED_TURNS: Final = Metric(
    "otel_llm.alert.missed_turns",
    "counter",
    "{turn}",
    "Turns of groups that were skipped.",
    (
    ),
)

OTEL_LLM_ALERT_CLOCK_CHANGES: Final = Metric(
    "otel_llm.alert.clock_changes",
    "counter",
    "{change}",
    "Times the wall clock was set.",
    (
    ),
)

OTEL_LLM_ALERT_FIRING: Final = Metric(
    "otel_llm.alert.firing",
    "gauge",
    "{alert}",
    "Alerts that fire now.",
    (
    ),
)

OTEL_LLM_QUERIES: Final = Metric(
    "otel_llm.queries",
    "counter",
    "{request}",
    "Requests to the query API by outcome.",
    (
        "otel_llm.collector.endpoint",
        "otel_llm.collector.outcome",
    ),
)

OTEL_LLM_SERIES_OVERFLOWED_SAMPLES: Final = Metric(
    "otel_llm.series.overflowed_samples",
    "counter",
    "{sample}",
    "Samples added to an overflow series because their metric had reached its limit of series.",
    (
    ),
)

OTEL_LLM_WINDOW_SERIES: Final = Metric(
    "otel_llm.window.series",
    "gauge",
    "{series}",
    "Series kept for rules and queries.",
    (
    ),
)

OTEL_LLM_WINDOW_SAMPLES: Final = Metric(
    "otel_llm.window.samples",
    "counter",
    "{sample}",
    "Samples kept.",
    (
    ),
)

OTEL_LLM_WINDOW_OVERFLOWED_POINTS: Final = Metric(
    "otel_llm.window.overflowed_points",
    "counter",
    "{point}",
    "Points added to the series that hold what has none of its own.",
    (
    ),
)

OTEL_LLM_WINDOW_UNSAVED_BLOCKS: Final = Metric(
    "otel_llm.window.unsaved_blocks",
    "counter",
    "{block}",
    "Blocks of the window that were not saved: no room, or they could not be written.",
    (
    ),
)

OTEL_LLM_WINDOW_DROPPED_SAMPLES: Final = Metric(
    "otel_llm.window.dropped_samples",
    "counter",
    "{sample}",
    "Samples not kept, by reason.",
    (
        "otel_llm.collector.reason",
    ),
)

OTEL_LLM_WINDOW_DROPPED_POINTS: Final = Metric(
    "otel_llm.window.dropped_points",
    "counter",
    "{point}",
    "OTLP points not turned into samples.",
    (
        "otel_llm.collector.reason",
    ),
)

OTEL_LLM_GPU_REQUEST_ENERGY: Final = Metric(
    "otel_llm.gpu.request.energy",
    "histogram",
    "J",
    "Joules attributed to one operation.",
    (
        "gen_ai.operation.name",
        "gen_ai.request.model",
    ),
    (
        0.1,
        0.3,
        1.0,
        3.0,
        10.0,
        30.0,
        100.0,
        300.0,
        1000.0,
        3000.0,
        10000.0,
    ),
)

OTEL_LLM_GPU_REQUEST_TIME: Final = Metric(
    "otel_llm.gpu.request.time",
    "histogram",
    "s",
    "GPU-seconds attributed to one operation.",
    (
        "gen_ai.operation.name",
        "gen_ai.request.model",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

OTEL_LLM_GPU_OUTPUT_TOKEN_ENERGY: Final = Metric(
    "otel_llm.gpu.output_token.energy",
    "histogram",
    "J",
    "Joules attributed to one output token.",
    (
        "gen_ai.operation.name",
        "gen_ai.request.model",
    ),
    (
        0.001,
        0.003,
        0.01,
        0.03,
        0.1,
        0.3,
        1.0,
        3.0,
        10.0,
        30.0,
        100.0,
    ),
)

OTEL_LLM_GPU_IDLE_ENERGY: Final = Metric(
    "otel_llm.gpu.idle.energy",
    "counter",
    "J",
    "Joules that no operation was under way for.",
    (
        "hw.id",
        "hw.name",
    ),
)

OTEL_LLM_GPU_CLOCK_FREQUENCY: Final = Metric(
    "otel_llm.gpu.clock.frequency",
    "gauge",
    "Hz",
    "Clock of the GPU.",
    (
        "hw.id",
        "hw.name",
        "otel_llm.gpu.clock_domain",
    ),
)

OTEL_LLM_GPU_POWER_LIMIT: Final = Metric(
    "otel_llm.gpu.power.limit",
    "gauge",
    "W",
    "Most power the GPU may draw.",
    (
        "hw.id",
        "hw.name",
    ),
)

OTEL_LLM_GPU_THROTTLED: Final = Metric(
    "otel_llm.gpu.throttled",
    "gauge",
    "{reason}",
    "1 while the clocks are held down for this reason.",
    (
        "hw.id",
        "hw.name",
        "otel_llm.gpu.throttle_reason",
    ),
)

OTEL_LLM_GPU_INTERCONNECT_IO: Final = Metric(
    "otel_llm.gpu.interconnect.io",
    "counter",
    "By",
    "Bytes over one kind of link.",
    (
        "hw.id",
        "hw.name",
        "otel_llm.gpu.link",
        "network.io.direction",
    ),
)

OTEL_LLM_GPU_PROCESS_MEMORY_USAGE: Final = Metric(
    "otel_llm.gpu.process.memory.usage",
    "updowncounter",
    "By",
    "GPU memory that a process holds.",
    (
        "hw.id",
        "hw.name",
        "process.pid",
    ),
)

OTEL_LLM_GPU_FAN_SPEED: Final = Metric(
    "otel_llm.gpu.fan.speed",
    "gauge",
    "1",
    "Fan speed as a fraction of its highest.",
    (
        "hw.id",
        "hw.name",
    ),
)

OTEL_LLM_REQUESTS: Final = Metric(
    "otel_llm.requests",
    "counter",
    "{request}",
    "GenAI operations and RAG steps.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
)

OTEL_LLM_ERRORS: Final = Metric(
    "otel_llm.errors",
    "counter",
    "{request}",
    "GenAI operations and RAG steps that ended in an error.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "error.type",
    ),
)

OTEL_LLM_REFUSALS: Final = Metric(
    "otel_llm.refusals",
    "counter",
    "{request}",
    "Provider calls that the model declined or a content filter stopped.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "otel_llm.refusal.reason",
    ),
)

OTEL_LLM_OPERATION_DURATION: Final = Metric(
    "otel_llm.operation.duration",
    "histogram",
    "s",
    "Duration of GenAI operations and RAG steps.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

OTEL_LLM_TOKENS: Final = Metric(
    "otel_llm.tokens",
    "counter",
    "{token}",
    "Tokens of provider calls by type; cache_read, cache_write and reasoning are parts of input and output.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.token.type",
    ),
)

OTEL_LLM_COST_USD: Final = Metric(
    "otel_llm.cost.usd",
    "counter",
    "{USD}",
    "Price of provider calls in US dollars, as far as it is known.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
)

OTEL_LLM_COST_UNPRICED: Final = Metric(
    "otel_llm.cost.unpriced",
    "counter",
    "{request}",
    "Provider calls without a known price.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "otel_llm.cost.unknown_reason",
    ),
)

OTEL_LLM_TIME_TO_FIRST_TOKEN: Final = Metric(
    "otel_llm.time_to_first_token",
    "histogram",
    "s",
    "Time from a request to the first chunk of its streamed answer.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

OTEL_LLM_RETRIEVAL_RETURNED: Final = Metric(
    "otel_llm.retrieval.returned",
    "histogram",
    "{document}",
    "Documents that a retrieval returned.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.0,
        1.0,
        2.0,
        3.0,
        5.0,
        8.0,
        10.0,
        15.0,
        20.0,
        30.0,
        50.0,
        100.0,
    ),
)

OTEL_LLM_RETRIEVAL_SCORE: Final = Metric(
    "otel_llm.retrieval.score",
    "histogram",
    "{score}",
    "Score of the first document that a retrieval returned, as its store counts; none below 0.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.0,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        1.0,
        2.0,
        5.0,
        10.0,
        20.0,
        50.0,
        100.0,
    ),
)

OTEL_LLM_RETRIEVAL_REQUESTED: Final = Metric(
    "otel_llm.retrieval.requested",
    "histogram",
    "{document}",
    "Documents that a retrieval was asked for.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.0,
        1.0,
        2.0,
        3.0,
        5.0,
        8.0,
        10.0,
        15.0,
        20.0,
        30.0,
        50.0,
        100.0,
    ),
)

OTEL_LLM_TIME_PER_OUTPUT_TOKEN: Final = Metric(
    "otel_llm.time_per_output_token",
    "histogram",
    "s",
    "Mean time between the output tokens of a streamed answer after the first.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.075,
        0.1,
        0.15,
        0.2,
        0.3,
        0.4,
        0.5,
        0.75,
        1.0,
        2.5,
    ),
)

OTEL_LLM_EVALUATIONS: Final = Metric(
    "otel_llm.evaluations",
    "counter",
    "{evaluation}",
    "Results of evaluations, feedback of users among them.",
    (
        "service.name",
        "otel_llm.evaluation.evaluator.type",
        "gen_ai.evaluation.name",
        "gen_ai.evaluation.score.label",
    ),
)

OTEL_LLM_EVALUATION_SCORE: Final = Metric(
    "otel_llm.evaluation.score",
    "histogram",
    "{score}",
    "Scores of evaluations, feedback of users among them.",
    (
        "service.name",
        "otel_llm.evaluation.evaluator.type",
        "gen_ai.evaluation.name",
    ),
    (
        0.0,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        1.0,
        2.0,
        3.0,
        4.0,
        5.0,
        10.0,
        100.0,
    ),
)

OTEL_LLM_PROGRAM_VALUE: Final = Metric(
    "otel_llm.program.value",
    "gauge",
    "1",
    "Numbers that the program says of its work with log_metrics, each under its name.",
    (
        "otel_llm.value_name",
    ),
)

OTEL_LLM_MONITOR_DURATION: Final = Metric(
    "otel_llm.monitor.duration",
    "histogram",
    "s",
    "Duration of monitored pieces of work.",
    (
        "otel_llm.monitor.name",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

OTEL_LLM_TRAINING_PROGRESS_LOSS: Final = Metric(
    "otel_llm.training.progress.loss",
    "gauge",
    "{loss}",
    "Loss of the newest step.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_PROGRESS_LEARNING_RATE: Final = Metric(
    "otel_llm.training.progress.learning_rate",
    "gauge",
    "{rate}",
    "Learning rate of the newest step.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_PROGRESS_GRADIENT_NORM: Final = Metric(
    "otel_llm.training.progress.gradient_norm",
    "gauge",
    "{norm}",
    "Gradient norm of the newest step.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_PROGRESS_PERPLEXITY: Final = Metric(
    "otel_llm.training.progress.perplexity",
    "gauge",
    "{perplexity}",
    "Exponential of the newest loss.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_PROGRESS_EPOCH: Final = Metric(
    "otel_llm.training.progress.epoch",
    "gauge",
    "{epoch}",
    "Epochs done.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_STEPS: Final = Metric(
    "otel_llm.training.steps",
    "counter",
    "{step}",
    "Optimizer steps done.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_TOKENS: Final = Metric(
    "otel_llm.training.tokens",
    "counter",
    "{token}",
    "Tokens trained on.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_SAMPLES: Final = Metric(
    "otel_llm.training.samples",
    "counter",
    "{sample}",
    "Samples trained on.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
)

OTEL_LLM_TRAINING_STEP_DURATION: Final = Metric(
    "otel_llm.training.step_duration",
    "histogram",
    "s",
    "Duration of an optimizer step.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

OTEL_LLM_EXPERIMENT_VALUE: Final = Metric(
    "otel_llm.experiment.value",
    "gauge",
    "{value}",
    "A metric of a run under the program's own name.",
    (
        "otel_llm.experiment.name",
        "otel_llm.experiment.run_id",
        "otel_llm.experiment.metric_name",
    ),
)

METRICS: Final = {
    metric.name: metric
    for metric in (
        OTEL_LLM_REQUESTS,
        OTEL_LLM_ERRORS,
        OTEL_LLM_REFUSALS,
        OTEL_LLM_OPERATION_DURATION,
        OTEL_LLM_TOKENS,
        OTEL_LLM_COST_USD,
        OTEL_LLM_COST_UNPRICED,
        OTEL_LLM_TIME_TO_FIRST_TOKEN,
        OTEL_LLM_RETRIEVAL_RETURNED,
        OTEL_LLM_RETRIEVAL_SCORE,
        OTEL_LLM_RETRIEVAL_REQUESTED,
        OTEL_LLM_TIME_PER_OUTPUT_TOKEN,
        OTEL_LLM_EVALUATIONS,
        OTEL_LLM_EVALUATION_SCORE,
    )
}
"""Every metric that the collector's engine measures from spans, by its name."""

OTHER_METRICS: Final = {
    metric.name: metric
    for metric in (
        GEN_AI_CLIENT_TOKEN_USAGE,
        GEN_AI_CLIENT_OPERATION_DURATION,
        GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK,
        GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK,
        GEN_AI_CLIENT_INFERENCE_DURATION,
        GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK,
        GEN_AI_CLIENT_INFERENCE_TIME_PER_OUTPUT_CHUNK,
        GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS,
        GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS,
        GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_READ_INPUT_TOKENS,
        GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_WRITE_INPUT_TOKENS,
        GEN_AI_CLIENT_INFERENCE_USAGE_REASONING_OUTPUT_TOKENS,
        GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS,
        GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS,
        HW_GPU_IO,
        HW_GPU_MEMORY_LIMIT,
        HW_GPU_MEMORY_USAGE,
        HW_GPU_MEMORY_UTILIZATION,
        HW_GPU_UTILIZATION,
        HW_ENERGY,
        HW_POWER,
        HW_TEMPERATURE,
        HW_ERRORS,
        HW_STATUS,
        SYSTEM_CPU_UTILIZATION,
        SYSTEM_MEMORY_USAGE,
        SYSTEM_MEMORY_UTILIZATION,
        SYSTEM_PAGING_USAGE,
        SYSTEM_DISK_IO,
        SYSTEM_NETWORK_IO,
        PROCESS_CPU_TIME,
        PROCESS_CPU_UTILIZATION,
        PROCESS_MEMORY_USAGE,
        PROCESS_THREAD_COUNT,
        PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
        OTEL_LLM_BUDGET_LIMIT,
        OTEL_LLM_BUDGET_SPENT,
        OTEL_LLM_BUDGET_USED,
        OTEL_LLM_BUDGET_FORECAST,
        OTEL_LLM_RECEIVER_RECEIVED_SPANS,
        OTEL_LLM_EXPORTER_ACCEPTED_SPANS,
        OTEL_LLM_EXPORTER_DROPPED_SPANS,
        OTEL_LLM_EXPORTER_WAITING_SPANS,
        OTEL_LLM_RECEIVER_RECEIVED_METRIC_POINTS,
        OTEL_LLM_EXPORTER_ACCEPTED_METRIC_POINTS,
        OTEL_LLM_EXPORTER_DROPPED_METRIC_POINTS,
        OTEL_LLM_EXPORTER_WAITING_METRIC_POINTS,
        OTEL_LLM_RECEIVER_RECEIVED_LOG_RECORDS,
        OTEL_LLM_EXPORTER_ACCEPTED_LOG_RECORDS,
        OTEL_LLM_EXPORTER_DROPPED_LOG_RECORDS,
        OTEL_LLM_EXPORTER_WAITING_LOG_RECORDS,
        OTEL_LLM_HTTP_CLOSED_CONNECTIONS,
        OTEL_LLM_RECEIVER_REFUSED_ITEMS,
        OTEL_LLM_ENGINE_NOTED_ITEMS,
        OTEL_LLM_BUILD_INFO,
        OTEL_LLM_EXPORTER_RETRIES,
        OTEL_LLM_EXPORTER_DEAD_LETTERS,
        OTEL_LLM_EXPORTER_SAMPLED_TRACES,
        OTEL_LLM_NOTIFICATIONS_SENT,
        OTEL_LLM_NOTIFICATIONS_FAILED,
        OTEL_LLM_ALERT_EVALUATIONS,
        OTEL_LLM_ALERT_EVALUATION_FAILURES,
        OTEL_LLM_ALERT_MISSED_TURNS,
        OTEL_LLM_ALERT_CLOCK_CHANGES,
        OTEL_LLM_ALERT_FIRING,
        OTEL_LLM_QUERIES,
        OTEL_LLM_SERIES_OVERFLOWED_SAMPLES,
        OTEL_LLM_WINDOW_SERIES,
        OTEL_LLM_WINDOW_SAMPLES,
        OTEL_LLM_WINDOW_OVERFLOWED_POINTS,
        OTEL_LLM_WINDOW_UNSAVED_BLOCKS,
        OTEL_LLM_WINDOW_DROPPED_SAMPLES,
        OTEL_LLM_WINDOW_DROPPED_POINTS,
        OTEL_LLM_GPU_REQUEST_ENERGY,
        OTEL_LLM_GPU_REQUEST_TIME,
        OTEL_LLM_GPU_OUTPUT_TOKEN_ENERGY,
        OTEL_LLM_GPU_IDLE_ENERGY,
        OTEL_LLM_GPU_CLOCK_FREQUENCY,
        OTEL_LLM_GPU_POWER_LIMIT,
        OTEL_LLM_GPU_THROTTLED,
        OTEL_LLM_GPU_INTERCONNECT_IO,
        OTEL_LLM_GPU_PROCESS_MEMORY_USAGE,
        OTEL_LLM_GPU_FAN_SPEED,
        OTEL_LLM_PROGRAM_VALUE,
        OTEL_LLM_MONITOR_DURATION,
        OTEL_LLM_TRAINING_PROGRESS_LOSS,
        OTEL_LLM_TRAINING_PROGRESS_LEARNING_RATE,
        OTEL_LLM_TRAINING_PROGRESS_GRADIENT_NORM,
        OTEL_LLM_TRAINING_PROGRESS_PERPLEXITY,
        OTEL_LLM_TRAINING_PROGRESS_EPOCH,
        OTEL_LLM_TRAINING_STEPS,
        OTEL_LLM_TRAINING_TOKENS,
        OTEL_LLM_TRAINING_SAMPLES,
        OTEL_LLM_TRAINING_STEP_DURATION,
        OTEL_LLM_EXPERIMENT_VALUE,
    )
}
"""The other metrics by their names: the SDK's, the collector's own, upstream's."""
