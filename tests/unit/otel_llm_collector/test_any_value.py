"""Attribute values as plain Python, as text and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_collector.any_value import no_bytes, plain, put, scalar_text, text

SCALARS = st.none() | st.text(max_size=20) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=8)
VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def of(given: Any) -> AnyValue:
    value = AnyValue()
    put(value, given)
    return value


@given(VALUES)
def test_what_is_put_is_read(value: Any) -> None:
    """Every value that an attribute can have comes back with its type."""
    again = plain(of(value))
    assert (again, type(again)) == (value, type(value))


def test_bytes_are_what_the_caller_wants() -> None:
    """As they are, in hexadecimal, or left out, at any depth."""
    value = of([b"\x01", {"a": b"\xff"}])
    assert plain(value) == [b"\x01", {"a": b"\xff"}]
    assert plain(value, bytes.hex) == ["01", {"a": "ff"}]
    assert plain(value, no_bytes) == [None, {"a": None}]


def test_what_is_nested_too_deep_is_left_out() -> None:
    """A value of fifty levels, read to the third."""
    nested: Any = "x"
    for _ in range(50):
        nested = [nested]
    assert plain(of(nested), levels=2) == [[[None]]]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("é", "é"),
        (True, "true"),
        (-7, "-7"),
        (2.0, "2"),
        (0.5, "0.5"),
        (1e30, "1e+30"),
        (None, ""),
        (b"\x00\xff", "AP8="),
        (["a", 1, b"\xff"], '["a",1,"/w=="]'),
        ({"k": {"é": True}}, '{"k":{"é":true}}'),
    ],
)
def test_text_is_that_of_opentelemetry(value: Any, written: str) -> None:
    """Numbers and booleans as in JSON, bytes in base64, lists and maps as JSON; `scalar_text` lacks those three."""
    assert text(of(value)) == written
    assert scalar_text(of(value)) == ("" if isinstance(value, bytes | list | dict) else written)


def test_what_no_attribute_can_be_is_refused_by_name() -> None:
    """A set, also inside a list."""
    with pytest.raises(TypeError, match="of type set"):
        of([{1}])


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [2**63]])
def test_whole_numbers_beyond_64_bits_are_refused(value: Any) -> None:
    """OTLP has no such integer."""
    with pytest.raises(ValueError, match="out of range"):
        of(value)
