"""The reference engine: readable Python over protobuf's own (C) messages.

One pass over a request: refuse what no backend could store, carry other dialects over to OpenTelemetry's, find GenAI
spans, price and measure them, write the result on the span. A request in which nothing changes keeps its very bytes.
Malformed input costs only itself: one span that protobuf cannot read is cut out (`wire.salvage`), the rest goes on.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as OtlpMetric
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from otel_llm_semconv.enums import OtelLlmCostUnknownReason as Unknown
from otel_llm_semconv.events import GEN_AI_EVALUATION_RESULT

from otel_llm_collector import limits
from otel_llm_collector.contract import HistogramDelta, Outcome, Reject, Signal, nothing_to_keep
from otel_llm_collector.engine import families
from otel_llm_collector.engine.calls import CallMemory, Memory, Verdict, as_call
from otel_llm_collector.engine.content import ContentRules
from otel_llm_collector.engine.derive import derived
from otel_llm_collector.engine.dialects import Normaliser
from otel_llm_collector.engine.evaluations import Evaluation, of_event, of_record
from otel_llm_collector.engine.prices import Price, RateBook, Rates, Usage
from otel_llm_collector.engine.settings import ProcessorsConfig
from otel_llm_collector.engine.spans import PROVIDER_CALLS, GenAiSpan, mark_wrappers, read, text
from otel_llm_collector.engine.wire import salvage
from otel_llm_collector.errors import MalformedRequest
from otel_llm_collector.span_conditions import NoticedSpan, SpanCondition, meets_any

logger = logging.getLogger(__name__)

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_NANO = 1e9
CURRENCY = "USD"

# What the engine writes; a sender's own values under these names are replaced.
WRITTEN = frozenset(
    {
        attr.OTEL_LLM_COST_TOTAL,
        attr.OTEL_LLM_COST_INPUT,
        attr.OTEL_LLM_COST_OUTPUT,
        attr.OTEL_LLM_COST_CURRENCY,
        attr.OTEL_LLM_COST_SOURCE,
        attr.OTEL_LLM_COST_PRICE_VERSION,
        attr.OTEL_LLM_COST_UNKNOWN_REASON,
        attr.OTEL_LLM_USAGE_REPAIRED,
        attr.OTEL_LLM_USAGE_CACHE_HIT_RATIO,
        attr.OTEL_LLM_USAGE_CONTEXT_UTILIZATION,
        attr.OTEL_LLM_OUTPUT_TOKENS_PER_SECOND,
        attr.OTEL_LLM_OUTPUT_TIME_PER_TOKEN,
    }
)


class PureEngine:
    """See the module. Thread-safe: it keeps nothing but the rates and which calls were counted."""

    def __init__(
        self,
        rates: RateBook,
        normaliser: Normaliser,
        processors: ProcessorsConfig | None = None,
        family: families.Family = "none",
        memory: Memory | None = None,
    ) -> None:
        self._family = family
        self._memory = memory or CallMemory(limits.MAX_REMEMBERED_CALLS, limits.REMEMBERED_CALL_SECONDS * 10**9)
        self.watch: tuple[SpanCondition, ...] = ()
        self._rates = rates
        self._normaliser = normaliser
        processors = processors or ProcessorsConfig()
        self._content = ContentRules(processors) if processors != ProcessorsConfig() else None
        self._passes: dict[Signal, Callable[[Any, _Pass], bool]] = {
            Signal.TRACES: self._traces,
            Signal.METRICS: _metrics,
            Signal.LOGS: self._logs,
        }

    def process(self, signal: Signal, request: bytes) -> Outcome:
        """One pass over `request`. Raises `MalformedRequest` when it is no such request."""
        message, rejects, salvaged = _parse(signal, request)
        state = _Pass(rejects=rejects)
        changed = self._passes[signal](message, state) or salvaged
        return Outcome(
            payload=(message.SerializeToString() if changed else request) if state.accepted else b"",
            accepted=state.accepted,
            rejects=state.rejects,
            counters=state.counters,
            histograms=state.histograms,
            notes=state.notes,
            noticed=state.noticed,
            kept=state.kept,
        )

    def _traces(self, request: ExportTraceServiceRequest, state: _Pass) -> bool:
        changed = False
        found: list[tuple[str, GenAiSpan]] = []
        for resource_spans in request.resource_spans:
            service = _service_name(resource_spans)
            resource = resource_spans.resource
            ambient = self._normaliser.of_resource(resource)
            for scope_spans in resource_spans.scope_spans:
                scope = scope_spans.scope
                known = (*ambient, *self._normaliser.of_scope(scope.name))
                changed |= _remove_bad_spans(scope_spans.spans, state)
                state.accepted += len(scope_spans.spans)
                for span in scope_spans.spans:
                    values = {one.key: one.value for one in span.attributes}
                    if span.end_time_unix_nano < span.start_time_unix_nano:
                        state.note("negative_duration", 1)
                    changed |= normalise(self._normaliser, span, values, scope, resource, known, state.note)
                    genai = read(span, values)
                    if genai is not None:
                        changed |= _remove_written(span, values)
                        found.append((service, genai))
                    if span.events:
                        _measure_events(service, span, state)
        state.note("layered_duplicate", mark_wrappers([genai for _, genai in found]))
        self._judge(found, state)
        for service, genai in found:
            price = self._price(genai)
            more = _derived(genai, price)
            changed |= _write(genai, price, more)
            _notice(self.watch, service, genai, price, state)
            if not genai.is_wrapper and not genai.is_repeat:
                _measure(service, genai, price, more, state)
                families.measure(self._family, service, genai, state)
        if self._content is not None:
            changed |= self._apply_content(request, state)
        return changed

    def _judge(self, found: list[tuple[str, GenAiSpan]], state: _Pass) -> None:
        """Mark the calls that earlier requests showed to be counted already."""
        calls = [(genai, as_call(service, genai)) for service, genai in found if genai.operation in PROVIDER_CALLS]
        if not calls:
            return
        remembered = [call for _, call in calls]
        for (genai, _), number in zip(calls, self._memory.judge(remembered), strict=True):
            verdict = Verdict(number)
            state.note(verdict.note, 1 if verdict.note else 0)
            genai.is_wrapper |= verdict in {Verdict.LAYER, Verdict.ANSWERED}
            genai.is_repeat = verdict is Verdict.REPEATED
        state.kept = partial(self._memory.remember, remembered)

    def _apply_content(self, request: ExportTraceServiceRequest, state: _Pass) -> bool:
        found: dict[str, int] = {}
        rules = self._content
        changed = False
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    changed |= rules is not None and rules.span(span, found)
        state.note_all("redacted_", found)
        return changed

    def _logs(self, request: ExportLogsServiceRequest, state: _Pass) -> bool:
        """Refuse ids of a wrong length; carry message events over; measure evaluations; apply content rules; count."""
        found: dict[str, int] = {}
        rules = self._content
        changed = False
        for resource_logs in request.resource_logs:
            service = _service_name(resource_logs)
            for scope_logs in resource_logs.scope_logs:
                changed |= _remove_bad_records(scope_logs.log_records, state)
                state.accepted += len(scope_logs.log_records)
                scope, resource = scope_logs.scope, resource_logs.resource
                for record in scope_logs.log_records:
                    changed |= self._normaliser.normalise_log(record, scope, resource, state.note)
                    _measure_evaluation(service, of_record(record), state)
                    if rules is not None:
                        changed |= rules.log(record, found)
        state.note_all("redacted_", found)
        return changed

    def _price(self, genai: GenAiSpan) -> Price | Unknown | None:
        """The price of a provider call; None where no price belongs: other operations, failed calls without usage."""
        if not genai.is_provider_call:
            return None
        usage = genai.usage or Usage(gpu_microseconds=genai.gpu_microseconds)
        if genai.usage is None and not genai.gpu_microseconds:
            return None if genai.error and not genai.tokens else Unknown.NO_USAGE
        reason = Unknown.NO_MODEL
        for model in dict.fromkeys((genai.response_model, genai.request_model)):
            if not model:
                continue
            start = genai.span.start_time_unix_nano
            rates = self._rates.rates(genai.provider, model, start, tier=genai.tier, host=genai.host)
            if isinstance(rates, Rates):
                return Unknown.NO_USAGE if genai.usage is None and rates.by_tokens else rates.price(usage)
            reason = rates
        return reason


@dataclass(slots=True)
class _Pass:
    """What one pass collects."""

    accepted: int = 0
    rejects: list[Reject] = field(default_factory=list)
    counters: dict[tuple[str, tuple[str, ...]], float] = field(default_factory=dict)
    histograms: dict[tuple[str, tuple[str, ...]], HistogramDelta] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    noticed: list[NoticedSpan] = field(default_factory=list)
    kept: Callable[[], None] = nothing_to_keep

    def add(self, metric: metrics.Metric, labels: tuple[str, ...], value: float) -> None:
        key = (metric.name, labels)
        self.counters[key] = self.counters.get(key, 0) + value

    def observe(self, metric: metrics.Metric, labels: tuple[str, ...], value: float) -> None:
        key = (metric.name, labels)
        delta = self.histograms.get(key)
        if delta is None:
            delta = self.histograms[key] = HistogramDelta([0] * (len(metric.boundaries) + 1))
        delta.counts[bisect_left(metric.boundaries, value)] += 1
        delta.sum += value

    def note(self, reason: str, count: int) -> None:
        if count:
            self.notes[reason] = self.notes.get(reason, 0) + count

    def note_all(self, prefix: str, counts: dict[str, int]) -> None:
        for reason, count in counts.items():
            self.note(prefix + reason, count)

    def reject(self, reason: str, count: int, message: str) -> None:
        self.rejects.append(Reject(reason, count, message))


def normalise(
    normaliser: Normaliser,
    span: Span,
    values: dict[str, Any],
    scope: Any,
    resource: Any,
    known: tuple[str, ...],
    note: Callable[[str, int], None],
) -> bool:
    """The span in current terms. What a dialect's text does to its reader costs this span's meaning alone."""
    try:
        return normaliser.normalise(span, values, scope, resource, known, note)
    except Exception:
        logger.exception("a span of another dialect could not be normalised; it goes on as it is")
        note("dialect_failed", 1)
        return True


# signal -> request, one item, one resource level
_MESSAGES: dict[Signal, tuple[type[Message], type[Message], type[Message]]] = {
    Signal.TRACES: (ExportTraceServiceRequest, Span, ResourceSpans),
    Signal.METRICS: (ExportMetricsServiceRequest, OtlpMetric, ResourceMetrics),
    Signal.LOGS: (ExportLogsServiceRequest, LogRecord, ResourceLogs),
}


def _parse(signal: Signal, request: bytes) -> tuple[Message, list[Reject], bool]:
    """The request as a message, and whether it had to be salvaged. Items that protobuf refuses are reported."""
    request_class, item_class, resource_class = _MESSAGES[signal]
    try:
        return request_class.FromString(request), [], False
    except DecodeError:
        rest, dropped = salvage(request, _readable(item_class), _readable(resource_class))
    try:
        message = request_class.FromString(rest)
    except DecodeError as error:
        msg = f"body: is not an OTLP {signal} request ({str(error)[:100]}); send protobuf"
        raise MalformedRequest(msg) from error
    if not dropped:
        return message, [], True  # a length written longer than protobuf takes it: nothing is lost
    items = signal.items.replace("_", " ")
    said = f"{items}: not readable as protobuf, often text that is not UTF-8; send UTF-8"
    return message, [Reject("unreadable_item", dropped, said)], True


def _readable(message_class: type[Message]) -> Callable[[bytes], bool]:
    def readable(data: bytes) -> bool:
        try:
            message_class.FromString(data)
        except DecodeError:
            return False
        return True

    return readable


def _remove_bad_spans(spans: Any, state: _Pass) -> bool:
    """Take out spans that no backend can store: ids of a wrong length or all zero. One reject for each reason."""
    bad: dict[str, tuple[list[int], str]] = {}
    for index, span in enumerate(spans):
        problem = _id_problem(span)
        if problem is not None:
            bad.setdefault(problem[0], ([], problem[1]))[0].append(index)
    for reason, (indices, message) in bad.items():
        state.reject(reason, len(indices), message)
    for index in sorted((index for indices, _ in bad.values() for index in indices), reverse=True):
        del spans[index]
    return bool(bad)


def _id_problem(span: Span) -> tuple[str, str] | None:
    trace_id, span_id = span.trace_id, span.span_id
    if len(trace_id) != _TRACE_ID_BYTES or not any(trace_id):
        seen = f"{len(trace_id)} bytes" if any(trace_id) else "nothing but zeros" if trace_id else "none"
        return "invalid_trace_id", f"trace_id of span {span.name[:60]!r}: seen {seen}; send 16 bytes, not all zero"
    if len(span_id) != _SPAN_ID_BYTES or not any(span_id):
        seen = f"{len(span_id)} bytes" if any(span_id) else "nothing but zeros" if span_id else "none"
        return "invalid_span_id", f"span_id of span {span.name[:60]!r}: seen {seen}; send 8 bytes, not all zero"
    if span.parent_span_id and len(span.parent_span_id) != _SPAN_ID_BYTES:
        seen = f"{len(span.parent_span_id)} bytes"
        return "invalid_parent_id", f"parent_span_id of span {span.name[:60]!r}: seen {seen}; send 8 bytes or none"
    return None


def _remove_written(span: Span, values: dict[str, Any]) -> bool:
    """Take out attributes that only the engine writes."""
    if WRITTEN.isdisjoint(values):
        return False
    kept = [one for one in span.attributes if one.key not in WRITTEN]
    del span.attributes[:]
    span.attributes.extend(kept)
    return True


def _derived(genai: GenAiSpan, price: Price | Unknown | None) -> dict[str, float]:
    if not genai.is_provider_call:
        return {}
    found = derived(genai, price.context_window if isinstance(price, Price) else 0)
    genai.seconds_per_chunk = found.get(attr.OTEL_LLM_STREAM_TIME_PER_CHUNK, genai.seconds_per_chunk)
    return found


def _write(genai: GenAiSpan, price: Price | Unknown | None, more: dict[str, float]) -> bool:
    """Put the price, or why there is none, what follows from the numbers, and what was repaired on the span."""
    added = genai.span.attributes
    before = len(added)
    if isinstance(price, Price):
        for key, nano in (
            (attr.OTEL_LLM_COST_TOTAL, price.total),
            (attr.OTEL_LLM_COST_INPUT, price.input),
            (attr.OTEL_LLM_COST_OUTPUT, price.output),
        ):
            added.add(key=key).value.double_value = nano / _NANO
        for key, word in (
            (attr.OTEL_LLM_COST_CURRENCY, CURRENCY),
            (attr.OTEL_LLM_COST_SOURCE, price.origin.source),
            (attr.OTEL_LLM_COST_PRICE_VERSION, price.origin.version),
        ):
            added.add(key=key).value.string_value = word
    elif price is not None:
        added.add(key=attr.OTEL_LLM_COST_UNKNOWN_REASON).value.string_value = price.value
    for key, value in more.items():
        added.add(key=key).value.double_value = value
    if genai.repaired:
        _write_repairs(genai)
    return len(added) > before


def _write_repairs(genai: GenAiSpan) -> None:
    """The corrected totals under their current names, and a list of what was corrected."""
    corrected = {
        attr.GEN_AI_USAGE_INPUT_TOKENS: genai.tokens.get("input"),
        attr.GEN_AI_USAGE_OUTPUT_TOKENS: genai.tokens.get("output"),
    }
    kept = [one for one in genai.span.attributes if corrected.get(one.key) is None]
    del genai.span.attributes[:]
    genai.span.attributes.extend(kept)
    for key, count in corrected.items():
        if count is not None:
            genai.span.attributes.add(key=key).value.int_value = count
    flags: KeyValue = genai.span.attributes.add(key=attr.OTEL_LLM_USAGE_REPAIRED)
    for name in genai.repaired:
        flags.value.array_value.values.add(string_value=name)


def _measure(
    service: str, genai: GenAiSpan, price: Price | Unknown | None, more: dict[str, float], state: _Pass
) -> None:
    """The numbers of one span."""
    labels = (service, genai.operation, genai.provider, genai.request_model)
    state.add(metrics.OTEL_LLM_REQUESTS, labels, 1)
    if genai.error:
        state.add(metrics.OTEL_LLM_ERRORS, (*labels, genai.error), 1)
    span = genai.span
    if span.end_time_unix_nano >= span.start_time_unix_nano:
        seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / _NANO
        state.observe(metrics.OTEL_LLM_OPERATION_DURATION, labels, seconds)
    if genai.time_to_first_token is not None:
        state.observe(metrics.OTEL_LLM_TIME_TO_FIRST_TOKEN, labels, genai.time_to_first_token)
    if genai.returned_k is not None:
        state.observe(metrics.OTEL_LLM_RETRIEVAL_RETURNED, labels, genai.returned_k)
    if genai.best_score is not None:
        state.observe(metrics.OTEL_LLM_RETRIEVAL_SCORE, labels, genai.best_score)
    if genai.requested_k is not None:
        state.observe(metrics.OTEL_LLM_RETRIEVAL_REQUESTED, labels, genai.requested_k)
    if genai.is_provider_call:
        _measure_call(labels, genai, price, state)
        if attr.OTEL_LLM_OUTPUT_TIME_PER_TOKEN in more:
            state.observe(metrics.OTEL_LLM_TIME_PER_OUTPUT_TOKEN, labels, more[attr.OTEL_LLM_OUTPUT_TIME_PER_TOKEN])


def _notice(
    conditions: tuple[SpanCondition, ...], service: str, genai: GenAiSpan, price: Price | Unknown | None, state: _Pass
) -> None:
    """Keep what rules about single spans ask of a span that meets any of `conditions`; one counted before does not."""
    if not conditions or genai.is_repeat:
        return
    span = genai.span
    noticed = NoticedSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        service=service,
        operation=genai.operation,
        provider=genai.provider,
        model=genai.request_model,
        error=bool(genai.error),
        seconds=max(0, span.end_time_unix_nano - span.start_time_unix_nano) / _NANO,
        cost=price.total / _NANO if isinstance(price, Price) else None,
        input_tokens=genai.tokens.get("input"),
        output_tokens=genai.tokens.get("output"),
        time_to_first_token=genai.time_to_first_token,
    )
    if meets_any(conditions, noticed):
        state.noticed.append(noticed)


def _measure_call(labels: tuple[str, ...], genai: GenAiSpan, price: Price | Unknown | None, state: _Pass) -> None:
    """Tokens, cost and refusal of one provider call."""
    for kind, count in genai.tokens.items():
        state.add(metrics.OTEL_LLM_TOKENS, (*labels, kind), count)
    if isinstance(price, Price):
        state.add(metrics.OTEL_LLM_COST_USD, labels, price.total / _NANO)
    elif price is not None:
        state.add(metrics.OTEL_LLM_COST_UNPRICED, (*labels, price.value), 1)
    if genai.refusal:
        state.add(metrics.OTEL_LLM_REFUSALS, (*labels, genai.refusal), 1)


def _measure_events(service: str, span: Span, state: _Pass) -> None:
    """The numbers of results that hang on a span."""
    for event in span.events:
        if event.name == GEN_AI_EVALUATION_RESULT:
            _measure_evaluation(service, of_event(event.name, {one.key: one.value for one in event.attributes}), state)


def _measure_evaluation(service: str, result: Evaluation | None, state: _Pass) -> None:
    """The numbers of one result of an evaluation."""
    if result is None:
        return
    labels = (service, result.evaluator, result.name)
    state.add(metrics.OTEL_LLM_EVALUATIONS, (*labels, result.label), 1)
    if result.score is not None:
        state.observe(metrics.OTEL_LLM_EVALUATION_SCORE, labels, result.score)


def _service_name(of: ResourceSpans | ResourceLogs) -> str:
    for one in of.resource.attributes:
        if one.key == attr.SERVICE_NAME:
            return text(one.value)
    return ""


def _metrics(request: ExportMetricsServiceRequest, state: _Pass) -> bool:
    """Count the points; they are passed on as they came."""
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                state.accepted += len(getattr(metric, kind).data_points) if kind else 0
    return False


def _remove_bad_records(records: Any, state: _Pass) -> bool:
    """Take out log records with ids of a wrong length."""
    bad = [
        index
        for index, record in enumerate(records)
        if len(record.trace_id) not in (0, _TRACE_ID_BYTES) or len(record.span_id) not in (0, _SPAN_ID_BYTES)
    ]
    if bad:
        message = "trace_id or span_id of a log record has a wrong length; send 16 and 8 bytes, or none"
        state.reject("invalid_log_id", len(bad), message)
        for index in reversed(bad):
            del records[index]
    return bool(bad)
