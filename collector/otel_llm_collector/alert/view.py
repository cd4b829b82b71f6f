"""Alerts and rules as Prometheus' HTTP API shows them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from otel_llm_collector.alert.group import Active, RunningGroup, RunningRule
from otel_llm_collector.alert.rule_files import Rule
from otel_llm_collector.alert.state import State
from otel_llm_collector.alert.template_functions import go_float


def alert(one: Active) -> dict[str, Any]:
    """One alert."""
    kept = one.alert.kept_since
    return {
        "labels": dict(one.labels),
        "annotations": dict(one.annotations),
        "state": one.alert.state.value,
        "activeAt": time(one.alert.active_at),
        **({} if math.isnan(kept) else {"keepFiringSince": time(kept)}),
        "value": f"{one.alert.value:e}" if math.isfinite(one.alert.value) else go_float(one.alert.value),
    }


def group(one: RunningGroup) -> dict[str, Any]:
    """One group with its rules."""
    return {
        "name": one.group.name,
        "file": one.group.file,
        "rules": [_rule(rule) for rule in one.rules],
        "interval": one.group.interval,
        "limit": one.group.limit,
        "evaluationTime": one.seconds,
        "lastEvaluation": time(one.evaluated_at),
    }


def _rule(one: RunningRule) -> dict[str, Any]:
    rule = one.rule
    shown: dict[str, Any] = {
        "name": rule.name,
        "query": rule.query.text,
        "labels": {name: value.source for name, value in rule.labels.items()},
        "health": "err" if one.error else "unknown" if math.isnan(one.evaluated_at) else "ok",
        **({"lastError": one.error} if one.error else {}),
        "evaluationTime": one.seconds,
        "lastEvaluation": time(one.evaluated_at),
        "type": "recording" if rule.records else "alerting",
    }
    if rule.records:
        return shown
    alerts = [alert(active) for active in one.active.values() if active.alert.state is not State.RESOLVED]
    states = {active["state"] for active in alerts}
    return {
        "state": "firing" if "firing" in states else "pending" if "pending" in states else "inactive",
        "duration": rule.hold,
        "keepFiringFor": rule.keep,
        "annotations": {name: value.source for name, value in rule.annotations.items()},
        "alerts": alerts,
        **shown,
    }


def link(external_url: str, rule: Rule) -> str:
    """Where the query of a rule can be looked at."""
    return f"{external_url}/graph?g0.expr={quote_plus(rule.query.text)}&g0.tab=1" if external_url else ""


def time(seconds: float) -> str:
    """A moment as RFC 3339; Go's zero time when there is none."""
    if math.isnan(seconds):
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
