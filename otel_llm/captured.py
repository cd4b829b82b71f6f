"""What `otel_llm.testing` shows of a program: finished spans as plain typed objects, and assertions about them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.events import GEN_AI_EVALUATION_RESULT

from otel_llm.documents import Document

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens; cached ones cost as much as others where nothing is said."""

    input: float
    output: float = 0.0
    cached: float | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call used; 0 is what nobody counted. Cached ones are a part of the input, reasoning of the output."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """Input and output."""
        return self.input + self.output

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Feedback:
    """One `gen_ai.evaluation.result`."""

    name: str
    score: float | None
    label: str | None
    comment: str | None
    trace_id: str
    span_id: str


@dataclass(slots=True, eq=False)
class Span:
    """A finished span. Times are seconds; `operation` is the conventions' name or ours (`rerank`, …), or empty."""

    name: str
    trace_id: str
    span_id: str
    operation: str
    provider: str
    model: str
    outcome: str
    error: str | None
    start: float
    duration: float
    tokens: Tokens
    cost: float | None
    ttft: float | None
    documents: list[Document]
    attributes: Mapping[str, Any]
    parent: Span | None = None
    children: list[Span] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.line()}>"

    def line(self) -> str:
        """The span in one line."""
        parts = [self.name, f"{self.duration * 1000:.1f} ms"]
        if self.tokens.total:
            parts.append(f"{self.tokens.input} in, {self.tokens.output} out")
        if self.cost is not None:
            parts.append(f"${self.cost:.6f}")
        if self.documents:
            parts.append(f"{len(self.documents)} documents")
        if self.outcome not in {"", "ok"}:
            parts.append(self.outcome + (f" ({self.error})" if self.error else ""))
        return "  ".join(parts)


