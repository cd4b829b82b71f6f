"""Spans of every dialect by chance: what the tables name, with values that fit, that are odd, and that are hostile."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_collector.any_value import put
from otel_llm_semconv.dialects import compiled

START = 1_790_000_000_000_000_000
TABLE = compiled()

_NUMBERS = [0, 1, 7, -1, 1.0, 0.5, -0.0, 1e16, 1e-7, 1e300, 2**53 + 1, 2**63 - 1, -(2**63), 12.75, 3.0]
_BIG = [2**63, -(2**64), 10**40, 10**301, 1e301, 10**300]
_TEXTS = ["", "x", "hello", "gpt-4o-mini", "text/plain", "image/png", "a,b , c", "true", "False", "12", "1.5e3", "-0",
          "https://example.org/a.png", "data:image/png;base64,AAAA", "AAAA\n", "ünï", "İ", "\x1f [1]", "\u00a0{}",
          "None", "2026-09-21T13:33:21Z", "2026-09-21T13:33:20.250000+00:00", '"2026-09-21T13:33:20.250Z"',
          "20260921", '"quoted"', '"\\ud83d"', '[{"type": "text", "text": "a"}]', '[{"type": "odd"}]', "tool: 1",
          "system\nline\u2028\x00"]  # fmt: skip
_BROKEN = ["[1,", '{"a": ', "{'a': 1}", "[NaN]", '{"a": Infinity}', "[1] x", '["\\x"]', '{"a": "\\ud83d"}', "\ufeff[]",
           '{"a": 1, "a": 2}', '{"role": "user", "content": "hel', '["a\nb\x01"]', '["\\u00e9\\ud83d\\ude00\\udc00"]',
           "[1.]", '{"\\ud800": 1}', "[" * 70 + "]" * 70, '{"a":' * 70 + "1" + "}" * 70, "[" + "9" * 4500 + "]",
           "1" * 25, "[1e999, 1E5, -0.0, 123456789012345678901234567890]"]  # fmt: skip


def _sources(rules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for rule in rules:
        for source in [*rule["from"], *(condition[0] for condition in rule["when"])]:
            yield from source["fields"].values() if source["kind"] == "object" else [source]


def _keys(dialect: dict[str, Any]) -> list[str]:
    """What the rules of a dialect read and write, and what gives it away."""
    keys = {one["key"] for one in _sources(dialect["rules"]) if one["kind"] in {"attribute", "tree"}}
    keys |= {rule["to"] for rule in dialect["rules"]}
    return sorted(keys | {key for key, names in TABLE["markers"].items() if dialect["dialect"] in names})


_RULES = [rule for dialect in TABLE["dialects"] for rule in dialect["rules"]]
_STEPS = [step for rule in _RULES for step in rule["steps"]]
_SPECS = TABLE["shapes"].values()
_KEYS = {dialect["dialect"]: _keys(dialect) for dialect in TABLE["dialects"]}
_TIMES = {one["key"] for rule in _RULES if ["since_start"] in rule["steps"] for one in rule["from"]}
_EVENTS = [*sorted({one["key"] for one in _sources(_RULES) if "event" in one["kind"]}), *TABLE["logs"]]
_WORDS = sorted(
    {word for step in _STEPS if step[0] == "map" for word in step[1]}
    | {word for rule in _RULES for when in rule["when"] if when[1] == "in" for word in when[2]}
    | {word for spec in _SPECS for name in ("roles", "types") for word in spec.get(name, {})}
)
_NAMES = sorted(
    {name for spec in _SPECS for names in spec.values() if isinstance(names, list) for name in names}
    | {step for one in _sources(_RULES) for step in one["path"]}
)


class DialectSpans:
    """Requests of such spans. Tame ones hold scalars and JSON, nothing about which Python has limits of its own."""

    def __init__(self, seed: int, *, tame: bool) -> None:
        self.random = random.Random(seed)
        self.tame = tame

    def request(self) -> bytes:
        """Some spans, mostly of one dialect."""
        request = ExportTraceServiceRequest()
        draw = self.random
        for _ in range(draw.randint(1, 2)):
            resource = request.resource_spans.add()
            put(resource.resource.attributes.add(key="service.name").value, "rag")
            if draw.randrange(6) == 0:
                put(resource.resource.attributes.add(key="telemetry.sdk.name").value, "openlit")
            for _ in range(draw.randint(1, 2)):
                scope = resource.scope_spans.add()
                patterns = [pattern for pattern, _ in TABLE["scopes"]]
                scope.scope.name = draw.choice([*patterns, "http", "opentelemetry.instrumentation.langchain"]).replace(
                    "*", "x"
                )
                if draw.randrange(3):
                    scope.scope.name = "mine"
                for _ in range(draw.randint(1, 4)):
                    self.span(scope.spans.add())
        return request.SerializeToString()

    def span(self, span: Span) -> None:
        """Attributes of one dialect or two, and events."""
        draw = self.random
        span.trace_id, span.span_id = bytes([draw.randint(1, 3)]) * 16, draw.randbytes(7) + b"s"
        if draw.randrange(2):
            span.parent_span_id = b"p" * 8
        span.name = draw.choice(["chat", "", "agent ü"])
        span.start_time_unix_nano = START
        span.end_time_unix_nano = START + draw.randint(-1, 10**9)
        for dialect in draw.sample(list(_KEYS), draw.choice([1, 1, 1, 2])):
            keys = [key for key in _KEYS[dialect] if not self.tame or key not in _TIMES]
            for key in draw.sample(keys, min(len(keys), draw.randint(1, 25))):
                self.attribute(span.attributes, key)
        if not self.tame and draw.randrange(10) == 0 and span.attributes:  # the same name twice
            self.attribute(span.attributes, draw.choice(span.attributes).key)
        draw.shuffle(order := list(span.attributes))
        del span.attributes[:]
        span.attributes.extend(order)
        for _ in range(draw.choice([0, 0, 1, 3])):
            event = span.events.add(name=draw.choice(_EVENTS))
            for name in draw.sample(
                [*_NAMES, "event.name", "gen_ai.event.content", "exception.type"], draw.randint(0, 3)
            ):
                put(event.attributes.add(key=name).value, self.value())

    def attribute(self, target: Any, key: str) -> None:
        """One attribute, or those of a flattened list."""
        if not key.endswith("*"):
            put(target.add(key=key).value, self.value())
            return
        draw = self.random
        for number in draw.sample(range(4), draw.randint(1, 3)) + [10**9] * (draw.randrange(12) == 0):
            for _ in range(draw.randint(1, 3)):
                path = [key.removesuffix("*") + str(number)]
                for _ in range(draw.choice([0, 1, 1, 2, 3, 20])):
                    path.append(draw.choice(["message", "document", "tool_calls.0.tool_call", "0", "1", *_NAMES]))
                put(target.add(key=".".join(path)).value, self.value())

    def value(self) -> Any:
        """What an attribute holds."""
        draw = self.random
        kind = draw.randrange(10)
        if kind < 3:
            return draw.choice(_WORDS)
        if kind < 4:
            return draw.choice(_TEXTS)
        if kind < 5:
            return draw.choice([*_NUMBERS, True, False])
        if kind < 6 and draw.randrange(3) == 0 and not self.tame:
            return draw.choice(
                [
                    [],
                    {},
                    ["a", 1],
                    [draw.choice(_WORDS)],
                    {"0": "a", "2": {"role": "user"}},
                    b"bytes",
                    None,
                    self.bounded(),
                ]
            )
        if kind < 7 and draw.randrange(4) == 0:
            return draw.choice(_BROKEN if not self.tame else _BROKEN[:10])
        text = json.dumps(self.json(0), ensure_ascii=draw.random() < 0.5)
        if draw.randrange(12) == 0:
            text = text[: draw.randint(0, len(text))]
        return text

    def bounded(self) -> Any:
        """A nested value that attributes can hold."""
        return json.loads(json.dumps(self.json(2)), parse_int=lambda digits: min(int(digits), 2**63 - 1))

    def json(self, depth: int) -> Any:
        """Objects that look like messages, documents or tools."""
        draw = self.random
        kind = draw.randrange(10 if depth < 5 else 4)
        if kind < 2:
            return draw.choice(_WORDS)
        if kind < 3:
            return draw.choice(_TEXTS)
        if kind < 4:
            return draw.choice([None, True, False, *_NUMBERS, *([] if self.tame or depth > 1 else _BIG)])
        if kind < 6:
            return [self.json(depth + 1) for _ in range(draw.randint(0, 3))]
        if kind < 7 and depth < 4:
            return json.dumps(self.json(depth + 1))
        return {name: self.json(depth + 1) for name in draw.sample(_NAMES, draw.randint(0, 4))}


def long_prompt(messages: int, seed: int) -> bytes:
    """A flattened prompt of so many messages, in any order and with some missing."""
    draw = random.Random(seed)
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="x")
    put(span.attributes.add(key="openinference.span.kind").value, "LLM")
    numbers = [number for number in range(messages) if draw.randrange(50)]
    draw.shuffle(numbers)
    for number in numbers:
        for key, value in (("role", draw.choice(["user", "assistant"])), ("content", f"message {number}")):
            put(span.attributes.add(key=f"llm.input_messages.{number}.message.{key}").value, value)
    return request.SerializeToString()
