"""Three instrumentations of one client are installed; one is at work, and a call inside a step of ours is one span."""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx2
import openai

import otel_llm
from otel_llm.testing import capture

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
FAMILIES = {
    "auto": "opentelemetry-instrumentation-genai-openai",
    "openinference": "openinference-instrumentation-openai",
    "traceloop": "opentelemetry-instrumentation-openai",
}


def answer(request: httpx2.Request) -> httpx2.Response:
    """The model server."""
    return httpx2.Response(200, json=ANSWER if json.loads(request.content) else {})


def ask(client: openai.OpenAI) -> Any:
    """One call."""
    messages: Any = [{"role": "user", "content": "?"}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages)


def main(family: str) -> None:
    """Check one choice; a process has one, as `configure` has."""
    with capture() as captured:
        handle = otel_llm.configure("rivals", instrument={"openai": family})
        client = openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))
        ask(client)
        alone = len(captured.spans)
        with otel_llm.chat(provider="openai", model="gpt-4o-mini") as call:
            call.response(ask(client))
    assert handle.instrumented["openai"].startswith(f"instrumented by {FAMILIES[family]} "), handle.instrumented
    assert alone == 1, captured.tree()
    assert len(captured.spans) == 2, captured.tree()
    assert captured.find("chat gpt-4o-mini")[-1].tokens.total == 15


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        import subprocess

        for name in FAMILIES:
            subprocess.run([sys.executable, "-W", "ignore", __file__, name], check=True)
