"""Profiles: what a file may say, and what each operation does to a span."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.any_value import plain
from otel_llm_collector.components import EXPORTERS
from otel_llm_collector.deliver.debug import DebugSettings
from otel_llm_collector.deliver.profile import Profile, shipped_profiles
from otel_llm_semconv import attributes as attr
from pydantic import ValidationError

OURS = {value for name, value in vars(attr).items() if name.isupper() and isinstance(value, str)}


def profile(**operations: Any) -> Profile:
    return Profile.model_validate({"profile": "test", "brief": "x", "sources": [], **operations})


def shipped(name: str) -> Profile:
    found = DebugSettings.model_validate({"type": "debug", "profile": name}).profile
    assert found is not None
    return found


def request(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> bytes:
    """A request of spans; keys that begin with `_` are the span's own fields."""
    message = ExportTraceServiceRequest()
    level = message.resource_spans.add()
    put(level.resource.attributes, resource or {})
    scope = level.scope_spans.add()
    for number, attributes in enumerate(spans):
        fields = {key[1:]: value for key, value in attributes.items() if key.startswith("_")}
        defaults: dict[str, Any] = {"trace_id": b"t" * 16, "span_id": bytes([number + 1]) * 8, "name": "s"}
        span = scope.spans.add(**{**defaults, **fields})
        put(span.attributes, {key: value for key, value in attributes.items() if not key.startswith("_")})
    return message.SerializeToString()


