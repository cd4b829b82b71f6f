"""A user's program is typed by ours: `mypy --strict` finds nothing in it, and sees through every decorator."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PROGRAM = """
from collections.abc import AsyncIterator, Iterator

import otel_llm
from otel_llm.testing import Captured, ManualClock, Price, Span, capture

handle = otel_llm.configure("typed", content="metadata", instrument={"openai": "official"}, stream_usage="request")
flushed: bool = handle.force_flush(1.0) and otel_llm.flush()
spans: int = handle.emitted_spans + handle.dropped_spans


@otel_llm.workflow("answer")
def answer(question: str, *, k: int = 5) -> list[str]:
    with otel_llm.retrieval(source="docs", k=k, query=question) as found:
        found.documents([{"id": "a", "score": 0.5}, ("text", 0.4), "plain"])
        reveal_type(found)
    with otel_llm.chat(provider="openai", model="m", content="off") as call:
        call.usage(input_tokens=1, output_tokens=2)
        call.response({"usage": {}})
        reveal_type(call)
    with otel_llm.monitor("job") as job:
        job.log({"n": 1})
        reveal_type(job)
    return [question]


@otel_llm.chat(provider="openai")
async def ask(question: str) -> str:
    async with otel_llm.tool("search", call_id="1") as tool:
        tool.arguments({"q": question})
    return question


@otel_llm.span("numbers")
def numbers(count: int) -> Iterator[int]:
    yield from range(count)


@otel_llm.chat(provider="openai")
async def stream(question: str) -> AsyncIterator[str]:
    yield question


@otel_llm.session(user_id="u", tags=["a"], metadata={"n": 1})
def asked() -> int:
    return 1


reveal_type(answer)
reveal_type(ask)
reveal_type(numbers)
reveal_type(stream)
reveal_type(asked)
sent: bool = otel_llm.feedback(stars=5, traceparent=otel_llm.traceparent(), by="human")
otel_llm.log_metrics({"a": 1.5})
otel_llm.log_tokens(provider="openai", model="m", input_tokens=3)
otel_llm.log_model_info("m", parameter_count=3)


def test_it(llm_spans: Captured) -> None:
    clock = ManualClock()
    with capture(prices={"m": Price(1.0, 2.0)}, clock=clock, content="full") as captured:
        answer("q")
    span: Span = captured.only(operation="chat")
    cost: float | None = span.cost
    ids: list[str | None] = [one.id for one in span.documents]
    assert cost is None or not ids
"""

REVEALED = [
    "otel_llm.handles.RetrievalHandle",
    "otel_llm.handles.ChatHandle",
    "otel_llm.monitoring.MonitorHandle",
    "def (question: str, *, k: int =) -> list[str]",
    "def (question: str) -> Coroutine[Any, Any, str]",
    "def (count: int) -> Iterator[int]",
    "def (question: str) -> AsyncIterator[str]",
    "def () -> int",
]

MISTAKES = """
import otel_llm
otel_llm.configure(content="loud")
otel_llm.chat(model="m")
with otel_llm.chat(provider="p") as call:
    call.documents([])
@otel_llm.span("x")
def function(a: int) -> int:
    return a
function("a")
otel_llm.feedback(thumbs="sideways")
"""


def checked(tmp_path: Path, text: str) -> str:
    """What `mypy --strict` says of a program outside this repository."""
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path), "program.py"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout


def test_a_whole_program_is_typed(tmp_path: Path) -> None:
    """Every public helper, as block and as decorator: no error, and each type is the one that was written."""
    said = checked(tmp_path, PROGRAM)
    assert "Success: no issues found" in said, said
    shown = re.findall(r'Revealed type is "(.*)"', said)
    plain = [re.sub(r"builtins\.|typing\.|collections\.abc\.", "", one).replace("def (*", "def (") for one in shown]
    assert plain == REVEALED


def test_mistakes_are_found(tmp_path: Path) -> None:
    """A wrong mode, a missing provider, a method of another handle, a wrong argument, a word that is none."""
    said = checked(tmp_path, MISTAKES)
    assert len(re.findall(r"^program\.py:\d+: error", said, re.MULTILINE)) == 5, said


def test_everything_public_is_exported() -> None:
    """`__all__`, the table of homes and the names for type checkers are the same."""
    import otel_llm  # noqa: PLC0415

    text = Path(otel_llm.__file__).read_text(encoding="utf-8")
    typed = re.findall(r"^    from otel_llm\.\w+ import (.*?)$(?!\()", text, re.MULTILINE)
    names = {name.strip() for line in typed for name in line.strip("(").split(",") if name.strip()}
    names |= {name.strip() for block in re.findall(r"import \((.*?)\)", text, re.DOTALL) for name in block.split(",")}
    assert names - {""} == set(otel_llm._HOMES)
    assert set(otel_llm.__all__) == set(otel_llm._HOMES) | {"__version__"}
    for name in otel_llm.__all__:
        assert getattr(otel_llm, name) is not None
