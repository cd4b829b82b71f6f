"""Reading a configuration file: YAML, `${env:VAR:-default}`, and every mistake at once.

The settings of a component are declared beside the component; this file only names the sections and turns whatever is
wrong into `Problem`s with the full path, the value seen and what would be right.
"""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from otel_llm_collector import shipped
from otel_llm_collector.alert.budgets import Budget, budget_groups
from otel_llm_collector.alert.grouping import GroupingSettings
from otel_llm_collector.alert.rule_files import Group, parse_rules
from otel_llm_collector.alert.rules import AlertsConfig, ThresholdFile, threshold_group
from otel_llm_collector.alert.slo import slo_groups
from otel_llm_collector.components import EXPORTERS, LOGS, notifiers, processors
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.engine.settings import GenAiConfig, PricesConfig, ProcessorsConfig
from otel_llm_collector.errors import ConfigError, Problem
from otel_llm_collector.masking import SECRET_NAME, Mask, named_secrets, secrets_in, shown, without_credentials
from otel_llm_collector.measure.past import MeasureConfig
from otel_llm_collector.receive.otlp_grpc import OtlpGrpcConfig
from otel_llm_collector.receive.otlp_http import OtlpHttpConfig
from otel_llm_collector.serve.admin import ServerConfig

_DEADMAN = """
groups:
  - name: deadman
    rules:
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: none}
        annotations: {summary: "Always fires. When its notification stops, alerting is broken."}
"""

_Model = TypeVar("_Model", bound=BaseModel)

_MAX_SEEN_CHARS = 80
_MAX_SECRET_CHARS = 64 * 1024
_QUOTED = re.compile(r"'(?!<)[^']{2,}'(?! stands here twice)")
_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*?))?\}|\$\{file:([^}]+)\}|\$\$")


class OtlpConfig(BaseModel):
    """The OTLP receiver; a protocol set to null is not listened on."""

    model_config = ConfigDict(extra="forbid")

    grpc: OtlpGrpcConfig | None = Field(default_factory=OtlpGrpcConfig, description="OTLP over gRPC.")
    http: OtlpHttpConfig | None = Field(default_factory=OtlpHttpConfig, description="OTLP over HTTP.")


class ReceiversConfig(BaseModel):
    """Where telemetry comes in."""

    model_config = ConfigDict(extra="forbid")

    otlp: OtlpConfig = Field(default_factory=OtlpConfig, description="OTLP over gRPC and HTTP.")


