"""A configuration is read whole, and every mistake in it is told at once, with path, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_llm_collector import config
from otel_llm_collector.errors import ConfigError

DATA = Path(__file__).parents[2] / "data" / "config"


def expected(path: Path) -> list[tuple[str, str, str]]:
    """The `# expect: path | words of what is wrong | words of what is right` lines of a fixture."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("# expect: ")]
    return [tuple(part.strip() for part in line.removeprefix("# expect: ").split("|")) for line in lines]  # type: ignore[misc]


@pytest.mark.parametrize("path", sorted((DATA / "invalid").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_mistake_is_told_where_it_is(path: Path) -> None:
    """Every refusal has a fixture, and a file is refused for exactly the mistakes it has."""
    wanted = expected(path)
    assert wanted, f"{path} says nothing of what it expects"
    with pytest.raises(ConfigError) as caught:
        config.load(path, {})
    problems = caught.value.problems
    assert sorted(problem.path for problem in problems) == sorted(where for where, _, _ in wanted)
    for where, wrong, right in wanted:
        [problem] = [problem for problem in problems if problem.path == where]
        assert wrong in problem.wrong
        assert right in problem.right
        assert problem.seen
        assert problem.right


@pytest.mark.parametrize("path", sorted((DATA / "valid").glob("*.yaml")), ids=lambda path: path.stem)
def test_valid_files_load(path: Path) -> None:
    """The documented shapes are accepted, an empty file means the defaults."""
    config.load(path, {})


def test_without_a_file_the_defaults_of_the_design_hold() -> None:
    """No file: OTLP on 4317 and 4318, the admin port on 8889, all on loopback."""
    defaults = config.Config()
    assert defaults.receivers.otlp.grpc is not None
    assert defaults.receivers.otlp.http is not None
    assert defaults.receivers.otlp.grpc.endpoint == "127.0.0.1:4317"
    assert defaults.receivers.otlp.http.endpoint == "127.0.0.1:4318"
    assert defaults.server.endpoint == "127.0.0.1:8889"
    assert defaults.exporters == {}


def test_variables_are_replaced_in_values_only() -> None:
    """A variable gives a value or its default, `$$` a dollar, and no variable can add a key."""
    entry = '{type: otlp_http, endpoint: "http://${env:H:-127.0.0.1}:1/$$x", timeout_seconds: "${env:T}"}'
    environment = {"T": "7"}
    loaded = config.parse(f"exporters: {{a: {entry}}}", environment, source="test", folder=Path())
    assert str(loaded.exporters["a"].endpoint) == "http://127.0.0.1:1/$x"  # type: ignore[attr-defined]
    assert loaded.exporters["a"].timeout_seconds == 7  # type: ignore[attr-defined]


def test_secrets_do_not_appear_in_errors() -> None:
    """A mistake beside a secret is told without the secret."""
    text = 'exporters: {a: {type: otlp_http, endpoint: "http://h:1", headers: {authorization: ["Bearer hunter2"]}}}'
    with pytest.raises(ConfigError) as caught:
        config.parse(text, {}, source="test", folder=Path())
    assert "hunter2" not in str(caught.value)


def test_relative_paths_start_at_the_folder_of_the_file() -> None:
    """Wherever the collector is started, a file means the same."""
    text = (
        "log: {kind: disk, path: ./log}\nexporters: {a: {type: otlp_http, endpoint: 'https://h', tls: {ca_file: ca}}}"
    )
    loaded = config.parse(text, {}, source="test", folder=Path("/etc/otel"))
    assert loaded.log.path == Path("/etc/otel/log")  # type: ignore[attr-defined]
    assert loaded.exporters["a"].tls.ca_file == Path("/etc/otel/ca")
    loaded = config.parse("log: {kind: disk}", {}, source="test", folder=Path("/etc/otel"))
    assert loaded.log.path == Path("/etc/otel/data/log")  # type: ignore[attr-defined]
