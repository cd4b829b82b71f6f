"""Objectives look back over days: in a coarse memory beside the past, over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_llm_collector.alert.long import Long
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.query import instant, parse
from otel_llm_collector.measure.promql.storage import make_labels
from otel_llm_collector.measure.promql.values import Vector

NOW = 1_700_000_000_000
MINUTE = 60_000
KEPT = make_labels({"__name__": "slo:errors:rate5m", "slo": "x"})
OTHER = make_labels({"__name__": "other"})


def mean(store: Long, name: str, window: str, at: int) -> list[float]:
    """The mean over a window."""
    answer = instant(parse(f"avg_over_time({name}[{window}])"), store, at)
    assert isinstance(answer, Vector)
    return [sample.value for sample in answer.samples]


def test_days_are_seen_where_they_are_kept(tmp_path: Path) -> None:
    """Two days of a kept series in a past of an hour: all of it over a day, the fine part over an hour, also later."""
    past = Past(3600, 60, 100, 100)
    store = Long(past, frozenset({"slo:errors:rate5m"}), tmp_path)
    end = NOW
    for minute in range(0, 2 * 1440, 5):
        end = NOW + minute * MINUTE
        for labels in (KEPT, OTHER):
            assert store.append_one(labels, end, 1.0 if minute < 1440 else 3.0, end)
    past.prune(end)
    assert mean(store, "slo:errors:rate5m", "1h", end) == [3.0]
    assert mean(store, "slo:errors:rate5m", "2d", end) == [pytest.approx(2.0, abs=0.01)]
    assert mean(store, "other", "2d", end) == [3.0]
    store.save(end)
    again = Long(Past(3600, 60, 100, 100), frozenset({"slo:errors:rate5m"}), tmp_path)
    again.load(end)
    assert mean(again, "slo:errors:rate5m", "2d", end) == [pytest.approx(2.0, abs=0.01)]


def test_a_broken_file_costs_only_itself(tmp_path: Path) -> None:
    """It is said, and looking back begins anew."""
    (tmp_path / "long.json").write_text("[[1", encoding="utf-8")
    store = Long(Past(3600, 60, 100, 100), frozenset({"slo:errors:rate5m"}), tmp_path)
    store.load(NOW)
    assert mean(store, "slo:errors:rate5m", "2d", NOW) == []
