"""docs/dependencies.md names what pyproject.toml names; the code imports what pyproject.toml names, and no more."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"otel_llm", "otel_llm_collector", "otel_llm_semconv", "otel_llm_wire"}  # the last where it is built
# Used without an import of ours.
LOADED_BY_NAME = {
    "httptools",  # uvicorn takes it when it is there
    "opentelemetry-exporter-otlp-proto-http",  # otel_llm/exporters.py
    "opentelemetry-instrumentation-genai-openai",  # otel_llm/instrument.py
    "nvidia-ml-py",  # otel_llm/gpu/nvml.py
    "psutil",  # otel_llm/hardware.py
}


def requirements(extra: str) -> list[Requirement]:
    """The packages of an extra, or of the distribution itself under the name `dependencies`, less our own extras."""
    lines = PROJECT["dependencies"] if extra == "dependencies" else PROJECT["optional-dependencies"][extra]
    return [one for one in map(Requirement, lines) if one.name != PROJECT["name"]]


def names(*extras: str) -> set[str]:
    """The canonical names of those packages."""
    return {str(canonicalize_name(one.name)) for extra in extras for one in requirements(extra)}


def page() -> dict[str, dict[str, list[str]]]:
    """The page's tables: heading -> first cell -> the other cells."""
    tables: dict[str, dict[str, list[str]]] = {}
    rows: dict[str, list[str]] = {}
    for line in (ROOT / "docs/dependencies.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            rows = tables[line.removeprefix("## ")] = {}
        elif line.startswith("| `"):
            first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            rows[first.strip("`")] = rest
    return tables


def test_the_page_names_every_dependency_and_no_other() -> None:
    """One section per extra, one line per package, in the order of pyproject.toml, no cell empty."""
    tables = page()
    tables.pop("Programs")
    assert list(tables) == ["dependencies", *PROJECT["optional-dependencies"]]
    for extra, rows in tables.items():
        assert list(rows) == [one.name for one in requirements(extra)], extra
        for name, cells in rows.items():
            assert len(cells) == 4, name
            assert all(cells), name


def imported(*folders: str) -> set[str]:
    """The distributions that the modules below `folders` import by name, our own and the standard library left out."""
    owners = importlib.metadata.packages_distributions()
    found = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name == "pytest_plugin.py":
                continue  # pytest loads it
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules = [node.module]
                found.update(
                    owner
                    for module in modules
                    if module.split(".")[0] not in sys.stdlib_module_names | OURS
                    for owner in owners_of(module, owners)
                )
    return found


def owners_of(module: str, owners: object) -> set[str]:
    """The distribution of a module; packages that several distributions share are told apart by their files."""
    assert isinstance(owners, dict)
    candidates = {str(canonicalize_name(name)) for name in owners.get(module.split(".", maxsplit=1)[0], [])}
    if len(candidates) < 2:
        return candidates
    path = module.replace(".", "/")
    return {
        name
        for name in candidates
        for file in importlib.metadata.files(name) or []
        if str(file) in {f"{path}.py", f"{path}/__init__.py", f"{path}_pb2.py"}
        or (file.suffix == ".py" and str(file.parent) == path)
    }


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("collector/otel_llm_collector", ["dependencies", "collector", "kafka"]),
        ("semconv/otel_llm_semconv", ["collector"]),  # the registry's reader, not its constants
        ("otel_llm", ["dependencies", "fastapi", "openai", "collector", "demo"]),
        ("examples", ["dependencies", "collector", "demo", "real-model"]),
        ("deploy", ["collector"]),
    ],
)
def test_imports_are_declared(folder: str, extras: list[str]) -> None:
    """No module leans on a package that only some other package happens to bring."""
    assert imported(folder) <= names(*extras)


def test_declared_packages_are_used() -> None:
    """Every package of the SDK, the collector and the demo is imported by name, or known to be loaded otherwise."""
    declared = names("dependencies", "fastapi", "openai", "gpu", "collector", "demo", "kafka")
    assert declared - imported("otel_llm", "collector", "semconv", "examples") == LOADED_BY_NAME


def test_constraints_pin_every_package_and_name_no_place() -> None:
    """Each line is name==version; everything that CI installs is among them within its bounds; no address, no path."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", line) or line.startswith("#") for line in lines)
    versions = {str(canonicalize_name(name)): version for name, version in pins.items()}
    for extra in ("dependencies", "fastapi", "openai", "gpu", "collector", "demo", "dev"):
        for requirement in requirements(extra):
            assert requirement.specifier.contains(versions[str(canonicalize_name(requirement.name))], prereleases=True)