class Captured:
    """What happened inside a `capture`, in the order in which spans ended."""

    def __init__(self, prices: Mapping[str, Price] | None = None) -> None:
        self._prices = prices
        self._lock = threading.Lock()
        self._raw: list[ReadableSpan] = []
        self._events: list[Any] = []

    # Called by the recorders.

    def _add(self, span: ReadableSpan) -> None:
        with self._lock:
            self._raw.append(span)

    def _add_event(self, record: Any) -> None:
        with self._lock:
            self._events.append(record)

    @property
    def spans(self) -> list[Span]:
        """Every finished span, parents and children linked."""
        with self._lock:
            raw = list(self._raw)
        made = {one.context.span_id: self._span(one) for one in raw if one.context}
        for one in raw:
            span = made[one.context.span_id]
            parent = made.get(one.parent.span_id) if one.parent else None
            if parent is not None:
                span.parent = parent
                parent.children.append(span)
        return list(made.values())

    @property
    def feedback(self) -> list[Feedback]:
        """What was said by `otel_llm.feedback`."""
        with self._lock:
            records = [one for one in self._events if one.event_name == GEN_AI_EVALUATION_RESULT]
        return [_feedback(one) for one in records]

    @property
    def tokens(self) -> Tokens:
        """The tokens of all model calls together; wrappers such as workflows and agents are not counted."""
        return sum((span.tokens for span in self._calls()), Tokens())

    @property
    def cost(self) -> float | None:
        """US dollars of all model calls together; None when one of them has no known price."""
        costs = [span.cost for span in self._calls()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    def find(
        self,
        name: str | None = None,
        *,
        operation: str | None = None,
        model: str | None = None,
        where: Callable[[Span], bool] | None = None,
    ) -> list[Span]:
        """The spans of this name, operation and model for which `where` holds."""
        return [
            span
            for span in self.spans
            if (name is None or span.name == name)
            and (operation is None or span.operation == operation)
            and (model is None or span.model == model)
            and (where is None or where(span))
        ]

    def only(
        self,
        name: str | None = None,
        *,
        operation: str | None = None,
        model: str | None = None,
        where: Callable[[Span], bool] | None = None,
    ) -> Span:
        """The one span that `find` finds; fails when there is none or more than one."""
        found = self.find(name, operation=operation, model=model, where=where)
        if len(found) != 1:
            asked = {"name": name, "operation": operation, "model": model, "where": where}
            said = ", ".join(f"{key}={value!r}" for key, value in asked.items() if value is not None) or "any"
            self._fail(f"expected exactly one span with {said}, found {len(found)}")
        return found[0]

    def assert_order(self, *names: str) -> None:
        """Spans of these names or operations started in this order; others may stand between them."""
        started = sorted(self.spans, key=lambda span: span.start)
        left = list(names)
        for span in started:
            if left and left[0] in (span.name, span.operation):
                left.pop(0)
        if left:
            self._fail(f"expected {' then '.join(names)}; {left[0]!r} did not start in its place")

    def assert_tokens_below(self, tokens: int) -> None:
        """All model calls together used fewer tokens, input and output."""
        if self.tokens.total >= tokens:
            self._fail(f"expected fewer than {tokens} tokens, used {self.tokens.total}")

    def assert_cost_below(self, dollars: float) -> None:
        """All model calls together cost less; fails where a price is not known, and says of which model."""
        unknown = sorted({span.model or span.name for span in self._calls() if span.cost is None})
        if unknown:
            self._fail(f"no price is known for {', '.join(unknown)}; give capture(prices={{MODEL: Price(...)}})")
        cost = self.cost or 0.0
        if cost >= dollars:
            self._fail(f"expected to cost less than ${dollars:.6f}, cost ${cost:.6f}")

    def assert_no_errors(self) -> None:
        """No span ended in an error."""
        failed = [span for span in self.spans if span.outcome == "error"]
        if failed:
            self._fail(f"expected no errors, {len(failed)} spans failed, the first: {failed[0].line()}")

    def assert_no_content(self, *texts: str) -> None:
        """None of these texts stands anywhere in what would be sent: attributes, events, errors."""
        with self._lock:
            raw = list(self._raw)
        for span in raw:
            everything = json.dumps(json.loads(span.to_json()), ensure_ascii=False)
            for text in texts:
                if text in everything or json.dumps(text, ensure_ascii=False)[1:-1] in everything:
                    keys = [key for key, value in (span.attributes or {}).items() if text in str(value)]
                    self._fail(
                        f"expected {text!r} nowhere, it is in span {span.name!r}, {', '.join(keys) or 'an event'}"
                    )

    def tree(self) -> str:
        """The spans, children below their parents, one line each."""
        roots = [span for span in self.spans if span.parent is None]
        return "\n".join(line for root in sorted(roots, key=_start) for line in _lines(root, 0))

    def _calls(self) -> list[Span]:
        return [span for span in self.spans if span.operation in _CALLS]

    def _fail(self, sentence: str) -> None:
        __tracebackhide__ = True  # pytest shows the line of the test
        raise AssertionError(f"{sentence}\n\nspans:\n{self.tree() or '(none)'}")

    def _span(self, raw: ReadableSpan) -> Span:
        said: Mapping[str, Any] = raw.attributes or {}
        get = said.get
        tokens = _tokens(said)
        model = str(get(attr.GEN_AI_RESPONSE_MODEL) or get(attr.GEN_AI_REQUEST_MODEL) or "")
        operation = str(get(attr.GEN_AI_OPERATION_NAME) or get(attr.OTEL_LLM_OPERATION_NAME) or "")
        failed = raw.status.status_code is StatusCode.ERROR
        start, end = raw.start_time or 0, raw.end_time or 0
        return Span(
            name=raw.name,
            trace_id=f"{raw.context.trace_id:032x}" if raw.context else "",
            span_id=f"{raw.context.span_id:016x}" if raw.context else "",
            operation=operation,
            provider=str(get(attr.GEN_AI_PROVIDER_NAME) or ""),
            model=model,
            outcome=str(get(attr.OTEL_LLM_OUTCOME) or ("error" if failed else "ok")),
            error=str(get(attr.ERROR_TYPE) or raw.status.description or "") or None if failed else None,
            start=start / 1e9,
            duration=(end - start) / 1e9,
            tokens=tokens,
            cost=self._cost(said, tokens) if operation in _CALLS else None,
            ttft=get(attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK),
            documents=_documents(said),
            attributes=dict(said),
        )

    def _cost(self, said: Mapping[str, Any], tokens: Tokens) -> float | None:
        models = [said.get(key) for key in (attr.GEN_AI_RESPONSE_MODEL, attr.GEN_AI_REQUEST_MODEL)]
        for model in [str(one) for one in models if one]:
            price = (self._prices or {}).get(model)
            if price is not None:
                cached = price.input if price.cached is None else price.cached
                fresh = tokens.input - tokens.cached
                return (fresh * price.input + tokens.cached * cached + tokens.output * price.output) / _MILLION
        if self._prices is not None or not tokens.total:
            return None
        return _book_price([str(one) for one in models if one], said.get(attr.GEN_AI_PROVIDER_NAME), tokens)


_CALLS = {"chat", "generate_content", "text_completion", "embeddings", "rerank"}


def _book_price(models: Sequence[str], provider: Any, tokens: Tokens) -> float | None:
    """The price of the package `genai-prices`, if it is installed and knows the model."""
    try:
        book: Any = import_module("genai_prices")
    except ImportError:
        return None
    usage = book.Usage(input_tokens=tokens.input, output_tokens=tokens.output, cache_read_tokens=tokens.cached or None)
    for model in models:
        try:
            return float(book.calc_price(usage, model_ref=model, provider_id=provider).total_price)
        except (LookupError, ValueError):
            continue
    return None


def _tokens(said: Mapping[str, Any]) -> Tokens:
    def count(key: str) -> int:
        value = said.get(key)
        return value if isinstance(value, int) else 0

    return Tokens(
        count(attr.GEN_AI_USAGE_INPUT_TOKENS),
        count(attr.GEN_AI_USAGE_OUTPUT_TOKENS),
        count(attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS),
        count(attr.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS),
        bool(said.get(attr.OTEL_LLM_USAGE_ESTIMATED)),
    )


def _documents(said: Mapping[str, Any]) -> list[Document]:
    text = said.get(attr.GEN_AI_RETRIEVAL_DOCUMENTS)
    if isinstance(text, str):
        return [Document(one.get("id"), one.get("score"), one.get("content")) for one in json.loads(text)]
    ids = said.get(attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS) or said.get(attr.OTEL_LLM_RERANK_ORDER_AFTER) or ()
    scores = said.get(attr.OTEL_LLM_RETRIEVAL_SCORES) or said.get(attr.OTEL_LLM_RERANK_SCORES) or ()
    length = max(len(ids), len(scores))
    return [
        Document(ids[at] if at < len(ids) else None, scores[at] if at < len(scores) else None) for at in range(length)
    ]


def _feedback(record: Any) -> Feedback:
    said = record.attributes or {}
    return Feedback(
        str(said.get(attr.GEN_AI_EVALUATION_NAME, "")),
        said.get(attr.GEN_AI_EVALUATION_SCORE_VALUE),
        said.get(attr.GEN_AI_EVALUATION_SCORE_LABEL),
        said.get(attr.GEN_AI_EVALUATION_EXPLANATION),
        f"{record.trace_id or 0:032x}",
        f"{record.span_id or 0:016x}",
    )


def _start(span: Span) -> float:
    return span.start


def _lines(span: Span, depth: int) -> Iterator[str]:
    yield "  " * (depth + 1) + span.line()
    for child in sorted(span.children, key=_start):
        yield from _lines(child, depth + 1)
