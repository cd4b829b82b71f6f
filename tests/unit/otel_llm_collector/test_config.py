"""A configuration is read whole, and every mistake in it is told at once, with path, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def test_secrets_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    """`${file:…}` gives what stands in a file, its newline cut off; a file that is missing is told by its name only."""
    (tmp_path / "token").write_text("s3cret-token\n")
    entry = '{type: otlp_http, endpoint: "http://a:1", headers: {authorization: "Bearer ${file:token}"}}'
    loaded = config.parse(f"exporters: {{a: {entry}}}", {}, source="test", folder=tmp_path)
    settings: Any = loaded.exporters["a"]
    assert settings.headers["authorization"].get_secret_value() == "Bearer s3cret-token"
    assert "s3cret" not in repr(loaded)
    with pytest.raises(ConfigError, match=r"names a file that cannot be read .*\$\{file:missing\}"):
        config.parse('server: {endpoint: "${file:missing}"}', {}, source="test", folder=tmp_path)


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    """Names and passwords belong into headers; the sentence that says so does not repeat them."""
    entry = '{type: otlp_http, endpoint: "http://user:hunter2@a:1"}'
    with pytest.raises(ConfigError, match="put them into headers") as caught:
        config.parse(f"exporters: {{a: {entry}}}", {}, source="test", folder=Path())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["opik", "langfuse", "wandb", "phoenix", "mlflow"])
def test_keys_of_backends_are_never_shown(name: str) -> None:
    """Neither the loaded configuration nor a mistake beside a key shows the key."""
    needed = {"wandb": "entity: e, project: p, api_key: hunter2-key", "langfuse": "secret_key: hunter2-key"}
    key = needed.get(name, "token: hunter2-key" if name == "mlflow" else "api_key: hunter2-key")
    entry = f'{{type: {name}, endpoint: "http://a:1", {key}}}'
    loaded = config.parse(f"exporters: {{a: {entry}}}", {}, source="test", folder=Path())
    settings: Any = loaded.exporters["a"]
    assert "hunter2" not in repr(loaded) + settings.model_dump_json()
    assert settings.said("refused hunter2-key") == "refused ***"
    with pytest.raises(ConfigError) as caught:
        config.parse(f"exporters: {{a: {entry[:-1]}, nosuch: 1}}}}", {}, source="test", folder=Path())
    assert "hunter2" not in str(caught.value)
