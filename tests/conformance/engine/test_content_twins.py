"""Both engines do the same to content: any text, any form it is sent in, any pattern of one's own."""

from __future__ import annotations

import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_collector.contract import Outcome, Signal
from otel_llm_collector.engine.redact import pattern_problem
from otel_llm_collector.engine.settings import ProcessorsConfig

pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
sys.path.insert(0, str(Path(__file__).parent))

from test_twins import Twins

SECTIONS: list[dict[str, Any]] = [
    {"redaction": {}},
    {"redaction": {"action": "hash", "hash_key": "k"}},
    {"redaction": {"action": "drop"}},
    {"redaction": {"detectors": ["email"], "patterns": {"line": "^[a-z]+ *$", "word": r"(?i)\bsecret\w*"}}},
    {"content": {"max_field_bytes": 90}},
    {"content": {"max_field_bytes": 400, "blobs": "replace"}, "redaction": {}},
    {"content": {"blobs": "replace"}},
    {"content": {"max_field_bytes": 1}},
]
# What detectors look for, what only looks like it, what JSON escapes, and what no text is made of.
PIECES = [
    "bob@x.com", "a.b+c@ex-ample.co.uk", "4111 1111 1111 1111", "4111-1111-1111-1112", "378282246310005", "41111111",
    "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "10.1.2.3", "1.2.3.04", "2001:db8::8a2e:370:7334", "::",
    "1::", "::ffff:0:0", "1:2:3:4:5:6:7::", "12:34:56", "+49 (30) 1234-5678", "030 1234 5678", "2026-11-21 10:00 11",
    "sk-proj-abcdefghij0123456789", "AKIA" + "IOSFODNN7EXAMPLE", "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2",
    "-----BEGIN PRIVATE " + "KEY-----", "-----END PRIVATE " + "KEY-----", "secret", "Secretſ", "ünï", "😀", "\x00",
    "\x1f", '"', "\\", "\\n", "\\u00e9", "\\ud83d", "\\ude00", "\\u12", "\\x", "[", "{", "]", "}", ":", ",", " ",
    "\n", "-1.5e+3", "0", "7", "a",
]  # fmt: skip
texts = st.builds(
    lambda start, pieces: start + "".join(pieces),
    st.sampled_from(["", "", "[", '["', '{"a": ', ' ["']),
    st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12),
)


@cache
def twins(section: int) -> Twins:
    return Twins(ProcessorsConfig.model_validate(SECTIONS[section]))


def put(target: AnyValue, value: object) -> None:
    """Write a value of Python's, pairs as a mapping."""
    if isinstance(value, list):
        target.array_value.SetInParent()
        for one in value:
            put(target.array_value.values.add(), one)
    elif isinstance(value, tuple):
        target.kvlist_value.SetInParent()
        for key, one in value:
            put(target.kvlist_value.values.add(key=key).value, one)
    elif value is not None:
        kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
        setattr(target, kinds[type(value)], value)


def trace_of(values: list[object]) -> bytes:
    """A request whose spans, events, links and states carry these values."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, value in enumerate(values, 1):
        span = spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8), name="chat")
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
        targets = [span.attributes, span.events.add(name="exception").attributes, span.links.add().attributes]
        keys = [
            "gen_ai.input.messages",
            "exception.message",
            "gen_ai.tool.call.arguments",
            "gen_ai.retrieval.query.text",
        ]
        for place, key in enumerate(keys):
            put(targets[(number + place) % 3].add(key=key).value, value)
        if isinstance(value, str):
            span.status.message = value
    return request.SerializeToString()


def logs_of(values: list[object]) -> bytes:
    """A request whose log records have these bodies, and as content attributes what the record before had."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for number, value in enumerate(values):
        record = records.add(event_name="gen_ai.client.inference.operation.details")
        put(record.body, value)
        put(record.attributes.add(key="gen_ai.output.messages").value, values[number - 1])
    return request.SerializeToString()


def agree(section: int, values: list[object]) -> tuple[Outcome, Outcome]:
    both = twins(section)
    made = []
    for signal, request in ((Signal.TRACES, trace_of(values)), (Signal.LOGS, logs_of(values))):
        outcome = both.agree(signal, request)
        assert isinstance(outcome, Outcome)
        made.append(outcome)
    return made[0], made[1]


sections = st.integers(0, len(SECTIONS) - 1)
scalars = texts | st.booleans() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=9)
values = st.recursive(
    scalars | st.just(4111111111111111) | texts.map(lambda text: text.encode() + b"\xff\xe0\x80"),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(st.text(max_size=3), inner), max_size=3).map(tuple),
    max_leaves=6,
)


@given(sections, st.lists(texts, min_size=1, max_size=6))
def test_any_text_comes_out_the_same(section: int, many: list[object]) -> None:
    """Whatever a text holds, JSON or broken JSON, both replace the same and count the same."""
    agree(section, many)


@given(sections, st.lists(values, min_size=1, max_size=3))
def test_any_form_of_content_comes_out_the_same(section: int, many: list[object]) -> None:
    """Numbers, bytes, lists and mappings in each other; and Rust does it by itself."""
    before = twins(section).native.handed_back
    agree(section, many)
    assert twins(section).native.handed_back == before


