"""Each library gets one instrumentation: OpenTelemetry's own first, others by name, none twice; the reason is told."""

from __future__ import annotations

import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from otel_llm import guard, instrument, retrievers
from otel_llm.instrument import Library, instrument_libraries

OFFICIAL, OTHER = "official-x", "openinference-x"


class World:
    """Distributions and modules that are there for a test; each instrumentor is one of a kind, as OpenTelemetry's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.points: dict[str, str] = {}
        self.instrumented: list[str] = []
        monkeypatch.setattr(metadata, "version", self.version)
        monkeypatch.setattr(metadata, "distribution", self.distribution)
        monkeypatch.setattr(instrument, "LIBRARIES", {})
        monkeypatch.setattr(instrument, "OWN", {})
        guard.forget()

    def version(self, name: str) -> str:
        if name not in self.points:
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    def distribution(self, name: str) -> Any:
        point = SimpleNamespace(value=self.points[name])
        return SimpleNamespace(entry_points=SimpleNamespace(select=lambda group: [point] if group else []))

    def module(self, name: str, **names: Any) -> None:
        module = ModuleType(name)
        module.__dict__.update(names)
        self.monkeypatch.setitem(sys.modules, name, module)

    def library(self, name: str, *, framework: bool = False) -> None:
        self.module(name)
        library = Library(name, f"official-{name}", f"openinference-{name}", "", "", framework)
        instrument.LIBRARIES[name] = library

    def install(self, distribution: str, *, active: bool = False, fails: bool = False) -> None:
        world = self

        class Instrumentor:
            _instance: Any = None
            is_instrumented_by_opentelemetry = active

            def __new__(cls) -> Any:
                cls._instance = cls._instance or super().__new__(cls)
                return cls._instance

            def instrument(self, *, raise_exception_on_conflict: bool) -> None:
                assert raise_exception_on_conflict
                if fails:
                    msg = "wants x<4"
                    raise RuntimeError(msg)
                self.is_instrumented_by_opentelemetry = True
                world.instrumented.append(distribution)

        if active:
            Instrumentor()
        module = distribution.replace("-", "_")
        self.module(module, Instrumentor=Instrumentor)
        self.points[distribution] = f"{module}:Instrumentor"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world with one library, `x`."""
    made = World(monkeypatch)
    made.library("x")
    return made


def test_official_first(world: World) -> None:
    """Both are installed: OpenTelemetry's own is taken, the other is not even loaded."""
    world.install(OTHER)
    world.install(OFFICIAL)
    assert instrument_libraries(True) == {"x": "instrumented by official-x 1.0"}
    assert world.instrumented == [OFFICIAL]


@pytest.mark.parametrize("wish", ["openinference", OTHER])
def test_others_by_name(world: World, wish: str) -> None:
    """By family or by distribution."""
    world.install(OTHER)
    world.install(OFFICIAL)
    assert instrument_libraries({"x": wish}) == {"x": "instrumented by openinference-x 1.0"}
    assert world.instrumented == [OTHER]


def test_others_never_by_themselves(world: World) -> None:
    """Only another family's is installed: it is named, not taken."""
    world.install(OTHER)
    assert instrument_libraries(True) == {"x": "not instrumented: only asked for by name (x=openinference)"}
    assert world.instrumented == []


def test_nothing_installed_says_what_to_install(world: World) -> None:
    """The library is there and no instrumentation of it."""
    assert instrument_libraries(True) == {"x": "not instrumented: pip install official-x"}
    assert instrument_libraries({"x": "openinference"}) == {"x": "not installed (openinference-x)"}


def test_what_somebody_switched_on_is_left_to_them(world: World) -> None:
    """Another one is active: a second would count each call twice."""
    world.install(OTHER, active=True)
    world.install(OFFICIAL)
    [said] = instrument_libraries(True).values()
    assert said == "left to openinference-x, active already; a second one would double each call"
    assert world.instrumented == []


def test_two_active_ones_are_told(world: World) -> None:
    """The program doubled its calls itself."""
    world.install(OTHER, active=True)
    world.install(OFFICIAL, active=True)
    [said] = instrument_libraries(True).values()
    assert said == "left to official-x and openinference-x, active already; they double each call, switch one off"


def test_a_second_time_changes_nothing(world: World) -> None:
    """What we switched on ourselves is found as active."""
    world.install(OFFICIAL)
    instrument_libraries(True)
    assert instrument_libraries(True)["x"].startswith("left to official-x")
    assert world.instrumented == [OFFICIAL]


def test_a_client_below_a_foreign_framework_is_left_out(world: World) -> None:
    """A framework's instrumentation outside util-genai reports the client's calls too; asked by name, both are had."""
    world.library("frame", framework=True)
    world.install("openinference-frame")
    world.install(OFFICIAL)
    outcome = instrument_libraries({"frame": "openinference"})
    assert outcome["frame"] == "instrumented by openinference-frame 1.0"
    assert outcome["x"] == "left out: openinference-frame reports the same calls; its tokens would count twice"
    assert world.instrumented == ["openinference-frame"]
    assert instrument_libraries({"frame": "openinference", "x": "official"})["x"] == "instrumented by official-x 1.0"