def put(target: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        one = target.add(key=key).value
        if isinstance(value, list):
            one.array_value.SetInParent()
            for item in value:
                inner = one.array_value.values.add()
                setattr(inner, "string_value" if isinstance(item, str) else "int_value", item)
        else:
            kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
            setattr(one, kinds[type(value)], value)


def spans(payload: bytes) -> list[dict[str, Any]]:
    message = ExportTraceServiceRequest.FromString(payload)
    return [
        {one.key: plain(one.value) for one in span.attributes}
        for level in message.resource_spans
        for scope in level.scope_spans
        for span in scope.spans
    ]


def applied(operations: dict[str, Any], *given_spans: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return spans(profile(**operations).compiled().apply(request(*given_spans, **more)))


def test_every_shipped_profile_is_read_and_named_as_its_file() -> None:
    """Each has its file's name, a sentence and its sources; those that the issue asks for are there."""
    assert {"jaeger", "opik", "langfuse", "mlflow", "phoenix", "weave", "otel"} <= set(shipped_profiles())
    for name in shipped_profiles():
        one = shipped(name)
        assert one.profile == name
        assert one.brief.endswith(".")
        assert one.sources


@pytest.mark.parametrize("name", shipped_profiles())
def test_what_a_profile_reads_of_ours_is_in_the_registry(name: str) -> None:
    """A profile that takes a value from `otel_llm.…` names an attribute that exists."""
    one = shipped(name)
    read = [source for added in one.add.values() for source in (*added.span, *added.as_json.values())]
    read += [source for lifted in one.root.values() for source in lifted.span]
    assert {source for source in read if source.startswith("otel_llm.")} <= OURS


def test_rename_drop_keep_and_others() -> None:
    """A name wins over a prefix, a long prefix over a short one; what nothing names goes where `others` says."""
    operations = {
        "keep": ["http.route"],
        "rename": {"http.*": "meta.http.*", "a": "b"},
        "drop": ["http.request.*", "gone"],
        "others": "rest.*",
    }
    span = {"http.route": "r", "http.method": "GET", "http.request.size": 1, "a": "x", "gone": "y", "else": 2}
    assert applied(operations, span) == [{"http.route": "r", "meta.http.method": "GET", "b": "x", "rest.else": 2}]


def test_added_values_come_from_span_resource_and_json() -> None:
    """The first source that is there is taken; a JSON object leaves out what is missing; an old value is replaced."""
    operations = {
        "add": {
            "cost": {"span": ["ours", "theirs"]},
            "service": {"resource": "service.name"},
            "both": {"json": {"in": "i", "out": "o"}},
            "none": {"span": ["missing"]},
        },
        "drop": ["ours"],
    }
    span = {"ours": 0.5, "theirs": 9.0, "cost": 1.0, "i": 2}
    (found,) = applied(operations, span, resource={"service.name": "svc"})
    assert found == {"theirs": 9.0, "i": 2, "cost": 0.5, "service": "svc", "both": '{"in": 2}'}


@pytest.mark.parametrize(
    ("value", "kind", "kept"),
    [
        ("12", "int", 12), (12.0, "int", 12), (12.5, "int", None), ("x", "int", None), (True, "int", None),
        ("9223372036854775807", "int", 9223372036854775807), (1e300, "int", None), (3, "double", 3.0),
        ("0.5", "double", 0.5), ("nan", "int", None),
    ],
)  # fmt: skip
def test_types_are_made_right_or_the_attribute_goes(value: Any, kind: str, kept: Any) -> None:
    """Whole numbers in any form become int, numbers become double; anything else is dropped."""
    (found,) = applied({"types": {"n.*": kind}}, {"n.a": value})
    assert found == ({} if kept is None else {"n.a": kept})


def test_lists_become_json_text_where_asked() -> None:
    """A list of numbers, which some backends would lose, leaves as JSON."""
    (found,) = applied({"arrays": "json"}, {"l": [1, 2], "s": ["a"], "t": "x"})
    assert found == {"l": "[1, 2]", "s": '["a"]', "t": "x"}


def test_what_goes_on_the_root_comes_from_the_spans_of_its_trace() -> None:
    """First by start, last by end; a root that has a value keeps it; another trace's spans are not looked at."""
    child = {"_parent_span_id": b"\x01" * 8}
    operations = {"root": {"session": {"span": ["conv", "sess"]}, "out": {"span": ["out"], "pick": "last"}}}
    payload = [
        {"_start_time_unix_nano": 1, "_end_time_unix_nano": 9},
        {**child, "_start_time_unix_nano": 3, "_end_time_unix_nano": 8, "sess": "late", "out": "second"},
        {**child, "_start_time_unix_nano": 2, "_end_time_unix_nano": 4, "conv": "early", "out": "first"},
        {"_trace_id": b"u" * 16, "out": "own"},
    ]
    found = applied(operations, *payload)
    assert found[0] == {"session": "early", "out": "second"}
    assert found[3] == {"out": "own"}


def test_last_attributes_stand_behind_the_others() -> None:
    """For a backend where the last of several names wins."""
    (found,) = applied({"last": ["b", "a"]}, {"a": 1, "b": 2, "c": 3})
    assert list(found) == ["c", "b", "a"]


def test_a_request_that_nothing_concerns_keeps_its_very_bytes() -> None:
    """No rule fits: the same object comes back."""
    payload = request({"x": "y"})
    assert profile(drop=["other"]).compiled().apply(payload) is payload
    assert profile(types={"x": "int"}, keep=["x"]).compiled().apply(request({"z": 1})) == request({"z": 1})


def test_resource_attributes_are_set_on_every_resource() -> None:
    """What a destination wants on the resource replaces what was there."""
    payload = profile().compiled({"wandb.project": "p"}).apply(request({}, resource={"wandb.project": "old", "a": "b"}))
    resource = ExportTraceServiceRequest.FromString(payload).resource_spans[0].resource
    assert {one.key: plain(one.value) for one in resource.attributes} == {"a": "b", "wandb.project": "p"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nosuch", "names no profile; write one of jaeger"),
        ("bad.yaml", "is no profile"),
        ("broken.yaml", "is no profile"),
        ("two.yaml", "has not exactly one source"),
    ],
)
def test_what_is_no_profile_is_refused_with_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    """An unknown name, an unknown key, broken YAML and an ambiguous source are configuration errors."""
    head = "profile: x\nbrief: x\nsources: []\n"
    (tmp_path / "bad.yaml").write_text(head + "renames: {}\n")
    (tmp_path / "broken.yaml").write_text("{")
    (tmp_path / "two.yaml").write_text(head + "add: {a: {span: [b], resource: c}}\n")
    with pytest.raises(ValidationError, match=said):
        DebugSettings.model_validate({"type": "debug", "profile": text}, context={"folder": tmp_path})


@pytest.mark.parametrize("name", [name for name, one in EXPORTERS.items() if "profile" in one.config.model_fields])
def test_each_destination_says_what_its_profile_is(name: str) -> None:
    """The default of the option is none, or a shipped profile."""
    default = EXPORTERS[name].config.model_fields["profile"].default
    assert default is None or default in shipped_profiles()


def test_opik_gets_metadata_instead_of_input_and_whole_numbers_as_usage() -> None:
    """What Opik's mapper does not know is metadata; tokens are ints, the cost ours, the answering model last."""
    span = {
        "gen_ai.response.model": "m-2", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": "10",
        "gen_ai.usage.details": "many", "gen_ai.usage.cache_read.input_tokens": 4, "otel_llm.cost.total": 0.25,
        "http.route": "/x", "otel_llm.tags": ["beta"],
    }  # fmt: skip
    (found,) = spans(shipped("opik").compiled().apply(request(span, resource={"service.name": "svc"})))
    assert found == {
        "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_read_input_tokens": 4, "gen_ai.usage.cost": 0.25, "opik.metadata.otel_llm.cost.total": 0.25,
        "opik.metadata.http.route": "/x", "opik.tags": ["beta"], "opik.metadata.service.name": "svc",
        "gen_ai.response.model": "m-2",
    }  # fmt: skip
    assert list(found)[-1] == "gen_ai.response.model"


def test_mlflow_gets_the_price_in_its_own_words() -> None:
    """`mlflow.llm.cost` is JSON of the three prices, and ours do not go along."""
    costs = {"otel_llm.cost.input": 0.1, "otel_llm.cost.output": 0.2, "otel_llm.cost.total": 0.3}
    (found,) = spans(shipped("mlflow").compiled().apply(request({**costs, "a": "b"})))
    assert json.loads(found.pop("mlflow.llm.cost")) == {"input_cost": 0.1, "output_cost": 0.2, "total_cost": 0.3}
    assert found == {"a": "b"}


_VALUES = st.one_of(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans())


_NAMES = st.sampled_from([*sorted(OURS)[::7], "x", "", "opik.metadata.x", "gen_ai.usage.input_tokens"])


@given(st.lists(st.dictionaries(_NAMES, _VALUES), max_size=4), st.sampled_from(shipped_profiles()))
def test_no_span_is_lost_and_no_attribute_stands_twice(given_spans: list[dict[str, Any]], name: str) -> None:
    """Whatever the spans hold, each shipped profile returns as many, with each name once."""
    compiled = shipped(name).compiled()
    once = compiled.apply(request(*given_spans))
    message = ExportTraceServiceRequest.FromString(once)
    found = message.resource_spans[0].scope_spans[0].spans
    assert len(found) == len(given_spans)
    for span in found:
        keys = [one.key for one in span.attributes]
        assert len(keys) == len(set(keys))


def test_originals_leave_where_they_were_carried() -> None:
    """What a dialect said and OpenTelemetry's names repeat goes, its noise too; what was not carried stays."""
    span = {
        "openinference.span.kind": "LLM",
        "llm.token_count.prompt": 10,
        "llm.token_count.completion": "many",
        "llm.input_messages.0.message.content": "hi",
        "input.mime_type": "text/plain",
        "gen_ai.usage.input_tokens": 10,
        "otel_llm.dialect.names": ["openinference"],
        "otel_llm.dialect.carried": ["llm.token_count.prompt", "llm.input_messages.*"],
    }
    (kept,) = spans(profile(originals="drop").compiled().apply(request(span)))
    assert set(kept) == {
        "openinference.span.kind",
        "llm.token_count.completion",
        "gen_ai.usage.input_tokens",
        "otel_llm.dialect.names",
        "otel_llm.dialect.carried",
    }


def test_originals_of_a_span_of_no_dialect() -> None:
    """A request in which no span was normalised keeps its very bytes."""
    payload = request({"llm.token_count.prompt": 10})
    assert profile(originals="drop").compiled().apply(payload) == payload