BLOB = "QUJD" * 20 + "=="
spoken = st.sampled_from(
    ["", "hello", "é" * 50, "line\n" * 30, 'say "x" ' * 20, "b@x.org " * 9, "😀\x01" * 30, BLOB[:-2]]
)
strings = spoken | st.builds(
    "see data:{};base64,{} and {}".format, st.sampled_from(["image/png", "", "a"]), st.just(BLOB), spoken
)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "blob"]), "content": strings | st.just(BLOB)},
    optional={"mime_type": st.sampled_from(["image/png", "", None, ["a"]]), "modality": st.sampled_from(["image", 0])},
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "ſystem"])},
    optional={
        "parts": st.lists(parts, max_size=4),
        "content": strings,
        "n": st.floats() | st.integers(-(10**25), 10**25),
    },
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | strings,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(spoken, inner, max_size=4),
    max_leaves=20,
)
documents = st.builds(
    lambda value, ascii_only, indent, end: json.dumps(value, ensure_ascii=ascii_only, indent=indent) + end,
    st.lists(messages, max_size=9) | json_values.filter(lambda value: isinstance(value, (list, dict))),
    st.booleans(),
    st.sampled_from([None, None, 2]),
    st.sampled_from(["", "", "", " ", "]", "\n"]),
)


@given(sections, st.lists(documents, min_size=1, max_size=3))
def test_any_json_is_bounded_to_the_same(section: int, many: list[object]) -> None:
    """Messages, blobs, numbers of any size, and what is left of them: one text from both, with one mark."""
    agree(section, many)


@pytest.mark.parametrize("mark", [["input.value 9 abc"], "a word", None])
def test_what_a_collector_before_cut_stays_told(mark: object) -> None:
    """A mark of the sender's is added to; the same from both."""
    request = ExportTraceServiceRequest.FromString(trace_of(["long " * 100]))
    for attributes in (one.attributes for one in request.resource_spans[0].scope_spans[0].spans):
        put(attributes.add(key="otel_llm.content.truncated").value, mark)
    outcome = twins(4).agree(Signal.TRACES, request.SerializeToString())
    assert isinstance(outcome, Outcome)
    assert b" 500 " in outcome.payload


# Parts of patterns: what RE2 and `regex` spell, fold and count differently stands among them.
ATOMS = [
    "a", "B", "7", "é", "ß", "k", "ſ", ".", r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", r"\b", r"\B", "^", "$", r"\A",
    r"\z", r"\v", r"\a", r"\x41", r"\x{e9}", r"\141", r"\07", r"\.", r"\_", r"\-", r"\ ", r"\Qa.b\E", r"\Q[", r"\pN",
    r"\p{Greek}", r"\PL", r"\p{^Lu}", "[abc]", "[^a-c]", "[]a]", "[^]a]", "[a-]", "[-a]", "[a&&b]", "[a--b]",
    "[a~~b]", "[[]", r"[\d\s]", r"[^\w]", r"[\D]", r"[\S7]", r"[\W\d]", "[[:alpha:]]", "[[:^digit:]_]",
    r"[\x{3b1}-\x{3c9}]", r"[\pL\-]", r"[\]\\]", "{", "}", "x{", "x{,3}", "]", "&", "~", "#", "(a)", "(?:a|b)",
    "(?P<n>ab)", "(?i:aK)", "(?i)", "(?s).", "(?m)$", "(?-i)", "(?U)a+", "(?im-s:.k)", r"(?i:\w)", r"(?i:[^\W])",
    r"(?i:\pL)", "(|a)", "()", "|", "a|", r"\C", r"\x{D800}", "(", ")", "[", "a**", "a{2}{3}", r"\1", "(?=a)",
    "(?x)a", r"\pC", r"\Z",
]  # fmt: skip
REPEATS = ["", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "??", "{2,3}?", "{0}"]
user_patterns = st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)), min_size=1, max_size=4).map(
    lambda parts: "".join(atom + repeat for atom, repeat in parts)
)
HAYSTACK = [
    "aAbBkKſſß ẞ KK 77 a.b ab\nAB\r\n\t\x0b\x0c é É \u0661 αΩ x{,3} []&~#-_^$ \\ aaa",
    "",
    "a",
    "a\nb\na",
    '["a\\nk", 7, "é"]',
    '{"a":"K"}',
]


@given(user_patterns)
def test_a_pattern_means_the_same_to_both_or_is_refused(pattern: str) -> None:
    """A pattern that the configuration takes compiles in both, and both find the same with it."""
    if pattern_problem(pattern) is not None:
        return
    both = Twins(ProcessorsConfig.model_validate({"redaction": {"detectors": [], "patterns": {"own": pattern}}}))
    outcome = both.agree(Signal.LOGS, logs_of(list(HAYSTACK)))
    assert isinstance(outcome, Outcome)
    assert "redacted_failed" not in outcome.notes


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "a@", "AKIA", "1.", ":", "ab:", "4111-1 2.3:4 +", "AB12 ", "eyJeyJ.", "sk-a", '"', "\\", "é"]
)
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    """Two fields of a megabyte made for the detectors take Rust far less than a second."""
    text = "[" + piece * (1_000_000 // len(piece.encode()))
    request = logs_of([text])
    began = time.process_time()
    twins(0).native.process(Signal.LOGS, request)
    assert time.process_time() - began < 3
