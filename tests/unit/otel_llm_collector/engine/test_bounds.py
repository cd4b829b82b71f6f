"""Bounded content fits its bound, can still be read, and names its original."""

from __future__ import annotations

import hashlib
import json
import time

from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.engine.bounds import Bounder

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["\ud800x", "ü\n" * 100, "a" * 500]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)


@given(value=st.lists(json_values) | st.dictionaries(st.text(), json_values), bound=st.integers(2, 2000))
def test_json_fits_and_stays_json(value: object, bound: int) -> None:
    """Any list or object comes out as one of at most the bound, and as it was when it fitted."""
    text = json.dumps(value)
    bounded = Bounder(bound, blobs=True).bound(text)
    assert len(bounded.text.encode()) <= bound
    assert type(json.loads(bounded.text)) is type(value)
    if len(text.encode()) <= bound:
        assert bounded.text == text
    else:
        assert (bounded.size, bounded.sha256) == (len(text.encode()), hashlib.sha256(text.encode()).hexdigest())


@given(text=st.text(), bound=st.integers(1, 200))
def test_plain_text_fits(text: str, bound: int) -> None:
    """Cut between characters, never in one."""
    assert len(Bounder(bound, blobs=False).bound(text).text.encode()) <= bound


def test_a_list_of_nothing_but_space_is_an_empty_list() -> None:
    """Space counts as bytes; without it nothing is too large."""
    assert [Bounder(10, blobs=False).bound(text).text for text in ("[" + " " * 20 + "]", "[1" + " " * 20 + "]")] == [
        "[]",
        "[1]",
    ]


def test_the_newest_and_the_first_messages_stay() -> None:
    """A long conversation keeps the system message and its end; what is missing is counted."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": f"message {n}"}]} for n in range(100)]
    after = json.loads(Bounder(1000, blobs=False).bound(json.dumps(messages)).text)
    texts = [message["parts"][0]["content"] for message in after]
    assert texts[0] == "message 0"
    assert texts[-1] == "message 99"
    missing = 100 - (len(texts) - 1)
    assert f"[{missing} left out]" in texts


def test_blobs_are_described_and_text_beside_them_stays() -> None:
    """A blob part and a data URL become type, size and hash."""
    parts = [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "A" * 1000},
        {"type": "text", "content": "see data:image/jpeg;base64," + "B" * 400},
    ]
    bounded = Bounder(0, blobs=True).bound(json.dumps([{"role": "user", "parts": parts}]))
    first, second = json.loads(bounded.text)[0]["parts"]
    assert first["content"] == f"[blob image/png, 750 bytes, sha256 {hashlib.sha256(b'A' * 1000).hexdigest()}]"
    assert second["content"].startswith("see [blob image/jpeg, 300 bytes, sha256 ")


def test_a_large_object_of_many_texts_takes_little_time() -> None:
    """Eight megabytes of escaped text are bounded in well under a second or two."""
    text = json.dumps({f"k{n}": "\n" * 1000 for n in range(4000)})
    start = time.process_time()
    assert len(Bounder(100_000, blobs=True).bound(text).text) <= 100_000
    assert time.process_time() - start < 3
