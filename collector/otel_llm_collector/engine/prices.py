"""Prices of provider calls, compiled once from `genai-prices` and then looked up.

`genai-prices` is the source: it knows providers, models, dates, tiers and cached tokens, and needs about 75 µs a call.
Here each (provider, model, half hour, service tier) is asked once and turned into integer rates, a table look-up and a
few multiplications. Misses are remembered too. The compiled rates are found by probing: the price is linear in each
token count between two tier thresholds, so the price of one more token of a kind is its rate.

Money is integer: rates are femto-USD per token, results nano-USD.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from otel_llm_semconv.enums import OtelLlmCostUnknownReason as Unknown

from otel_llm_collector import limits
from otel_llm_collector.engine.settings import OwnPrice, PricesConfig

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, PriceCalculation

logger = logging.getLogger(__name__)

# OpenTelemetry's provider names and their common spellings, where genai-prices knows them by another id.
PROVIDER_ALIASES = {
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_openai": "azure",
    "aws_bedrock": "aws",
    "bedrock": "aws",
    "gcp.gen_ai": "google",
    "gemini": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "vertex_ai": "google",
    "moonshot_ai": "moonshotai",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "x_ai": "x-ai",
    "xai": "x-ai",
}

_SLOT_NS = 30 * 60 * 1_000_000_000  # prices by time of day change on half hours at the finest
_FEMTO_PER_NANO = 10**6
_FEMTO = 10**15
_MAX_NAME_CHARS = 256

# Our name of each count -> genai-prices' usage key, and whether it belongs to the input side of the price.
KINDS = {
    "input": ("input_tokens", True),
    "cache_read": ("cache_read_tokens", True),
    "cache_write": ("cache_write_tokens", True),
    "input_audio": ("input_audio_tokens", True),
    "input_image": ("input_image_tokens", True),
    "output": ("output_tokens", False),
    "reasoning": ("output_reasoning_tokens", False),
    "output_audio": ("output_audio_tokens", False),
    "output_image": ("output_image_tokens", False),
}

# Where two kinds overlap the source wants to be told how much; a probe of one kind has none of another.
_OVERLAPS = (
    "cache_audio_read_tokens",
    "cache_audio_write_tokens",
    "cache_image_read_tokens",
    "cache_image_write_tokens",
    "output_audio_reasoning_tokens",
    "output_image_reasoning_tokens",
)


@dataclass(slots=True)
class Usage:
    """Tokens of one call as the conventions count them: subsets are inside their wholes."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    input_image: int = 0
    output_image: int = 0
    gpu_microseconds: int = 0  # of a self-hosted model; no token kind, so no other price knows it


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a price comes from, as it is written on the span."""

    source: str
    version: str


@dataclass(frozen=True, slots=True)
class Price:
    """Price of one call in nano-USD; what is charged per request and for GPU time is in `total` alone."""

    total: int
    input: int
    output: int
    origin: Origin
    context_window: int


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates in femto-USD that hold above `start` input tokens; `input` and `output` list (count name, rate)."""

    start: int
    input: tuple[tuple[str, int], ...]
    output: tuple[tuple[str, int], ...]
    per_request: int
    per_gpu_microsecond: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Everything needed to price a call to one model at one time; `tiers` from the highest threshold down."""

    tiers: tuple[Tier, ...]
    origin: Origin
    context_window: int = 0  # tokens; 0 where it is not known

    @property
    def by_tokens(self) -> bool:
        """Whether tokens are needed for a price; a price by GPU time or by call needs none."""
        return any(tier.input or tier.output for tier in self.tiers)

    def price(self, usage: Usage) -> Price | Unknown:
        """The price of `usage`, or why there is none."""
        if usage.cache_read + usage.cache_write > usage.input or usage.reasoning > usage.output:
            return Unknown.INCONSISTENT_USAGE
        tier = next(tier for tier in self.tiers if usage.input > tier.start or tier.start < 0)
        spent_in = sum(rate * getattr(usage, name) for name, rate in tier.input)
        spent_out = sum(rate * getattr(usage, name) for name, rate in tier.output)
        whole = tier.per_request + tier.per_gpu_microsecond * usage.gpu_microseconds
        return Price(
            _nano(spent_in + spent_out + whole), _nano(spent_in), _nano(spent_out), self.origin, self.context_window
        )


class RateBook:
    """Looks up rates, configured ones first; safe for threads, bounded by `limits.MAX_CACHED_RATES`."""

    def __init__(self, config: PricesConfig | None = None) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - with genai-prices 0.3 s, so only when it is used

        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

        config = config or PricesConfig()
        self.origin = Origin("genai-prices", version("genai-prices"))
        self._aliases = PROVIDER_ALIASES | {name.lower(): known for name, known in config.aliases.items()}
        self._own = [(one, _own_rates(one, config.version)) for one in config.models]
        self._pristine = get_snapshot()
        self._snapshot = self._fresh_snapshot()
        self._cache: dict[tuple[str, str, str, int, str], Rates | Unknown] = {}
        self._lock = threading.Lock()

    def rates(self, provider: str, model: str, start_ns: int, *, tier: str = "", host: str = "") -> Rates | Unknown:
        """The rates of `model` at a time in ns since the epoch, or why they are not known.

        `provider` is a `gen_ai.provider.name`; `host` is the server's name and is believed first, because one provider
        name may stand for many compatible services; `tier` is the service tier that answered.
        """
        if max(len(provider), len(model), len(host), len(tier)) > _MAX_NAME_CHARS:
            return Unknown.UNKNOWN_MODEL  # nobody's names are that long, and these would be remembered
        key = (provider, model, host, start_ns // _SLOT_NS, tier)
        found = self._cache.get(key)
        if found is None:
            with self._lock:
                if len(self._cache) >= limits.MAX_CACHED_RATES:
                    self._cache.clear()
                    self._snapshot = self._fresh_snapshot()
                found = self._cache[key] = self._compile(provider, model, start_ns // _SLOT_NS, tier, host)
        return found

    def _fresh_snapshot(self) -> Any:
        # The library remembers every name it was ever asked for; a copy of its own can be let go with our cache.
        return dataclasses.replace(self._pristine)

    def _compile(self, provider: str, model: str, slot: int, tier: str, host: str) -> Rates | Unknown:
        if not model:
            return Unknown.NO_MODEL
        for own, rates in self._own:
            if own.matches(provider, model):
                return rates
        when = datetime.fromtimestamp(slot * _SLOT_NS / 1e9, UTC)
        context = {"service_tier": tier} if tier else None
        reason = Unknown.UNKNOWN_PROVIDER
        places = self._where(provider, host)
        for name, (provider_id, url) in ((name, place) for name in _names(model) for place in places):
            nameless = provider_id is None and url is None
            try:
                self._snapshot.find_provider(name if nameless else None, provider_id, url)
            except LookupError:
                continue
            reason = Unknown.UNKNOWN_MODEL
            found = self._calculation(name, provider_id, url, when, context)
            if found is None:
                continue
            try:
                return _rates(found.model_price, self.origin, found.model.context_window or 0)
            except ValueError:  # the source contradicts itself about this model: no price, and no failed request
                logger.exception("the price of %s cannot be computed", model)
                return Unknown.UNPRICED_UNIT
        return reason

    def _where(self, provider: str, host: str) -> list[tuple[str | None, str | None]]:
        places: list[tuple[str | None, str | None]] = []
        if "." in host and not host.replace(".", "").isdigit():
            places.append((None, f"https://{host}"))
        if provider:
            places.append((self._aliases.get(provider.lower(), provider), None))
        return places or [(None, None)]  # a sender that names none, as Langfuse: the model's own maker

    def _calculation(
        self, model: str, provider_id: str | None, url: str | None, when: datetime, context: dict[str, str] | None
    ) -> PriceCalculation | None:
        from genai_prices import Usage as SourceUsage  # noqa: PLC0415 - see __init__

        try:
            calculation: PriceCalculation = self._snapshot.calc(SourceUsage(), model, provider_id, url, when, context)
        except LookupError:
            return None
        return calculation


def _names(model: str) -> list[str]:
    """What a model may be called in the price list; LiteLLM puts the provider before its name: `openai/gpt-4o-mini`."""
    _, slash, bare = model.partition("/")
    return [model, bare] if slash and bare else [model]


def _own_rates(own: OwnPrice, version: str) -> Rates:
    """A configured price as rates; cached tokens cost as much as others where nothing else is said."""
    spent = _femto_per_token(own.input_per_million)
    rates = {"input": spent}
    for name, price in (("cache_read", own.cache_read_per_million), ("cache_write", own.cache_write_per_million)):
        rates[name] = 0 if price is None else _femto_per_token(price) - spent
    written = _femto_per_token(own.output_per_million)
    tier = Tier(
        -1,
        tuple((name, rate) for name, rate in rates.items() if rate),
        (("output", written),) if written else (),
        round(Decimal(str(own.per_request)) * _FEMTO),
        _femto_per_token(own.gpu_second),  # a second has as many microseconds as a million has tokens
    )
    return Rates((tier,), Origin("configured", version))


def _femto_per_token(per_million: float | None) -> int:
    return round(Decimal(str(per_million or 0)) * _FEMTO / 10**6)


def _rates(price: ModelPrice, origin: Origin, context_window: int) -> Rates | Unknown:
    """`price` as rates for each tier, found by probing."""
    starts = {tier.start for value in vars(price).values() if hasattr(value, "tiers") for tier in value.tiers}
    tiers = tuple(_tier(price, start) for start in sorted(starts | {-1}, reverse=True))
    priced = any(value is not None for name, value in vars(price).items() if not name.startswith("_"))
    return Rates(tiers, origin, context_window) if priced else Unknown.UNPRICED_UNIT


def _tier(price: ModelPrice, start: int) -> Tier:
    """Rates above `start` input tokens. The base usage is large enough that every probe is consistent in itself."""
    base = dict.fromkeys((key for key, _ in KINDS.values()), 1)
    base["input_tokens"] = max(start + 1, 0) + len(KINDS) if start >= 0 else len(KINDS)
    base["output_tokens"] = len(KINDS)
    base |= dict.fromkeys(_OVERLAPS, 0)
    whole = _femto(price, base)
    sides: dict[bool, list[tuple[str, int]]] = {True: [], False: []}
    linear = 0
    for name, (key, on_input) in KINDS.items():
        rate = _femto(price, {**base, key: base[key] + 1}) - whole
        linear += rate * base[key]
        if rate:
            sides[on_input].append((name, rate))
    return Tier(start, tuple(sides[True]), tuple(sides[False]), whole - linear)


def _femto(price: ModelPrice, usage: Mapping[str, int]) -> int:
    from genai_prices import Usage as SourceUsage  # noqa: PLC0415 - see RateBook.__init__

    total: Decimal = price.calc_price(SourceUsage(**usage))["total_price"]
    return round(total * _FEMTO)


def _nano(femto: int) -> int:
    return (femto + _FEMTO_PER_NANO // 2) // _FEMTO_PER_NANO
