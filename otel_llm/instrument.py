"""Which instrumentation each library gets: exactly one, chosen by distribution, and why.

OpenTelemetry's own come first; OpenInference's, Traceloop's and OpenLIT's are taken only when they are asked for by
name (`instrument={"openai": "openinference"}` or `OTEL_LLM_INSTRUMENT=openai=openinference`), since two on one library
report each call twice, tokens and cost with it. For the same reason a library that somebody else has instrumented
already is left to them, and a client is left alone where a framework above it reports the same calls.

Each library stands for itself: one that is absent or fails leaves the others and the program alone, and the reason can
be read in the handle that `configure` returns and in `otel-llm doctor`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from otel_llm import providers
from otel_llm.fastapi import STABILITY_VARIABLE, instrument_class
from otel_llm.guard import warn_once

logger = logging.getLogger(__name__)

OFF, AUTO, OFFICIAL = "off", "auto", "official"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One instrumentation of a library: whose it is, the distribution that has it, and its class as `module:Class`.

    Without a class it is the one that the distribution declares for OpenTelemetry.
    """

    family: str
    distribution: str
    declared: str = ""

    def version(self) -> str | None:
        """The installed version, or None."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    def instrumentor(self) -> tuple[str, str]:
        """Module and name of its class; empty when it is not installed."""
        declared = self.declared
        if not declared and self.version() is not None:
            points = metadata.distribution(self.distribution).entry_points.select(group="opentelemetry_instrumentor")
            declared = next((point.value for point in points), "")
        module, _, name = declared.partition(":")
        return module, name

    def is_active(self) -> bool:
        """Whether the program, or something in it, has switched it on."""
        module, name = self.instrumentor()
        kind = getattr(sys.modules.get(module), name, None) if module else None
        instance = getattr(kind, "_instance", None)  # OpenTelemetry's instrumentors are one of a kind
        return bool(getattr(instance, "is_instrumented_by_opentelemetry", False))


@dataclass(frozen=True, slots=True)
class Library:
    """A library: the module that is there when it is installed, and who can instrument it, by family.

    A framework calls models through the clients of other libraries, and reports those calls too.
    """

    module: str
    official: str = ""
    openinference: str = ""
    traceloop: str = ""
    openlit: str = ""  # all in one distribution, so this is module:Class
    framework: bool = False

    @property
    def candidates(self) -> list[Candidate]:
        """Who can instrument it, in the order of preference."""
        found = [
            Candidate(OFFICIAL, self.official),
            Candidate("openinference", self.openinference),
            Candidate("traceloop", self.traceloop),
        ]
        found = [one for one in found if one.distribution]
        if self.openlit:
            found.append(Candidate("openlit", "openlit", f"openlit.instrumentation.{self.openlit}"))
        return found


_GENAI, _INFERENCE, _LOOP = (
    "opentelemetry-instrumentation-genai-",
    "openinference-instrumentation-",
    "opentelemetry-instrumentation-",
)

# Names of libraries are the ones that their distributions have; each cell is a distribution that exists.
LIBRARIES: dict[str, Library] = {
    "openai": Library(
        "openai", f"{_GENAI}openai", f"{_INFERENCE}openai", f"{_LOOP}openai", "openai:OpenAIInstrumentor"
    ),
    "anthropic": Library(
        "anthropic",
        f"{_GENAI}anthropic",
        f"{_INFERENCE}anthropic",
        f"{_LOOP}anthropic",
        "anthropic:AnthropicInstrumentor",
    ),
    "bedrock": Library(
        "botocore", f"{_GENAI}bedrock", f"{_INFERENCE}bedrock", f"{_LOOP}bedrock", "bedrock:BedrockInstrumentor"
    ),
    "google-genai": Library("google.genai", f"{_LOOP}google-genai", f"{_INFERENCE}google-genai"),
    "cohere": Library("cohere", "", f"{_INFERENCE}cohere", f"{_LOOP}cohere", "cohere:CohereInstrumentor"),
    "mistralai": Library("mistralai", "", f"{_INFERENCE}mistralai", f"{_LOOP}mistralai", "mistral:MistralInstrumentor"),
    "groq": Library("groq", "", f"{_INFERENCE}groq", f"{_LOOP}groq", "groq:GroqInstrumentor"),
    "ollama": Library("ollama", "", f"{_INFERENCE}ollama", f"{_LOOP}ollama", "ollama:OllamaInstrumentor"),
    "together": Library("together", "", f"{_INFERENCE}together", f"{_LOOP}together", "together:TogetherInstrumentor"),
    "vertexai": Library("vertexai", "", f"{_INFERENCE}vertexai", f"{_LOOP}vertexai", "vertexai:VertexAIInstrumentor"),
    "litellm": Library("litellm", "", f"{_INFERENCE}litellm", "", "litellm:LiteLLMInstrumentor", framework=True),
    "langchain": Library(
        "langchain_core",
        f"{_GENAI}langchain",
        f"{_INFERENCE}langchain",
        f"{_LOOP}langchain",
        "langchain:LangChainInstrumentor",
        framework=True,
    ),
    "llama-index": Library(
        "llama_index",
        f"{_GENAI}llama-index",
        f"{_INFERENCE}llama-index",
        f"{_LOOP}llamaindex",
        "llamaindex:LlamaIndexInstrumentor",
        framework=True,
    ),
    "openai-agents": Library(
        "agents",
        f"{_GENAI}openai-agents",
        f"{_INFERENCE}openai-agents",
        f"{_LOOP}openai-agents",
        "openai_agents:OpenAIAgentsInstrumentor",
        framework=True,
    ),
    "dspy": Library("dspy", f"{_GENAI}dspy", f"{_INFERENCE}dspy", framework=True),
    "agno": Library(
        "agno", f"{_GENAI}agno", f"{_INFERENCE}agno", f"{_LOOP}agno", "agno:AgnoInstrumentor", framework=True
    ),
    "smolagents": Library("smolagents", f"{_GENAI}smolagents", f"{_INFERENCE}smolagents", framework=True),
    "crewai": Library(
        "crewai", "", f"{_INFERENCE}crewai", f"{_LOOP}crewai", "crewai:CrewAIInstrumentor", framework=True
    ),
    "haystack": Library(
        "haystack", "", f"{_INFERENCE}haystack", f"{_LOOP}haystack", "haystack:HaystackInstrumentor", framework=True
    ),
}


def _threading() -> str:
    said: str = import_module("otel_llm.threads").instrument()
    return said


def _retriever(name: str) -> Callable[[], None]:
    def attach() -> None:
        import_module("otel_llm.retrievers").instrument(name)

    return attach


# Vector stores and retrievers, patched when the program imports them: importing them here would take seconds.
RETRIEVERS = {
    "chroma": "chromadb",
    "faiss": "faiss",
    "langchain-retrievers": "langchain_core",
    "llama-index-retrievers": "llama_index",
    "pgvector": "psycopg",
    "qdrant": "qdrant_client",
}

# Retrievers of a framework -> the framework, whose instrumentation may report them already, and whether the official
# one shares its span with ours. LangChain's starts spans from callbacks, which do not see the context of the call.
_FRAMEWORKS = {"langchain-retrievers": ("langchain", False), "llama-index-retrievers": ("llama-index", True)}

# What is instrumented by code of ours; it stands beside the candidates above and doubles nothing.
OWN: dict[str, tuple[str, Callable[[], str | None]]] = {
    "threading": ("threading", _threading),
    "fastapi": ("fastapi", instrument_class),
    **{name: (module, _retriever(name)) for name, module in RETRIEVERS.items()},
}


def known() -> list[str]:
    """Every library that can be named."""
    return [*OWN, *LIBRARIES]


def instrument_libraries(which: bool | Iterable[str] | Mapping[str, str], *, rehearse: bool = False) -> dict[str, str]:
    """Instrument the libraries that `which` names (True: all that are installed); returns what became of each.

    A mapping is of a library and a family, a distribution, `auto` or `off`; libraries that it does not name are chosen
    as if it said `auto`. Names alone are the only ones that are instrumented. A rehearsal says what would be done.
    """
    if which is False:
        return {}
    wishes = dict(which) if isinstance(which, Mapping) else {}
    names = known() if which is True or isinstance(which, Mapping) else list(which)
    for name in [*names, *wishes]:
        if name not in OWN and name not in LIBRARIES:
            raise ValueError(f"configure: instrument names {name!r}; known are {', '.join(known())}")
    if not rehearse:
        os.environ.setdefault(STABILITY_VARIABLE, "http")
    asked = set(wishes) | (set(names) if which is not True and not isinstance(which, Mapping) else set())
    outcome: dict[str, str] = {}
    # Frameworks first: what becomes of a client depends on the framework above it.
    for name in sorted(names, key=lambda name: not (name in LIBRARIES and LIBRARIES[name].framework)):
        wish = wishes.get(name, AUTO)
        if name in OWN:
            if name in asked or name not in RETRIEVERS or _is_installed(RETRIEVERS[name]):
                outcome[name] = _own(name, wish, outcome, rehearse=rehearse)
        elif name in asked or _is_installed(LIBRARIES[name].module):
            outcome[name] = _library_outcome(name, wish, outcome, rehearse=rehearse)
    return {name: outcome[name] for name in names if name in outcome}


def _own(name: str, wish: str, others: Mapping[str, str], *, rehearse: bool) -> str:
    module, function = OWN[name]
    if wish == OFF or name in _disabled():
        return "off"
    framework, shares = _FRAMEWORKS.get(name, ("", False))
    above = _reporting(framework, others, official=not shares) if framework else ""
    if above and wish == AUTO:
        return f"left to {above}, which reports retrievers; a second span would count each document twice"
    if (rehearse or name in RETRIEVERS) and not _is_installed(module):
        return f"not installed ({module})"
    try:
        if name not in RETRIEVERS and not rehearse:
            import_module(module)
        said = None if rehearse else function()
    except ImportError as error:
        return f"not installed ({error.name or error})"
    except Exception as error:  # somebody else's code must not stop the program
        warn_once(f"{name} could not be instrumented: {error}")
        return f"failed ({type(error).__name__}: {error})"
    return said or "instrumented"


def _library_outcome(name: str, wish: str, others: Mapping[str, str], *, rehearse: bool) -> str:
    """Decide for one library, do it, and say both."""
    library = LIBRARIES[name]
    if wish == OFF or name in _disabled():
        return "off"
    if not _is_installed(library.module):
        return f"not installed ({library.module})"
    active = [one for one in library.candidates if one.is_active()]
    if active:
        extra = (
            "; they double each call, switch one off" if len(active) > 1 else "; a second one would double each call"
        )
        return f"left to {' and '.join(one.distribution for one in active)}, active already{extra}"
    above = _reported_above(library, others)
    if above and wish == AUTO:
        return f"left out: {above} reports the same calls; its tokens would count twice"
    chosen, reason = _choose(library, name, wish)
    if chosen is None:
        return reason
    return f"instrumented by {chosen.distribution} {chosen.version()}" if rehearse else _attach(name, chosen)


def _choose(library: Library, name: str, wish: str) -> tuple[Candidate | None, str]:
    """The candidate, or None and the reason."""
    if wish == AUTO:
        official = next((one for one in library.candidates if one.family == OFFICIAL), None)
        if official is not None and official.version() is not None:
            return official, ""
        others = [one for one in library.candidates if one.version() is not None]
        if others:
            said = ", ".join(f"{name}={one.family}" for one in others)
            return None, f"not instrumented: only asked for by name ({said})"
        advice = official.distribution if official is not None else library.candidates[0].distribution
        return None, f"not instrumented: pip install {advice}"
    for one in library.candidates:
        if wish in (one.family, one.distribution):
            return (one, "") if one.version() is not None else (None, f"not installed ({one.distribution})")
    right = ", ".join([AUTO, OFF, *(one.family for one in library.candidates)])
    warn_once(f"instrument: {name}={wish}; use one of {right}")
    return None, f"not instrumented: {wish!r} is none of {right}"


def _attach(name: str, chosen: Candidate) -> str:
    try:
        if name == "anthropic":
            # From its version 2 on the client traces itself; its spans would stand beside these. Read by new clients.
            os.environ.setdefault("ANTHROPIC_OPEN_TELEMETRY", "false")
        module, kind = chosen.instrumentor()
        instrumentor: Any = getattr(import_module(module), kind)()
        given = providers.used("tracer_provider", "meter_provider", "logger_provider")
        instrumentor.instrument(raise_exception_on_conflict=True, **given)
        if chosen.family == OFFICIAL:
            import_module("otel_llm.stopped_streams").instrument()
    except Exception as error:  # somebody else's code must not stop the program
        warn_once(f"{name} could not be instrumented by {chosen.distribution}: {error}")
        return f"failed ({type(error).__name__}: {error})"
    return f"instrumented by {chosen.distribution} {chosen.version()}"


def _reported_above(library: Library, others: Mapping[str, str]) -> str:
    """The framework's instrumentation that reports a client's calls without sharing its place in the context."""
    if library.framework:
        return ""
    for name, other in LIBRARIES.items():
        if other.framework and (found := _reporting(name, others, official=False)):
            return found
    return "litellm's own OpenTelemetry callback" if _litellm_traces_itself() else ""


def _reporting(name: str, others: Mapping[str, str], *, official: bool) -> str:
    """The distribution that instruments a framework; the official one, whose spans ours can share, only if asked."""
    for one in LIBRARIES[name].candidates:
        if not official and one.family == OFFICIAL:
            continue
        if one.is_active() or f" {one.distribution} " in others.get(name, ""):
            return one.distribution
    return ""


def _litellm_traces_itself() -> bool:
    litellm = sys.modules.get("litellm")
    lists = ("callbacks", "success_callback")
    return any("otel" in map(str, getattr(litellm, name, None) or ()) for name in lists)


def _disabled() -> set[str]:
    said = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    names = {name.strip().replace("_", "-") for name in said.split(",") if name.strip()}
    return set(known()) if "*" in names else names


def _is_installed(module: str) -> bool:
    try:
        return module in sys.modules or find_spec(module) is not None
    except (ImportError, ValueError):
        return False
