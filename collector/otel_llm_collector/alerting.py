"""Alerting, put together from a configuration: rules, budgets, objectives, span rules, and who is told."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from otel_llm_collector.alert.alertmanager import Alertmanager
from otel_llm_collector.alert.budgets import Budgets
from otel_llm_collector.alert.evaluator import Clock, Evaluator, Target
from otel_llm_collector.alert.grouping import GroupingSettings, GroupTeller
from otel_llm_collector.alert.long import Long
from otel_llm_collector.alert.memory import Memory
from otel_llm_collector.alert.slo import KEPT_LONG
from otel_llm_collector.alert.spans import SpanRules
from otel_llm_collector.alert.spend import Spend
from otel_llm_collector.alert.tell import NotificationCounts, Teller
from otel_llm_collector.components import notifiers
from otel_llm_collector.config import Config, load_rules
from otel_llm_collector.contract import Engine
from otel_llm_collector.errors import ConfigError
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.sampler import Sampler

logger = logging.getLogger(__name__)

_AT_START = ("receivers", "processors", "prices", "genai", "exporters", "log", "measure", "server")  # only


class Alerting:
    """Owns what alerting consists of; `reread` reads the configuration anew, for a reload. `config` is what runs."""

    def __init__(
        self,
        config: Config,
        past: Past,
        sampler: Sampler,
        registry: CollectorRegistry,
        reread: Callable[[], Config],
        engine: Engine,
    ) -> None:
        settings = config.alerts
        self._engine = engine
        self.config = config
        self._past = past
        self._reread = reread
        self._counts = NotificationCounts(registry)
        self._targets = self._built(config, {})
        self._spans = SpanRules(settings.spans, time.time)
        self.spend = Spend(settings.path)
        self._budgets = Budgets(config.budgets, self.spend, time.time)
        registry.register(self._budgets)
        self._store = Long(past, _kept_long(config), settings.path)
        self.evaluator = Evaluator(
            settings,
            load_rules(config),
            self._store,
            sampler,
            [one.teller for one in self._targets.values()],
            Memory(settings.path),
            registry,
            Clock(time.time, time.monotonic),
            self._spans,
        )
        # Of kept trace requests; a reload may bring the first budget or the first rule about spans.
        self.observers: list[Callable[[bytes], None]] = [self._budgets.observe]
        self.on_noticed = self._spans.observe
        engine.watch = self._spans.conditions

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration anew; what is wrong with it, and what of it needs a restart.

        When anything is wrong, everything is as before. Taken are `budgets` and all of `alerts` but its `path`: what
        did not change keeps its state, alerts of rules that went are resolved.
        """
        try:
            config = self._reread()
            groups = load_rules(config)
            targets = self._built(config, self._targets)
        except (ConfigError, ValueError) as error:
            problems = list(map(str, error.problems)) if isinstance(error, ConfigError) else [str(error)]
            logger.warning("not reloaded: %s", "; ".join(problems))
            return problems, []
        restart = [*_differences(self.config, config), *self._finer(config)]
        alerts = config.alerts.model_copy(update={"path": self.config.alerts.path})
        self.config = dataclasses.replace(self.config, alerts=alerts, notify=config.notify, budgets=config.budgets)
        self._budgets.replace(config.budgets)
        self._spans.replace(config.alerts.spans)
        self._engine.watch = self._spans.conditions
        self._store.keep(_kept_long(config))
        self._targets = targets
        self.evaluator.reload(groups, config.alerts, list(targets.values()))
        rules = sum(1 for _ in chain.from_iterable(group.rules for group in groups))
        logger.info("reloaded: %d rules, %d targets, %d budgets", rules, len(targets), len(config.budgets))
        if restart:
            logger.warning("changed, and taken at the next start only: %s", ", ".join(restart))
        return [], restart

    def _built(self, config: Config, before: Mapping[str, Target]) -> dict[str, Target]:
        """Every target by its name; one whose settings did not change is the very same."""
        found: dict[str, Target] = {}
        resend = config.alerts.resend_seconds
        for url in config.alerts.alertmanagers:
            one = Alertmanager(url)
            old = before.get(one.name)
            if old is None or old.settings != (url, resend):
                old = Target((url, resend), Teller(one.name, one, resend, self._counts), old.teller if old else None)
            found[one.name] = old
        kinds = notifiers()
        for name, chosen in config.notify.items():
            old = before.get(name)
            if old is not None and old.settings == chosen:
                found |= {one: target for one, target in before.items() if target.settings is old.settings}
                continue
            knows = old is not None and _same_address(old.settings, chosen)
            for index, messenger in enumerate(kinds[chosen.type].build(chosen)):
                own = f"{name}/{index}" if index else name
                known = before[own].teller if knows and own in before else None
                found[own] = Target(chosen, GroupTeller(own, messenger, chosen, self._counts), known)
        return found

    def _finer(self, config: Config) -> Iterator[str]:
        """Rules cannot be evaluated more often than samples are kept."""
        if config.alerts.evaluation_seconds * 1000 < self._past.resolution_ms:
            yield f"alerts.evaluation_seconds (a sample is kept every {self._past.resolution_ms / 1000:g} s)"


def _kept_long(config: Config) -> frozenset[str]:
    return KEPT_LONG if config.alerts.slos else frozenset()


def _same_address(old: object, new: GroupingSettings) -> bool:
    """Whether only how messages are grouped changed: then the target knows what it was told."""
    grouping = set(GroupingSettings.model_fields)
    if type(old) is not type(new) or not isinstance(old, GroupingSettings):
        return False
    return old.model_dump(exclude=grouping) == new.model_dump(exclude=grouping)


def _differences(old: Config, new: Config) -> list[str]:
    """What changed of that which a reload does not take, by its path in the file."""
    found: list[str] = []
    for name in _AT_START:
        found += _changed(name, getattr(old, name), getattr(new, name))
    return [*found, *_changed("alerts.path", old.alerts.path, new.alerts.path)]


def _changed(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, BaseModel) and type(old) is type(new):
        old, new = dict(old), dict(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _changed(f"{path}.{name}", old.get(name), new.get(name))
    else:
        yield path
