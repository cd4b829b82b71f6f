"""Compiled prices equal those of their source, to the nano-dollar, and are bounded and honest about what is unknown."""

from __future__ import annotations

import random
import warnings
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TimeOfDateConstraint
from otel_llm_collector import limits
from otel_llm_collector.engine.prices import PROVIDER_ALIASES, Price, RateBook, Rates, Usage
from otel_llm_semconv.enums import OtelLlmCostUnknownReason as Unknown

NOW = int(datetime(2026, 11, 21, 12, 10, tzinfo=UTC).timestamp()) * 10**9
NANO = Decimal(10) ** -9


@pytest.fixture(scope="module")
def book() -> RateBook:
    """One price book for all tests."""
    return RateBook()


def source_price(provider: str, model: str, usage: Usage, when: datetime) -> Any:
    """What genai-prices says itself."""
    asked = genai_prices.Usage(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    return genai_prices.calc_price(asked, model, provider_id=provider, genai_request_timestamp=when)


def test_equal_to_the_source_for_every_model_it_knows(book: RateBook) -> None:
    """Over all providers and models, with random counts below and above every tier: the same price."""
    draw = random.Random(11)
    when = datetime.fromtimestamp(NOW / 1e9, UTC)
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            for size in (900, 180_000, 900_000):
                spent = draw.randrange(size)
                read = draw.randrange(spent + 1)
                usage = Usage(spent, draw.randrange(size), read, draw.randrange(spent - read + 1))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        wanted = source_price(provider.id, model.id, usage, when)
                    except (LookupError, ValueError):
                        continue
                    rates = book.rates(provider.id, model.id, NOW)
                if not isinstance(rates, Rates):
                    assert rates is Unknown.UNPRICED_UNIT
                    assert wanted.total_price == 0
                    continue
                price = rates.price(usage)
                assert isinstance(price, Price)
                assert abs(price.total * NANO - wanted.total_price) <= NANO, (provider.id, model.id, usage)
                assert abs(price.input * NANO - wanted.input_price) <= NANO
                assert abs(price.output * NANO - wanted.output_price) <= NANO
                compared += 1
    assert compared > 3000


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("azure.ai.openai", "gpt-4o", "azure"),
        ("az.ai.openai", "gpt-4o", "azure"),
        ("x_ai", "grok-4", "x-ai"),
        ("gcp.gen_ai", "gemini-2.5-flash", "google"),
        ("gcp.vertex_ai", "gemini-2.5-flash", "google"),
        ("gcp.gemini", "gemini-2.5-flash", "google"),
        ("aws.bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0", "aws"),
        ("mistral_ai", "mistral-large-latest", "mistral"),
        ("moonshot_ai", "kimi-k2-0905-preview", "moonshotai"),
    ],
)
def test_opentelemetry_provider_names_find_their_prices(
    book: RateBook, provider: str, model: str, expected: str
) -> None:
    """Each OpenTelemetry name gives the price of the provider it means."""
    usage = Usage(1000, 500)
    rates = book.rates(provider, model, NOW)
    assert isinstance(rates, Rates), rates
    price = rates.price(usage)
    assert isinstance(price, Price)
    wanted = source_price(expected, model, usage, datetime.fromtimestamp(NOW / 1e9, UTC)).total_price
    assert abs(price.total * NANO - wanted) <= NANO


def test_aliases_lead_to_providers_that_exist() -> None:
    """No alias is a dead end."""
    known = {provider.id for provider in get_snapshot().providers}
    assert set(PROVIDER_ALIASES.values()) <= known


def test_the_host_is_believed_before_the_name(book: RateBook) -> None:
    """`openai` at a Groq host is Groq; a loopback address says nothing."""
    usage = Usage(10_000, 10_000)
    model = "llama-3.3-70b-versatile"
    at_groq = book.rates("openai", model, NOW, host="api.groq.com")
    assert isinstance(at_groq, Rates)
    assert at_groq.price(usage) == book.rates("groq", model, NOW).price(usage)  # type: ignore[union-attr]
    assert isinstance(book.rates("openai", "gpt-4o-mini", NOW, host="127.0.0.1"), Rates)


def test_unknown_is_told_apart(book: RateBook) -> None:
    """Each kind of not knowing has its reason, and none is a price of 0."""
    assert book.rates("openai", "", NOW) is Unknown.NO_MODEL
    assert book.rates("ollama", "llama3", NOW) is Unknown.UNKNOWN_PROVIDER
    assert book.rates("openai", "nobody-has-this", NOW) is Unknown.UNKNOWN_MODEL
    assert book.rates("openai", "x" * 10_000, NOW) is Unknown.UNKNOWN_MODEL
    rates = book.rates("openai", "gpt-4o-mini", NOW)
    assert isinstance(rates, Rates)
    assert rates.price(Usage(10, 10, cache_read=11)) is Unknown.INCONSISTENT_USAGE


def test_a_provider_before_the_name_does_not_hide_the_model(book: RateBook) -> None:
    """LiteLLM's `openai/gpt-4o-mini` costs what `gpt-4o-mini` costs, with and without a provider beside it."""
    wanted = book.rates("openai", "gpt-4o-mini", NOW)
    assert isinstance(wanted, Rates)
    assert book.rates("openai", "openai/gpt-4o-mini", NOW) == wanted
    assert book.rates("", "openai/gpt-4o-mini", NOW) == wanted
    assert book.rates("openai", "openai/", NOW) is Unknown.UNKNOWN_MODEL


def test_the_price_is_that_of_the_time_of_the_call(book: RateBook) -> None:
    """o3 became five times cheaper in June 2025; a span keeps the price of its own day."""
    then = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    usage = Usage(1_000_000, 0)
    old, new = book.rates("openai", "o3", then), book.rates("openai", "o3", NOW)
    assert isinstance(old, Rates)
    assert isinstance(new, Rates)
    assert old.price(usage).total == 5 * new.price(usage).total  # type: ignore[union-attr]


def test_prices_by_time_of_day_change_on_half_hours() -> None:
    """The cache's half-hour slots are fine enough for every price in the source."""
    for provider in get_snapshot().providers:
        for model in provider.models:
            for conditional in model.prices if isinstance(model.prices, list) else []:
                if isinstance(conditional.constraint, TimeOfDateConstraint):
                    for moment in (conditional.constraint.start_time, conditional.constraint.end_time):
                        assert (moment.minute % 30, moment.second) == (0, 0)
                        assert (moment.utcoffset() or timedelta()) == timedelta(), "slots are cut in UTC"
    assert time(0, 30).minute == 30


def test_the_cache_is_bounded(book: RateBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names from outside cannot make it grow: neither ours nor the source's own cache."""
    monkeypatch.setattr(limits, "MAX_CACHED_RATES", 50)
    for number in range(500):
        book.rates("openai", f"hostile-{number}", NOW)
    assert len(book._cache) <= 50
    assert len(book._snapshot._provider_misses) + len(book._snapshot._provider_cache) <= 400
