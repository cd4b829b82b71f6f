"""Every option stands in the documentation as the code declares it: destinations, logs and all other sections.

`python tests/docs/test_options.py` writes the tables.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.alert.budgets import Budget
from otel_llm_collector.alert.grouping import GroupingSettings
from otel_llm_collector.components import EXPORTERS, LOGS, NOTIFIERS
from otel_llm_collector.config import OtlpConfig, ReceiversConfig, Sections
from otel_llm_collector.deliver.profile import shipped_profiles
from otel_llm_collector.deliver.settings import DestinationSettings, NetworkSettings, ScoredSettings
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

FOLDER = Path(__file__).parents[2] / "docs/destinations"
BEGIN, END = "<!-- options: {} -->\n", "<!-- end -->"
MAX_DEPTH = 2
REFERENCE = FOLDER.parent / "reference/configuration.md"
ELSEWHERE = {"exporters", "log"}  # sections with pages of their own
SHARED = {"every": DestinationSettings, "network": NetworkSettings, "scores": ScoredSettings}


def table(settings: type[BaseModel]) -> str:
    """The options that `settings` declares itself, nested ones with their path."""
    rows = ["| option | default | what |", "|---|---|---|"]
    own = [name for name in settings.__annotations__ if name in settings.model_fields]
    for name in own:
        rows += _rows(name, settings.model_fields[name])
    return "\n".join(rows) + "\n"


def _rows(path: str, field: Any) -> list[str]:
    nested = field.annotation
    if isinstance(nested, type) and issubclass(nested, BaseModel) and field.default_factory is not None:
        return [row for name, one in nested.model_fields.items() for row in _rows(f"{path}.{name}", one)]
    rows = [f"| `{path}` | {_default(field)} | {field.description} |"]
    for inner in _inside(field.annotation):
        if path != "profile" and path.count(".") < MAX_DEPTH:  # what stands in a profile is a file of its own
            rows += [row for name, one in inner.model_fields.items() for row in _rows(f"{path}.{name}", one)]
    return rows


def _inside(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes in an option that may also be null, or is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for argument in getattr(annotation, "__args__", ()) for one in _inside(argument)]


def _default(field: Any) -> str:
    if field.default_factory is not None:
        value = field.default_factory()
        if isinstance(value, BaseModel):
            return "as below"
        return f"`{value}`" if value else ""
    if field.default is PydanticUndefined:
        return "required"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, str) and "\n" in value:
        return "one of its own"
    words = {None: "`null`", True: "`true`", False: "`false`", "": ""}
    return words[value] if isinstance(value, (bool, str, type(None))) and value in words else f"`{value}`"


def sections() -> dict[str, type[BaseModel]]:
    """The tables of the reference, each with what it shows."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in Sections.model_fields.items():
        if name not in ELSEWHERE:
            found[name] = _inside(field.annotation)[-1]
    assert found["budgets"] is Budget
    assert found.pop("receivers") is ReceiversConfig
    for name, field in OtlpConfig.model_fields.items():
        found[f"receivers.otlp.{name}"] = _inside(field.annotation)[0]
    found["alerts.notify"] = GroupingSettings
    found["apprise"] = NOTIFIERS["apprise"].config
    return found


def pages() -> dict[Path, list[tuple[str, type[BaseModel]]]]:
    """Each page with the tables it has to have."""
    found: dict[Path, list[tuple[str, type[BaseModel]]]] = {FOLDER / "README.md": list(SHARED.items())}
    found[FOLDER.parent / "log.md"] = [(name, log.config) for name, log in LOGS.items()]
    found[REFERENCE] = list(sections().items())
    for name, component in EXPORTERS.items():
        found[FOLDER / f"{name}.md"] = [(name, component.config)]
    return found


def written(text: str, name: str) -> str | None:
    """The table of that name on a page."""
    match = re.search(re.escape(BEGIN.format(name)) + r"(.*?)" + re.escape(END), text, re.DOTALL)
    return match[1] if match else None


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_option_is_on_its_page(page: Path) -> None:
    """The page is there, and its tables are what the settings classes say."""
    text = page.read_text(encoding="utf-8")
    for name, settings in pages()[page]:
        assert written(text, name) == table(settings), f"run python {Path(__file__).name} to write {page.name}"


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_page_has_an_example(name: str) -> None:
    """A configuration that names the type; another test runs each such block through the collector's own check."""
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert re.search(rf"^```yaml\nexporters:.*?type: {name}\b.*?^```$", text, re.MULTILINE | re.DOTALL)


def test_every_page_is_linked_from_the_first() -> None:
    """Somebody who looks for a backend finds its page, and each profile is named."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in EXPORTERS:
        assert f"]({name}.md)" in text
    for name in shipped_profiles():
        assert f"`{name}`" in text


def write() -> None:
    """Write the tables into the pages."""
    for page, tables in pages().items():
        text = page.read_text(encoding="utf-8")
        for name, settings in tables:
            old = written(text, name)
            if old is not None:
                text = text.replace(BEGIN.format(name) + old, BEGIN.format(name) + table(settings))
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
