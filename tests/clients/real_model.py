"""A real small model end to end: llama.cpp in this process, the `openai` client, `configure`, OTLP, the collector.

Nothing is scripted: tokens, times and streams are those of Gemma 3 270M on this machine's CPU. Its prices are nobody's,
so the cost is unknown and says why. What the model said of its tokens, what the spans say at a destination and what the
collector's books say have to be the same numbers.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import openai
from clients import LOCAL_MODEL, check
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import HttpSink
from otel_llm_semconv import attributes as attr
from prometheus_client.parser import text_string_to_metric_families

import otel_llm

sys.path.insert(0, str(LOCAL_MODEL))
import real

CONFIG = """
receivers: {{otlp: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}
server: {{endpoint: "127.0.0.1:{admin}"}}
log: {{kind: disk, path: log}}
exporters:
  sink: {{type: otlp_http, endpoint: "http://{sink}"}}
"""
QUESTION: list[Any] = [{"role": "user", "content": "OTLP listens on port 4317. Which port does OTLP listen on?"}]
MOST_TOKENS = 24
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def ask(url: str) -> list[Any]:
    """Four calls: plain, streamed, streamed and read in a block of ours, left early; the usage that was told."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=120)

    def create(**more: Any) -> Any:
        return client.chat.completions.create(model=real.NAME, messages=QUESTION, max_tokens=MOST_TOKENS, **more)

    told = []
    with otel_llm.workflow("plain"):
        told.append(create().usage)
    with otel_llm.workflow("streamed"):
        told.append(list(create(**STREAMED))[-1].usage)
    with otel_llm.chat(provider="openai", model=real.NAME) as call:
        chunks = list(call.stream(create(**STREAMED)))
        check(sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 1, right=True)
        told.append(chunks[-1].usage)
    with otel_llm.chat(provider="openai", model=real.NAME) as call, call.stream(create(**STREAMED)) as stream:
        for _ in stream:
            break
    client.close()
    return told


def values(span: Any) -> dict[str, Any]:
    """A span's scalar attributes."""
    found = {one.key: one.value for one in span.attributes}
    return {key: getattr(value, kind) for key, value in found.items() if (kind := value.WhichOneof("value"))}


def check_spans(spans: list[Any], told: list[Any]) -> None:
    """One span a call, with the model's own numbers; the stream that was left early is no error."""
    chats = sorted(
        (span for span in spans if span.name == f"chat {real.NAME}"), key=lambda one: one.start_time_unix_nano
    )
    check(len(chats), 4)
    for span, usage in zip(chats, told, strict=False):
        said = values(span)
        check(said[attr.GEN_AI_USAGE_INPUT_TOKENS], usage.prompt_tokens)
        check(said[attr.GEN_AI_USAGE_OUTPUT_TOKENS], usage.completion_tokens)
        check(1 <= usage.completion_tokens <= MOST_TOKENS and usage.prompt_tokens > 10, right=True)
        check(said[attr.GEN_AI_RESPONSE_MODEL], real.NAME)
        check(attr.OTEL_LLM_COST_TOTAL in said, right=False)
        check(said[attr.OTEL_LLM_COST_UNKNOWN_REASON], "unknown_model")
    for span in chats[1:3]:
        seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        first = values(span)[attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK]
        check(0 < first < seconds, right=True)
    block, left = values(chats[2]), values(chats[3])
    check(block[attr.OTEL_LLM_STREAM_CHUNK_COUNT] > 1, right=True)
    check(block[attr.OTEL_LLM_OUTCOME], "ok")
    check(left[attr.OTEL_LLM_OUTCOME], "cancelled")
    check(chats[3].status.code, 0)


def total(exposed: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    found = [
        sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found)


def check_books(exposed: str, emitted: int, told: list[Any]) -> None:
    """Received = accepted = sent = emitted; the tokens are the model's; no price stands for what has none."""
    for name in ("otel_llm_receiver_received_spans_total", "otelcol_receiver_accepted_spans_total"):
        check(total(exposed, name), emitted)
    check(total(exposed, "otelcol_exporter_sent_spans_total", exporter="sink"), emitted)
    check(total(exposed, "otel_llm_exporter_dropped_spans_total"), 0)
    for kind, field in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        counted = total(exposed, "otel_llm_tokens_total", gen_ai_token_type=kind)
        check(counted, sum(getattr(usage, field) for usage in told))
    check(total(exposed, "otel_llm_cost_usd_total"), 0)
    check(total(exposed, "otel_llm_cost_unpriced_total", otel_llm_cost_unknown_reason="unknown_model"), 3)
    check(total(exposed, "otel_llm_time_to_first_token_seconds_count") >= 2, right=True)


def get(url: str) -> str:
    """The text at `url`, empty while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return ""


def wait_for(condition: Any, what: str, seconds: float = 60) -> Any:
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)
    return found


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def main(folder: Path) -> None:
    """Start everything, ask, and compare the three accounts of it."""
    ports = {"http": free_port(), "admin": free_port()}
    admin = f"http://127.0.0.1:{ports['admin']}"
    async with HttpSink() as sink:
        (folder / "collector.yaml").write_text(CONFIG.format(**ports, sink=sink.address), encoding="utf-8")
        command = [sys.executable, "-m", "otel_llm_collector", "run", "collector.yaml"]
        collector = await asyncio.to_thread(subprocess.Popen, command, cwd=folder)
        try:
            await asyncio.to_thread(wait_for, lambda: get(f"{admin}/ready"), "the collector")
            handle = otel_llm.configure(
                "real-model", endpoint=f"http://127.0.0.1:{ports['http']}", instrument=["openai", "threading"]
            )
            llama, url = await asyncio.to_thread(real.start_llama)
            told = await asyncio.to_thread(ask, url)
            del llama
            check(await asyncio.to_thread(handle.force_flush), right=True)
            check((handle.dropped_spans, handle.exported_spans), (0, handle.emitted_spans))
            await sink.until(lambda: sink.count(Signal.TRACES) >= handle.emitted_spans, 20)
            spans = [span for taken in sink.taken for span in taken.spans()]
            check(len(spans), handle.emitted_spans)
            check_spans(spans, told)
            check_books(await asyncio.to_thread(get, f"{admin}/metrics"), handle.emitted_spans, told)
        finally:
            collector.terminate()
            await asyncio.to_thread(collector.wait, 20)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
