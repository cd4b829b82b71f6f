"""What a plug-in sees of a span, and what becomes of its edits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_collector.any_value import plain
from otel_llm_collector.processing import SpanView, resource_of

SCALARS = st.one_of(
    st.text(max_size=20),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=8),
)
VALUES = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def span() -> Span:
    one = Span(name="chat", trace_id=b"\x01" * 16, span_id=b"\x02" * 8, start_time_unix_nano=5, end_time_unix_nano=9)
    one.attributes.add(key="text").value.string_value = "a"
    one.attributes.add(key="list").value.array_value.values.add(int_value=1)
    one.events.add(name="e").attributes.add(key="k").value.bool_value = True
    one.status.code = 2  # type: ignore[assignment]
    return one


def test_a_view_shows_the_span() -> None:
    """Names, ids in hex, times, status, attributes in Python's types, events, resource."""
    resource = resource_of(span().attributes)
    view = SpanView(span(), resource)
    assert (view.name, view.trace_id, view.span_id, view.parent_span_id) == ("chat", "01" * 16, "02" * 8, "")
    assert (view.start_time, view.end_time, view.status) == (5, 9, "error")
    assert view.attributes == {"text": "a", "list": [1]}
    assert view.events == [("e", {"k": True})]
    assert view.resource["text"] == "a"
    with pytest.raises(TypeError):
        resource["text"] = "b"  # type: ignore[index]


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    """Any attribute value comes back as it was set; the span's own are gone when they were deleted."""
    one = span()
    view = SpanView(one, {})
    view.attributes.clear()
    view.attributes.update(values)
    assert view.write_back()
    assert {pair.key: plain(pair.value) for pair in one.attributes} == values
    again = SpanView(one, {})
    assert again.attributes == values
    assert not again.write_back()


@pytest.mark.parametrize(
    "edit",
    [
        lambda view: view.attributes["list"].append(2),
        lambda view: view.attributes.update(text=True),
        lambda view: setattr(view, "name", "b"),
    ],
)
def test_edits_are_noticed(edit: Any) -> None:
    """Inside a list, of a value's type, of the name alone."""
    view = SpanView(span(), {})
    edit(view)
    assert view.write_back()


@pytest.mark.parametrize(
    ("key", "value"), [("x", object()), ("x", "\ud800"), ("x", 2**64), (3, "x"), ("x", [object()])]
)
def test_what_no_attribute_can_be_changes_nothing(key: Any, value: Any) -> None:
    """The error is raised before anything of the span is touched."""
    one = span()
    before = one.SerializeToString()
    view = SpanView(one, {})
    view.attributes[key] = value
    with pytest.raises((TypeError, ValueError)):
        view.write_back()
    assert one.SerializeToString() == before
