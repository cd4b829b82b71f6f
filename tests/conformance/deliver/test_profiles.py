"""A profile does the same in Rust and in Python, for any profile and whatever the engine lets through."""

from __future__ import annotations

import json
import random
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.debug import DebugSettings
from otel_llm_collector.deliver.profile import Profile, shipped_profiles
from otel_llm_collector.deliver.profile_native import NativeProfile
from otel_llm_collector.engine import load_engine
from otel_llm_collector.receive.otlp_json import to_protobuf

pytest.importorskip("otel_llm_wire", reason="the module in Rust is not built here; make native builds it")
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

import otel_llm_wire
from test_twins import KEYS, Builder, seeds

DATA = Path(__file__).parents[2] / "data" / "dialects"
RECORDINGS = sorted(path for path in DATA.glob("*/*.json") if path.name != "about.json")
SETS = [{}, {"wandb.project": "p", "service.name": "ours"}]
# What profiles of one's own are drawn from: names that requests have, prefixes of them, and new ones.
NAMES = [*dict.fromkeys(KEYS), "otel_llm.dialect.names", "x", ""]
PATTERNS = [*NAMES, *(name.rpartition(".")[0] + ".*" for name in NAMES), "gen_ai.usage.i*", "*"]
TARGETS = ["moved", "moved.*", "gen_ai.*", "*", *NAMES]


def shipped(name: str) -> Profile:
    found = DebugSettings.model_validate({"type": "debug", "profile": name}).profile
    assert found is not None
    return found


def drawn(draw: random.Random) -> Profile:
    """A profile with something of everything."""

    def some(of: list[str], most: int = 3) -> list[str]:
        return draw.choices(of, k=draw.randint(0, most))

    def source() -> dict[str, Any]:
        return draw.choice(
            [
                {"span": draw.choices(NAMES, k=2)},
                {"resource": draw.choice(NAMES[:-1])},
                {"json": {"a": draw.choice(NAMES), 'b"': draw.choice(NAMES)}},
            ]
        )

    def lifted() -> dict[str, Any]:
        return {"span": draw.choices(NAMES, k=2), "pick": draw.choice(["first", "last"])}

    return Profile.model_validate(
        {
            "profile": "drawn", "brief": "x", "sources": [],
            "root": {name: lifted() for name in some(NAMES)},
            "add": {name: source() for name in some(NAMES)},
            "keep": some(PATTERNS), "rename": {pattern: draw.choice(TARGETS) for pattern in some(PATTERNS)},
            "drop": some(PATTERNS, 2), "originals": draw.choice(["keep", "drop"]),
            "others": draw.choice(["keep", "keep", "drop", "rest.*", "one"]),
            "types": {pattern: draw.choice(["int", "double"]) for pattern in some(PATTERNS)},
            "arrays": draw.choice(["keep", "json"]), "last": some(NAMES, 2),
        }
    )  # fmt: skip


def agree(profile: Profile, request: bytes, resource: dict[str, str]) -> NativeProfile:
    """Both make the same of the request, apart from the order of bytes; where nothing changes, its very bytes."""
    native = profile.compiled(resource, otel_llm_wire)
    assert isinstance(native, NativeProfile)
    made, expected = native.apply(request), profile.compiled(resource).apply(request)
    assert canonical(made) == canonical(expected)
    if expected is request:
        assert made is request
    return native


def canonical(payload: bytes) -> bytes:
    return ExportTraceServiceRequest.FromString(payload).SerializeToString(deterministic=True)


@cache
def recording(path: Path) -> bytes:
    """What the engine makes of a recorded scenario."""
    request, _ = to_protobuf(Signal.TRACES, json.dumps(json.loads(path.read_text())["traces"]).encode())
    return load_engine({"OTEL_LLM_ENGINE": "pure"}).process(Signal.TRACES, request).payload


@pytest.mark.parametrize("name", shipped_profiles())
def test_recorded_spans_of_every_dialect(name: str) -> None:
    """Each shipped profile on each recorded scenario; none of it is left to Python."""
    assert RECORDINGS
    for path in RECORDINGS:
        for resource in SETS:
            assert agree(shipped(name), recording(path), resource).handed_back == 0, path


@given(seeds, st.sampled_from(shipped_profiles()), st.sampled_from(SETS))
def test_shipped_profiles_on_any_request(seed: int, name: str, resource: dict[str, str]) -> None:
    """Unknown fields, fields twice, any value under any name."""
    profile = shipped(name)
    for request in valid_requests(seed):
        agree(profile, request, resource)


@given(seeds, st.sampled_from(SETS))
def test_any_profile_on_any_request(seed: int, resource: dict[str, str]) -> None:
    """Whatever somebody writes into a profile of their own."""
    profile = drawn(random.Random(seed))
    for request in valid_requests(seed):
        agree(profile, request, resource)


@given(seeds)
def test_any_profile_on_recorded_spans(seed: int) -> None:
    """Real spans, with the attributes of their dialects."""
    draw = random.Random(seed)
    agree(drawn(draw), recording(draw.choice(RECORDINGS)), {})


def valid_requests(seed: int) -> list[bytes]:
    """Requests that protobuf can read."""
    builder = Builder(seed, tame=seed % 3 > 0)
    made = [builder.message(ExportTraceServiceRequest.DESCRIPTOR) for _ in range(4)]
    return [request for request in made if readable(request)]


def readable(request: bytes) -> bool:
    try:
        ExportTraceServiceRequest.FromString(request)
    except Exception:
        return False
    return True
