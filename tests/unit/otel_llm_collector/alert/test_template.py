"""Templates of rules say what Go would say; the same cases go to the real promtool in `tests/integration`."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.alert.template import literal, parse
from otel_llm_collector.alert.template_functions import SITUATED, TemplateError, functions_of

LABELS = {"__name__": "x", "i": "a", "job": "web"}
VECTOR = [{"Labels": {"i": "b"}, "Value": 2.0}, {"Labels": {"i": "a"}, "Value": 1.5}]


def expand(text: str, value: float = 1234.5) -> str:
    """The text with some labels and that value."""

    def query(_: str) -> list[dict[str, Any]]:
        return VECTOR

    data = {"Labels": LABELS, "Value": value, "ExternalLabels": {"region": "eu"}, "ExternalURL": "http://p/x"}
    return parse(text, SITUATED).expand(data, functions_of(query, 1e9, "http://p/x"))


CASES = {
    "plain {": "plain {",
    "{{ $value }} {{ .Value }}": "1234.5 1234.5",
    "{{ $labels.job }}/{{ .Labels.nope }}/{{ $externalLabels.region }}/{{ $externalURL }}": "web//eu/http://p/x",
    "a {{- 1 -}} b {{/* note */}}c{{- /* note */ -}} d": "a1b cd",
    "{{ if gt $value 1000.0 }}high{{ else if gt $value 10.0 }}mid{{ else }}low{{ end }}": "high",
    "{{ $x := 1 }}{{ $x = 2 }}{{ $x }}": "2",
    '{{ range query "x" | sortByLabel "i" }}{{ .Labels.i }}={{ .Value }};{{ end }}': "a=1.5;b=2;",
    '{{ range $i, $e := query "x" }}{{ $i }}{{ $e.Value }} {{ else }}none{{ end }}': "02 11.5 ",
    '{{ range query "x" }}{{ break }}{{ end }}{{ range query "x" }}{{ continue }}x{{ end }}!': "!",
    '{{ with query "x" }}{{ . | first | label "i" }}{{ end }}': "b",
    '{{ (query "x" | first).Value }} {{ first (query "x") | value }}': "2 2",
    '{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" $value }}': "<1234.5>",
    '{{ and 1 0 }} {{ or 0 "x" }} {{ not true }} {{ len "äb" }}': "0 x false 3",
    '{{ eq "a" "b" "a" }} {{ ne 1 2 }} {{ le 1 1 }} {{ lt "b" "a" }}': "true true true false",
    '{{ "quo\\"te" }} {{ `raw` }} {{ \'a\' }} {{ 0x10 }} {{ 1e3 }}': 'quo"te raw 97 16 1000',
    '{{ printf "%.2f|%5s|%-5s|%05d|%q|%v|%%" 1.005 "a" "b" 42 "c" true }}': '1.00|    a|b    |00042|"c"|true|%',
    '{{ args 1 "b" }}': "map[arg0:1 arg1:b]",
    '{{ reReplaceAll "(a)(b)" "$2${1}" "ab" }} {{ match "^w" $labels.job }}': "ba true",
    "{{ externalURL }} {{ pathPrefix }} {{ now }}": "http://p/x /x 1e+09",
    '{{ index $labels "i" }}{{ slice "abc" 1 2 }}{{ html "<a>" }}': "ab&lt;a&gt;",
    "{{ $value | humanize }} {{ humanize1024 $value }} {{ humanizeDuration $value }}": "1.234k 1.206ki 20m 34s",
}


@pytest.mark.parametrize(("text", "wanted"), CASES.items(), ids=str)
def test_what_go_says(text: str, wanted: str) -> None:
    """One case of the language or of a function."""
    assert expand(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "{{", "{{ }}", "{{ if }}x{{ end }}", "{{ if 1 }}", "{{ end }}", "{{ else }}", "{{ $nope }}", "{{ nope }}",
        "{{ range 1 }}", "{{ break }}", "{{ ( 1 }}", "{{ 1 | 2 }}", "{{ $x = 1 }}", '{{ "open }}', "{{ 1 2 }}",
        "{{ ^ }}",
    ],
)  # fmt: skip
def test_mistakes_are_found_when_the_rule_is_loaded(text: str) -> None:
    """Not when it fires."""
    with pytest.raises(TemplateError):
        parse(text, SITUATED)


@pytest.mark.parametrize(
    "text",
    [
        "{{ gt $value 5 }}", "{{ first .Nothing }}", '{{ template "nope" }}', "{{ $value.x }}", '{{ index "a" 9 }}',
        '{{ humanize "x" }}', '{{ match "(" "a" }}', "{{ len 1 }}",
        '{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}',
        "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}", '{{ slice "abc" 2 9 }}', '{{ printf "%1000000d" 1 }}',
    ],
)  # fmt: skip
def test_what_goes_wrong_while_it_runs_is_one_error(text: str) -> None:
    """Types that do not fit, nothing there, templates that would not end or grow too long."""
    with pytest.raises(TemplateError):
        expand(text)


def test_a_literal_is_no_template() -> None:
    """Whatever stands in it."""
    assert literal("{{ nope").expand({}, {}) == "{{ nope"


@given(st.text(alphabet='{}-$.|()"` abif01:=/*end', max_size=40))
def test_any_text_is_a_template_or_a_template_error(text: str) -> None:
    """Nothing else comes out of parsing and running."""
    with contextlib.suppress(TemplateError):
        expand(text)