def test_an_official_framework_and_an_official_client_go_together(world: World) -> None:
    """They meet in the context and make one span of one call."""
    world.library("frame", framework=True)
    world.install("official-frame")
    world.install(OFFICIAL)
    instrument_libraries(True)
    assert sorted(world.instrumented) == ["official-frame", OFFICIAL]


def test_litellms_own_callback_counts_as_a_framework(world: World) -> None:
    """Litellm with `callbacks=["otel"]` reports every call already."""
    world.module("litellm", callbacks=["otel"], success_callback=[])
    world.install(OFFICIAL)
    assert "litellm's own OpenTelemetry callback" in instrument_libraries(True)["x"]


def test_one_that_fails_leaves_the_others(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The reason is in the outcome and, once, in the log."""
    world.library("y")
    world.install(OFFICIAL, fails=True)
    world.install("official-y")
    for _ in range(2):
        outcome = instrument_libraries(["x", "y"])
    assert outcome["x"] == "failed (RuntimeError: wants x<4)"
    assert world.instrumented == ["official-y"]
    assert len(caplog.records) == 1


def test_switched_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument, by OpenTelemetry's variable, or all at once."""
    world.install(OFFICIAL)
    assert instrument_libraries({"x": "off"}) == {"x": "off"}
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests, x")
    assert instrument_libraries(True) == {"x": "off"}
    assert instrument_libraries(False) == {}
    assert world.instrumented == []


def test_only_what_is_installed_is_mentioned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is not there is silent unless somebody asks for it."""
    instrument.LIBRARIES["absent"] = Library("no_such_module_here", "official-absent")
    assert "absent" not in instrument_libraries(True)
    assert instrument_libraries(["absent"]) == {"absent": "not installed (no_such_module_here)"}


def test_a_name_that_nobody_knows_is_an_error(world: World) -> None:
    """Of a library it is raised, of a family it is told."""
    with pytest.raises(ValueError, match="instrument names 'opnai'; known are x"):
        instrument_libraries(["opnai"])
    assert instrument_libraries({"x": "lucky"})["x"].startswith("not instrumented: 'lucky' is none of auto, off")


def test_the_table_names_distributions_as_their_families_do() -> None:
    """No cell of the real table breaks its family's scheme, and no class is named twice."""
    for name, library in instrument.LIBRARIES.items():
        for one in library.candidates:
            starts = {
                "official": ("opentelemetry-instrumentation-genai-", "opentelemetry-instrumentation-google-genai"),
                "openinference": ("openinference-instrumentation-",),
                "traceloop": ("opentelemetry-instrumentation-",),
                "openlit": ("openlit",),
            }[one.family]
            assert one.distribution.startswith(starts), (name, one)
            assert (one.family == "openlit") == bool(one.declared)


def test_retrievers_are_waited_for_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is installed is listed; nothing is imported; a name that is asked for and absent is said."""
    monkeypatch.setattr(instrument, "_is_installed", lambda module: module == "faiss")
    waited: list[str] = []
    monkeypatch.setattr(retrievers, "instrument", waited.append)
    assert instrument.instrument_libraries(["faiss", "chroma"]) == {
        "faiss": "instrumented",
        "chroma": "not installed (chromadb)",
    }
    assert waited == ["faiss"]
    assert instrument.instrument_libraries({"faiss": "off"}, rehearse=True)["faiss"] == "off"
    assert "qdrant" not in instrument.instrument_libraries(True, rehearse=True)


@pytest.mark.parametrize(
    ("framework", "distribution", "ours"),
    [
        ("langchain", "openinference-instrumentation-langchain", False),
        ("langchain", "opentelemetry-instrumentation-genai-langchain", False),
        ("llama-index", "openinference-instrumentation-llama-index", False),
        ("llama-index", "opentelemetry-instrumentation-genai-llama-index", True),  # they share one span
    ],
)
def test_retrievers_of_a_framework_have_one_span(
    monkeypatch: pytest.MonkeyPatch, framework: str, distribution: str, ours: bool
) -> None:
    """Whoever reports them is left to it, unless both make one span; without anybody they are ours, and when asked."""
    monkeypatch.setattr(instrument, "_is_installed", lambda _: True)
    name = f"{framework}-retrievers"
    others = {framework: f"instrumented by {distribution} 1.3b0"}
    outcome = instrument._own(name, "auto", others, rehearse=True)
    assert outcome == "instrumented" if ours else outcome.startswith(f"left to {distribution}")
    assert instrument._own(name, "on", others, rehearse=True) == "instrumented"
    nobody = {framework: "not instrumented: pip install it"}
    assert instrument._own(name, "auto", nobody, rehearse=True) == "instrumented"