class Sections(BaseModel):
    """The sections whose shape does not depend on a `type` or `kind`."""

    model_config = ConfigDict(extra="forbid")

    receivers: ReceiversConfig = Field(default_factory=ReceiversConfig, description="Where telemetry comes in.")
    processors: ProcessorsConfig = Field(
        default_factory=ProcessorsConfig, description="What is done to telemetry before it is kept."
    )
    prices: PricesConfig = Field(
        default_factory=PricesConfig, description="Prices of your own, before the price book's."
    )
    genai: GenAiConfig = Field(
        default_factory=GenAiConfig, description="How the spans of GenAI libraries are read and measured."
    )
    exporters: dict[str, Any] = Field(default_factory=dict, description="One entry per destination, named by you.")
    log: dict[str, Any] = Field(default_factory=lambda: {"kind": "memory"}, description="Where requests are kept.")
    alerts: AlertsConfig = Field(default_factory=AlertsConfig, description="Rules, and who is told.")
    budgets: dict[str, Budget] = Field(default_factory=dict, description="What may be spent, named by you.")
    measure: MeasureConfig = Field(default_factory=MeasureConfig, description="Metrics kept for rules and queries.")
    server: ServerConfig = Field(default_factory=ServerConfig, description="The admin port.")


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that can be run. `exporters` and `log` hold the settings class that their type asks for."""

    receivers: ReceiversConfig = field(default_factory=ReceiversConfig)
    processors: ProcessorsConfig = field(default_factory=ProcessorsConfig)
    prices: PricesConfig = field(default_factory=PricesConfig)
    genai: GenAiConfig = field(default_factory=GenAiConfig)
    exporters: dict[str, DestinationSettings] = field(default_factory=dict)
    log: BaseModel = field(default_factory=LOGS["memory"].config)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    notify: dict[str, GroupingSettings] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    folder: Path = Path()  # relative paths in the file start here
    referenced: tuple[SecretStr, ...] = ()  # what came from files, and from variables called like a secret

    def shown(self, mask: Mask) -> dict[str, Any]:
        """The configuration that runs, defaults and all, as JSON has it, without secrets."""
        sections = shown(self, mask)
        del sections["folder"], sections["referenced"]
        sections["alerts"]["notify"] = sections.pop("notify")
        return dict(sections)

    def secrets(self) -> Iterator[str]:
        """Every secret in it, declared or not; see `masking`."""
        yield from secrets_in(self)
        for plugin in self.processors.plugins.values():
            yield from named_secrets(plugin.settings)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One file being read: where its relative paths start, what is wrong with it so far, what came from elsewhere."""

    folder: Path
    problems: list[Problem] = field(default_factory=list)
    referenced: set[str] = field(default_factory=set)

    def problems_without_secrets(self) -> list[Problem]:
        """What is wrong, the first of each path: it says what to mend first."""
        mask = Mask(self.referenced)
        first_of_each = {problem.path: problem for problem in reversed(self.problems)}
        first = [problem for problem in self.problems if first_of_each[problem.path] is problem]
        return [replace(problem, seen=mask(problem.seen), wrong=mask(problem.wrong)) for problem in first]


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """The configuration in the YAML file at `path`. Raises `ConfigError` with every problem in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem("file", "cannot be read", str(error), "name a YAML file in UTF-8 that can be read")
        raise ConfigError(str(path), [problem]) from error
    return parse(text, environment, source=str(path), folder=path.parent)


def parse(text: str, environment: Mapping[str, str], *, source: str, folder: Path) -> Config:
    """The configuration in `text`; see `load`."""
    reading = _Reading(folder)
    problems = reading.problems
    try:
        document = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        problem = Problem("file", "is not YAML", _yaml_says(error), "mend the YAML at that place")
        raise ConfigError(source, [problem]) from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        right = "write a mapping of " + ", ".join(Sections.model_fields)
        raise ConfigError(source, [Problem("file", "is not a mapping", _short(document), right)])
    document = _expand(document, environment, "", reading)

    sections = _validate(Sections, document, "", reading) or Sections()
    _check_plugins(sections.processors, problems)
    exporters = {}
    for name, entry in _mapping(document.get("exporters")).items():
        settings = _typed(entry, "type", EXPORTERS, f"exporters.{name}", reading)
        if isinstance(settings, DestinationSettings):
            exporters[str(name)] = settings
    notify = {}
    for name, entry in _mapping(_mapping(document.get("alerts")).get("notify")).items():
        chosen = _typed(entry, "type", notifiers(), f"alerts.notify.{name}", reading)
        if isinstance(chosen, GroupingSettings):
            notify[str(name)] = chosen
    log = _typed(document.get("log", {"kind": "memory"}), "kind", LOGS, "log", reading)
    if problems:
        raise ConfigError(source, reading.problems_without_secrets())
    assert log is not None  # noqa: S101 - a log that is None has left a problem
    return Config(
        receivers=sections.receivers,
        processors=sections.processors,
        prices=sections.prices,
        genai=sections.genai,
        exporters=exporters,
        log=log,
        alerts=sections.alerts,
        notify=notify,
        budgets=sections.budgets,
        measure=sections.measure,
        server=sections.server,
        folder=folder,
        referenced=tuple(map(SecretStr, sorted(reading.referenced))),
    )


def _check_plugins(settings: ProcessorsConfig, problems: list[Problem]) -> None:
    """Every plug-in that is named has to be installed."""
    known = sorted(processors()) if settings.plugins else []
    right = f"install the package that offers it, or write one of {', '.join(known) or 'nothing: none is installed'}"
    problems.extend(
        Problem(f"processors.plugins.{name}.type", "names no installed plug-in", plugin.type, right)
        for name, plugin in settings.plugins.items()
        if plugin.type not in known
    )


def _mapping(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def load_rules(config: Config) -> list[Group]:
    """The rules of `config`: those in it, and those in the files that `alerts.rules` names.

    Raises `ConfigError` with every problem in all of those files, a pattern that finds no file among them.
    """
    problems: list[Problem] = []
    interval = config.alerts.evaluation_seconds
    groups = [threshold_group(config.alerts.thresholds, "configuration", interval)] if config.alerts.thresholds else []
    groups += budget_groups(config.budgets, interval)
    groups += slo_groups(config.alerts.slos, interval, problems)
    if config.alerts.deadman:
        groups += parse_rules(_DEADMAN, "configuration", interval, problems)[0]
    for index, pattern in enumerate(config.alerts.rules):
        if pattern.startswith(shipped.PREFIX):
            files = [(f"{shipped.PREFIX}{path.stem}", path) for path in shipped.paths(pattern[len(shipped.PREFIX) :])]
            right = f"write one of {', '.join(shipped.names())} after {shipped.PREFIX}, or *"
        else:
            files = _rule_files(pattern, config.folder)
            right = "name a file that is there; relative paths start at the folder of the configuration"
        if not files:
            problems.append(Problem(f"alerts.rules[{index}]", "finds no file", pattern, right))
        for name, path in files:
            groups.extend(_rule_file(name, path, config.alerts, problems))
    if problems:
        raise ConfigError("alert rules", problems)
    return groups


def _rule_files(pattern: str, folder: Path) -> list[tuple[str, Path]]:
    """The files that a pattern finds, each with the name it is known by."""
    found = map(Path, sorted(glob.glob(str(folder / pattern))))  # noqa: PTH207 - patterns may be absolute
    return [(str(path.relative_to(folder) if path.is_relative_to(folder) else path), path) for path in found]


def _rule_file(name: str, path: Path, settings: AlertsConfig, problems: list[Problem]) -> list[Group]:
    interval = settings.evaluation_seconds
    try:
        text = shipped.linked(path.read_text(encoding="utf-8"), settings.runbooks_url)
    except (OSError, UnicodeDecodeError) as error:
        seen = _short(" ".join(str(error).split()))
        problems.append(Problem(name, "cannot be read", seen, "write a YAML file in UTF-8"))
        return []
    groups, thresholds = parse_rules(text, name, interval, problems)
    if thresholds is None:
        return groups
    found = _validate(ThresholdFile, {"thresholds": thresholds}, name, _Reading(path.parent, problems))
    return [*groups, threshold_group(found.thresholds, name, interval)] if found else groups


def _typed(entry: object, key: str, table: Mapping[str, Any], path: str, reading: _Reading) -> BaseModel | None:
    """The settings of a component that names itself by `key`, or None with a problem added."""
    names = ", ".join(sorted(table))
    if not isinstance(entry, dict):
        reading.problems.append(
            Problem(path, "is not a mapping", _short(entry), f"write {{{key}: ...}} with one of {names}")
        )
        return None
    name = entry.get(key)
    if not isinstance(name, str) or name not in table:
        seen = "nothing" if name is None else _short(name)
        reading.problems.append(Problem(f"{path}.{key}", "names no known component", seen, f"write one of {names}"))
        return None
    return _validate(table[name].config, entry, path, reading)


def _validate(model: type[_Model], data: dict[str, Any], path: str, reading: _Reading) -> _Model | None:
    try:
        return model.model_validate(data, context={"folder": reading.folder})
    except ValidationError as error:
        reading.problems.extend(_problem(model, path, one) for one in error.errors(include_url=False))
    return None


def _problem(model: type[BaseModel], path: str, error: Any) -> Problem:
    """One pydantic error in the four parts of our sentences."""
    location = tuple(part for part in error["loc"] if not str(part).startswith("function-"))
    full = ".".join(part for part in (path, *map(str, location)) if part) or "file"
    seen = "nothing" if error["type"] == "missing" else _short(error["input"])
    unknown = error["type"] == "extra_forbidden" and isinstance(error["input"], str)  # a secret's name misspelled?
    if unknown or SECRET_NAME.search(full):
        seen = "a value that is not shown"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = sorted(_fields_at(model, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        return Problem(full, "is an unknown key", seen, f"{hint}known here: {', '.join(known)}")
    if error["type"] == "missing":
        return Problem(full, "is missing", seen, f"add it: {_description(model, location)}")
    wrong, _, right = message.partition("; ")
    return Problem(full, wrong[0].lower() + wrong[1:], seen, right or _description(model, location))


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> dict[str, Any]:
    """The fields of the model that stands at `location` below `model`."""
    for part in location:
        info = model.model_fields.get(str(part))
        if info is None:
            continue
        nested = _nested_model(info.annotation)
        if nested is not None:
            model = nested
    return dict(model.model_fields)


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _nested_model(argument)
        if found is not None:
            return found
    return None


def _description(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    names = [part for part in location if isinstance(part, str)]
    for depth in range(len(names), 0, -1):
        info = _fields_at(model, tuple(names[: depth - 1])).get(names[depth - 1])
        if info is not None and info.description:
            return str(info.description)
    return "see the documentation of this section"


def _expand(value: Any, environment: Mapping[str, str], path: str, reading: _Reading) -> Any:
    """`value` with every `${env:VAR:-default}` and `${file:PATH}` replaced; `$$` is a plain `$`.

    Only scalars that YAML has already read are touched, so a variable cannot add keys; the settings classes read
    numbers and booleans from text.
    """
    if isinstance(value, dict):
        return {key: _expand(one, environment, f"{path}.{key}".strip("."), reading) for key, one in value.items()}
    if isinstance(value, list):
        return [_expand(one, environment, f"{path}[{index}]", reading) for index, one in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def replacement(match: re.Match[str]) -> str:
        name, default, file = match.groups()
        if file is not None:
            return _secret_file(reading, file, path)
        if name is None:
            return "$"
        found = environment.get(name, default)
        if found is None:
            right = f"set {name}, or give a default: ${{env:{name}:-...}}"
            seen = f"${{env:{name}}}"
            reading.problems.append(Problem(path, "names an environment variable that is not set", seen, right))
            return ""
        if name in environment and SECRET_NAME.search(name):
            reading.referenced.add(found)
        return found

    return _VARIABLE.sub(replacement, value)


def _secret_file(reading: _Reading, file: str, path: str) -> str:
    """What a file holds, without white space around it; a relative path starts at the configuration's folder."""
    try:
        with (reading.folder / file).open(encoding="utf-8") as opened:
            found = opened.read(_MAX_SECRET_CHARS).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        right = f"name a file that can be read ({why}); relative paths start at the folder of the configuration"
        reading.problems.append(Problem(path, "names a file that cannot be read", f"${{file:{file}}}", right))
        return ""
    reading.referenced.add(found)
    return found


def _yaml_says(error: Exception) -> str:
    """What the parser did not like and where, without the line itself: it may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    said = _QUOTED.sub("'…'", getattr(error, "problem", None) or type(error).__name__)
    return _short(f"{said}, in line {mark.line + 1}, column {mark.column + 1}" if mark else said)


def _short(value: object) -> str:
    if isinstance(value, SecretStr):
        return "a value that is not shown"
    if isinstance(value, (dict, list)):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = without_credentials(repr(value) if isinstance(value, str) else str(value))
    return text if len(text) <= _MAX_SEEN_CHARS else text[: _MAX_SEEN_CHARS - 1] + "…"


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which the same key twice is an error instead of a silent overwrite."""


def _construct_unique(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (str, int, float, bool)):
            raise yaml.constructor.ConstructorError(None, None, "a key is not a scalar", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands here twice", key_node.start_mark
            )
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_unique)
