"""The JSON Schema of a configuration file, for editors; `config` is what decides."""

from __future__ import annotations

from collections.abc import Mapping
from types import GenericAlias
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, create_model

from otel_llm_collector.alert.rules import AlertsConfig
from otel_llm_collector.components import EXPORTERS, LOGS, notifiers
from otel_llm_collector.config import Sections

# in the place of a number, a switch or a choice, whose value is known when the file is read
_VARIABLE = {"type": "string", "pattern": r"\$\{(env|file):"}
_SCALARS = ("boolean", "integer", "number")


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a configuration with the components that are installed here."""
    notify: Any = GenericAlias(dict, (str, _one_of(notifiers(), "type")))
    exporters: Any = GenericAlias(dict, (str, _one_of(EXPORTERS, "type")))
    alerts = create_model("Alerts", __base__=AlertsConfig, notify=(notify, _as_declared(AlertsConfig, "notify")))
    model = create_model(
        "Configuration",
        __base__=Sections,
        alerts=(alerts, _as_declared(Sections, "alerts")),
        exporters=(exporters, _as_declared(Sections, "exporters")),
        log=(_one_of(LOGS, "kind"), _as_declared(Sections, "log")),
    )
    schema = _with_variables(model.model_json_schema())
    assert isinstance(schema, dict)  # noqa: S101 - what goes in as a mapping comes out as one
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "otel-llm-collector",
        "description": "Configuration of otel-llm-collector.",
    }


def _one_of(table: Mapping[str, Any], key: str) -> Any:
    """The settings of any component in `table`; `key` says which."""
    kinds = tuple(component.config for component in table.values())
    return Annotated[Union[kinds], Field(discriminator=key)] if len(kinds) > 1 else kinds[0]  # noqa: UP007 - a tuple


def _as_declared(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    make: Any = field.default_factory
    return Field(default_factory=make, description=field.description)


def _with_variables(schema: Any) -> Any:
    """`schema` in which `${env:NAME}` may stand in the place of every number, switch and choice."""
    if isinstance(schema, list):
        return [_with_variables(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: value if key == "default" else _with_variables(value) for key, value in schema.items()}
    if schema.get("type") not in _SCALARS and not isinstance(schema.get("enum"), list):
        return inner
    about = {key: inner.pop(key) for key in ("default", "description", "title") if key in inner}
    return {"anyOf": [inner, _VARIABLE], **about}
