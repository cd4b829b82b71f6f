"""What `otel-llm check-spans` says of good, bad and hostile spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData
from otel_llm_semconv.span_check import check_event, check_span

from otel_llm.cli import main


def value(of: object) -> dict[str, Any]:
    """`of` as an OTLP JSON value."""
    if isinstance(of, list):
        return {"arrayValue": {"values": [value(one) for one in of]}}
    field = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(of)]
    return {field: str(of) if field == "intValue" else of}


def span(name: str = "chat gpt-4o", kind: int = 3, **more: object) -> dict[str, Any]:
    """A good chat span, with attributes added or (None) taken away; `__` stands for a dot."""
    attributes: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
        "http.some.name": 1,
    }
    attributes |= {key.replace("__", "."): one for key, one in more.items()}
    pairs = [{"key": key, "value": value(one)} for key, one in attributes.items() if one is not None]
    return {"name": name, "kind": kind, "traceId": "ab" * 16, "spanId": "cd" * 8, "attributes": pairs}


def test_a_good_span_has_no_findings() -> None:
    """Current names, types, kind and name are all there is to ask; other people's names are not judged."""
    assert check_span(span()) == []


@pytest.mark.parametrize(
    ("bad", "identity", "level", "words"),
    [
        (span(gen_ai__shiny="x"), "unknown_attribute", "violation", "gen_ai.shiny"),
        (span(gen_ai__system="openai"), "deprecated_attribute", "improvement", "use gen_ai.provider.name"),
        (span(gen_ai__usage__input_tokens="10"), "wrong_type", "violation", "is string ('10'); write int"),
        (span(gen_ai__response__finish_reasons="stop"), "wrong_type", "violation", "write string[]"),
        (span(gen_ai__provider__name="acme"), "unknown_value", "information", "'acme' is no known value"),
        (span(gen_ai__provider__name=None), "missing_attribute", "violation", "gen_ai.provider.name: is required"),
        (span(kind=2), "span_kind", "improvement", "kind is server"),
        (span(name="ask"), "span_name", "improvement", "begin it with 'chat'"),
        (span(gen_ai__conversation__id="ab" * 16), "invented_conversation", "improvement", "is the trace id"),
        (span(gen_ai__usage__cache_read__input_tokens=11), "part_over_whole", "violation", "is 11, more than"),
        (span(gen_ai__input__messages="hello"), "broken_messages", "violation", "no JSON"),
        (span(gen_ai__input__messages='[{"role": "user"}]'), "broken_messages", "violation", "no role and parts"),
        (
            span(gen_ai__input__messages='[{"role": "user", "parts": [{"type": "text"}]}]'),
            "broken_messages",
            "violation",
            "parts[0]: has no content",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) and " " not in one else "",
)
def test_each_mistake_is_found_once(bad: dict[str, Any], identity: str, level: str, words: str) -> None:
    """One mistake on a good span is one finding with its id, its level and what would be right."""
    (finding,) = check_span(bad)
    assert (finding.id, finding.level) == (identity, level)
    assert words in finding.message


def test_an_event_must_carry_what_it_requires() -> None:
    """An evaluation result without the name of the evaluation says nothing."""
    (finding,) = check_event({"eventName": "gen_ai.evaluation.result", "attributes": []})
    assert finding.id == "missing_attribute"


@pytest.mark.parametrize(
    "hostile",
    [
        {},
        {"attributes": 3},
        {"attributes": [None, {"key": "gen_ai.operation.name"}, {"key": 3, "value": {"intValue": "x"}}]},
        {"attributes": [{"key": "gen_ai.input.messages", "value": {"arrayValue": {"values": 3}}}]},
        {"attributes": [{"key": "gen_ai.input.messages", "value": {"stringValue": "[[], 3]"}}], "events": [3]},
    ],
    ids=str,
)
def test_nonsense_is_no_crash(hostile: dict[str, Any]) -> None:
    """A span that is hardly one yields findings or none, never an exception."""
    check_span(hostile)


def write(path: Path, spans: list[dict[str, Any]]) -> Path:
    request = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    path.write_text(json.dumps(request), encoding="utf-8")
    return path


def test_the_command_reads_json_lines_and_protobuf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same span is judged alike in each form; the exit code says whether there was a violation."""
    good = write(tmp_path / "good.json", [span()])
    assert main(["check-spans", str(good)]) == 0
    lines = tmp_path / "lines.jsonl"
    one = write(tmp_path / "bad.json", [span(gen_ai__shiny="x")]).read_text(encoding="utf-8")
    lines.write_text(one + "\n" + one + "\n", encoding="utf-8")
    assert main(["check-spans", str(lines)]) == 1
    assert capsys.readouterr().out.endswith("2 spans and events: 2 violation, 0 improvement, 0 information\n")
    data = TracesData()
    recorded = Span(name="chat x", kind=Span.SPAN_KIND_CLIENT, trace_id=b"t" * 16, span_id=b"s" * 8)
    recorded.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    data.resource_spans.add().scope_spans.add().spans.append(recorded)
    binary = tmp_path / "request.bin"
    binary.write_bytes(data.SerializeToString())
    assert main(["check-spans", "--json", str(binary)]) == 1
    finding = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert finding["id"] == "missing_attribute"
    assert finding["span_id"] == (b"s" * 8).hex()


@pytest.mark.parametrize("content", [b"hello", b'{"resourceSpans": 3}', b"{broken\n", b'{"a": 1}\n[]'], ids=str)
def test_a_file_that_is_no_otlp_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    """Exit code 2 and one sentence that names the file."""
    path = tmp_path / "odd"
    path.write_bytes(content)
    assert main(["check-spans", str(path)]) == 2
    assert str(path) in capsys.readouterr().err
