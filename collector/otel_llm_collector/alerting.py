"""Alerting, put together from a configuration: rules, budgets, objectives, span rules, and who is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import chain

from prometheus_client import CollectorRegistry

from otel_llm_collector.alert.alertmanager import Alertmanager
from otel_llm_collector.alert.budgets import Budgets
from otel_llm_collector.alert.evaluator import Clock, Evaluator
from otel_llm_collector.alert.grouping import GroupTeller
from otel_llm_collector.alert.long import Long
from otel_llm_collector.alert.memory import Memory
from otel_llm_collector.alert.slo import KEPT_LONG
from otel_llm_collector.alert.spans import SpanRules
from otel_llm_collector.alert.spend import Spend
from otel_llm_collector.alert.tell import NotificationCounts, Teller
from otel_llm_collector.components import notifiers
from otel_llm_collector.config import Config, load_rules
from otel_llm_collector.errors import ConfigError
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.sampler import Sampler

logger = logging.getLogger(__name__)


class Alerting:
    """Owns what alerting consists of; `reread` reads the configuration anew, for a reload of the rules."""

    def __init__(
        self,
        config: Config,
        past: Past,
        sampler: Sampler,
        registry: CollectorRegistry,
        reread: Callable[[], Config],
    ) -> None:
        settings = config.alerts
        self._reread = reread
        counts = NotificationCounts(registry)
        tellers: list[Teller | GroupTeller] = [
            Teller(one.name, one, settings.resend_seconds, counts) for one in map(Alertmanager, settings.alertmanagers)
        ]
        kinds = notifiers()
        for name, chosen in config.notify.items():
            for index, messenger in enumerate(kinds[chosen.type].build(chosen)):
                tellers.append(GroupTeller(f"{name}/{index}" if index else name, messenger, chosen, counts))
        spans = SpanRules(settings.spans, time.time)
        self.spend = Spend(settings.path)
        budgets = Budgets(config.budgets, self.spend, time.time)
        registry.register(budgets)
        store = Long(past, KEPT_LONG if settings.slos else frozenset(), settings.path)
        self.evaluator = Evaluator(
            settings,
            load_rules(config),
            store,
            sampler,
            tellers,
            Memory(settings.path),
            registry,
            Clock(time.time, time.monotonic),
            spans,
        )
        self.observers: list[Callable[[bytes], None]] = []  # of kept trace requests
        if config.budgets:
            self.observers.append(budgets.observe)
        if settings.spans:
            self.observers.append(spans.observe)

    def reload(self) -> list[str]:
        """Read the rules anew. What is wrong with them is returned, and then everything is as before.

        Rule files, threshold rules, objectives and the rules of budgets are taken; targets, span rules and amounts of
        budgets need a restart.
        """
        try:
            groups = load_rules(self._reread())
        except ConfigError as error:
            problems = list(map(str, error.problems))
            logger.warning("the rules were not reloaded: %s", "; ".join(problems))
            return problems
        self.evaluator.reload(groups)
        logger.info("rules reloaded: %d", sum(1 for _ in chain.from_iterable(group.rules for group in groups)))
        return []
