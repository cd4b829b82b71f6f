"""The wheel and the source distribution as they would be published, and what a clean installation of them does."""

from __future__ import annotations

import configparser
import email
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "otel_llm": ROOT / "otel_llm",
    "otel_llm_semconv": ROOT / "semconv/otel_llm_semconv",
    "otel_llm_collector": ROOT / "collector/otel_llm_collector",
}
# What an SDK-only installation must not bring into somebody's program.
HEAVY = {"grpcio", "numpy", "uvicorn", "pydantic", "PyYAML", "fastapi", "starlette", "openai", "httpx2", "genai-prices"}
# What may: OpenTelemetry's API, SDK and OTLP/HTTP exporter, their needs, wrapt, and ourselves.
MAX_SDK_PACKAGES = 19
MAX_SDK_BYTES = 19_000_000  # OpenTelemetry's packages are 13 of it
MAX_OWN_BYTES = 5_000_000  # files beyond OpenTelemetry's packages; the collector's own code is in the wheel too
MAX_OWN_BYTES_COMPILED = 7_000_000  # with the bytecode that pip writes beside them
DEBIANS_PIP = "23.0.1"

LIST_INSTALLED = """
import importlib.metadata, json
print(json.dumps([d.name for d in importlib.metadata.distributions()]))
"""

USE_THE_SDK = """
import time
import otel_llm
handle = otel_llm.configure(service_name="s", endpoint="http://127.0.0.1:9", shutdown_seconds=0.5)
with otel_llm.workflow("answer"):
    with otel_llm.retrieval(source="docs", k=2) as step:
        step.documents([{"id": "a"}])
print(handle.emitted_spans, handle.instrumented["fastapi"])
"""

PRINT_READY_AND_STOP = """
import asyncio, json
from pathlib import Path
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.engine import load_engine

YAML = '''
receivers: {otlp: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}
server: {endpoint: "127.0.0.1:0"}
'''

async def main():
    app = App(config.parse(YAML, {}, source="test", folder=Path()), load_engine({}))
    await app.start()
    print(json.dumps(sorted(app.addresses())))
    await app.shutdown()

asyncio.run(main())
"""


def files_in(wheel: Path) -> set[str]:
    """The paths inside a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path, name: str) -> str:
    """A file of the wheel's dist-info."""
    with zipfile.ZipFile(wheel) as archive:
        [path] = [one for one in archive.namelist() if one.endswith(f".dist-info/{name}")]
        return archive.read(path).decode()


def installed(environment: Any) -> set[str]:
    """The distributions in an environment."""
    return set(json.loads(environment.python(LIST_INSTALLED).stdout))


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    """Every file of the packages, the registry and the type markers among them, is in the wheel; tests are not."""
    expected = {
        f"{name}/{path.relative_to(folder)}"
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    links = {
        "rules": ROOT / "collector/rules",
        "runbooks": ROOT / "docs/runbooks",
    }  # of which rglob gives the link alone
    expected |= {
        f"otel_llm_collector/{name}/{path.name}"
        for name, folder in links.items()
        for path in folder.iterdir()
        if path.is_file()
    }
    found = {path for path in files_in(wheel) if ".dist-info/" not in path}
    assert found == expected
    assert {f"{name}/py.typed" for name in PACKAGES} <= found
    assert sum(path.startswith("otel_llm_semconv/registry/") for path in found) > 3


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Name, licence, Python and the two commands are in its metadata."""
    fields = email.message_from_string(metadata(wheel, "METADATA"))
    assert fields["Name"] == "otel-llm"
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Requires-Python"] == ">=3.11"
    commands = configparser.ConfigParser()
    commands.read_string(metadata(wheel, "entry_points.txt"))
    assert dict(commands["console_scripts"]) == {
        "otel-llm": "otel_llm.cli:main",
        "otel-llm-collector": "otel_llm_collector.cli:main",
    }


def test_the_source_distribution_builds_the_same_wheel(
    sdist: Path, wheel: Path, builder: Callable[..., list[Path]], tmp_path: Path
) -> None:
    """Who has only the source distribution gets the same files."""
    unpacked = tmp_path / "source"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", str(sdist), "-C", str(unpacked)], check=True, timeout=60)
    [source] = unpacked.iterdir()
    [again] = builder(source, tmp_path / "again", "--target", "wheel")
    assert files_in(again) == files_in(wheel)


def test_the_image_has_what_the_build_needs(wheel: Path, builder: Callable[..., list[Path]], tmp_path: Path) -> None:
    """From nothing but what deploy/Dockerfile copies before its pip, the same wheel can be built."""
    before_pip, found, _ = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").partition("RUN pip install")
    assert found
    source = tmp_path / "source"
    source.mkdir()
    for line in before_pip.splitlines():
        if line.startswith("COPY "):
            *names, to = line.split()[1:]
            for name in names:
                target = source / to / name if to == "./" else source / to
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copyfile(ROOT / name, target)
    [again] = builder(source, tmp_path / "again", "--target", "wheel")
    assert files_in(again) == files_in(wheel)


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_the_sdk_alone_is_small(install: Callable[[str], Any]) -> None:
    """Without extras nothing of the collector comes along: few packages, few bytes, no server, no native gRPC."""
    environment = install("")
    found = installed(environment)
    assert not found & HEAVY
    assert len(found) <= MAX_SDK_PACKAGES, sorted(found)
    sizes = [path.stat().st_size for path in environment.folder.glob("lib/**/*") if path.is_file()]
    assert sum(sizes) < MAX_SDK_BYTES
    ours = {path: path.stat().st_size for path in environment.folder.glob("lib/**/otel_llm*/**/*") if path.is_file()}
    assert sum(size for path, size in ours.items() if path.suffix != ".pyc") < MAX_OWN_BYTES
    assert sum(ours.values()) < MAX_OWN_BYTES_COMPILED


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_an_old_pip_finds_versions_that_fit(wheel: Path, tmp_path: Path) -> None:
    """The pip of Debian 12 gives up early where packages require each other in exact versions; it finds all extras."""
    python = tmp_path / "environment" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "environment")], check=True, timeout=60)
    for arguments in ([f"pip=={DEBIANS_PIP}"], ["--dry-run", f"otel-llm[all] @ {wheel.as_uri()}"]):
        ended = subprocess.run([*pip, *arguments], capture_output=True, text=True, timeout=200, check=False)
        if "Failed to establish a new connection" in ended.stderr:
            pytest.skip("no package index can be reached; resolving versions needs one")
        assert ended.returncode == 0, ended.stderr


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_the_sdk_alone_works_without_a_collector(install: Callable[[str], Any]) -> None:
    """A traced program runs to its end although nobody listens, and says what could not be instrumented."""
    ended = install("").python(USE_THE_SDK, timeout=20)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("2 not installed")


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_the_demo_without_its_extra_says_what_to_install(install: Callable[[str], Any]) -> None:
    """`otel-llm demo` in an SDK-only installation is one sentence and exit code 2, no traceback."""
    ended = install("").run("otel-llm", "demo")
    assert ended.returncode == 2
    assert "pip install 'otel-llm[demo]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_the_collector_extra_gives_a_working_collector(install: Callable[[str], Any]) -> None:
    """From the wheel: help, components, a check of the shipped configuration, and a start on free ports."""
    environment = install("[collector]")
    assert "check" in environment.run("otel-llm-collector", "--help").stdout
    assert "otlp_grpc" in environment.run("otel-llm-collector", "components").stdout
    checked = environment.run("otel-llm-collector", "check", str(ROOT / "deploy/collector/collector.yaml"))
    assert checked.returncode == 0, checked.stderr
    assert "gpu latency quality" in environment.run("otel-llm-collector", "components").stdout
    (environment.folder / "empty/rules.yaml").write_text('alerts: {rules: ["shipped:*"], evaluation_seconds: 60}\n')
    checked = environment.run("otel-llm-collector", "check", "rules.yaml")
    assert re.search(r"[2-9][0-9] alert rules", checked.stdout), checked
    served = environment.python("from otel_llm_collector import shipped; print(shipped.runbook('latency.md'))")
    assert "# Runbook: latency" in served.stdout
    ended = environment.python(PRINT_READY_AND_STOP)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == ["OTLP/HTTP", "OTLP/gRPC", "metrics, health, queries, alerts"]
    assert not installed(environment) & {"fastapi", "openai", "pytest"}
