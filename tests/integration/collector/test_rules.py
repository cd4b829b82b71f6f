"""Rules against the real promtool and Alertmanager, and through a running collector."""

# ruff: noqa: E501 - a template stands on one line

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from otel_llm_collector.alert.rule_tests import run_file
from otel_llm_collector.alert.template import parse
from otel_llm_collector.alert.template_functions import SITUATED, functions_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "collector" / "rules").glob("*.yaml"))
TESTS = sorted((ROOT / "collector" / "rules" / "tests").glob("*.yaml"))

# What Go makes of these is asked of promtool; the series below are what `query` finds.
TEMPLATES = [
    "{{ $value }} {{ .Value }} {{ $labels.i }} {{ .Labels.nope }} {{ $labels }} {{ $externalLabels.region }}",
    "{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }}",
    '{{ printf "%v %d %s %q %t %x %X %6.2f|%-6s|%06d %e %g %%" 1.5 5 "s" "q\\"" true 255 "hi" $value "ab" 42 $value $value }}',
    '{{ printf "%d" $value }} {{ printf "%s" 5 }} {{ printf "%f" }} {{ printf "a" 3 }} {{ printf "%+d" 3 }}',
    '{{ if gt $value 1.0 }}big{{ else if eq $value 0.5 }}half{{ else }}small{{ end }} {{- " trimmed" -}} x',
    '{{ range query "x" | sortByLabel "i" }}{{ .Labels.i }}={{ .Value }};{{ end }}',
    '{{ range $i, $e := query "x" | sortByLabel "i" }}{{ if eq $i 1 }}{{ break }}{{ end }}{{ $e.Value }}{{ end }}',
    '{{ with query "y" }}yes{{ else }}no{{ end }} {{ with $x := 5 }}{{ $x }}{{ end }}',
    '{{ (query "x" | sortByLabel "i" | first).Labels.i }} {{ query "x" | sortByLabel "i" | first | label "i" }}',
    '{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" $value }}',
    '{{ and 1 0 }} {{ or 0 "x" }} {{ not true }} {{ eq "a" "b" "a" }} {{ ne 1 2 }} {{ len "äb" }} {{ print 1 2 "a" 3 }}',
    '{{ reReplaceAll "(a)(b)" "$2${1}" "abab" }} {{ match "^a" "ba" }} {{ title "hello wOrld x_y it\'s" }}',
    '{{ toUpper "a" }}{{ toLower "B" }} {{ stripPort "1.2.3.4:80" }} {{ stripPort "[::1]:80" }} {{ stripDomain "a.b.c:9" }}',
    '{{ graphLink "up{a=\\"b\\"}" }} {{ tableLink "up" }} {{ args 1 "b" }} {{ index $labels "i" }} {{ slice "abc" 1 2 }}',
    '{{ toTime 1e9 }} {{ parseDuration "1h30m" }} {{ html "<a href=\'x\'>" }} {{ urlquery "a b&c" }} {{ `raw` }}',
    "{{/* nothing */}}{{ $x := 1 }}{{ $x = 2 }}{{ $x }} {{ 0x10 }} {{ 1e3 }} {{ 'a' }}",
]
VALUES = {"a": 100000.0, "b": 12345678.5, "c": 1e9, "d": 0.00001, "e": 0.5, "f": -3601.0, "g": 1234.5, "h": 0.0}


def test_templates_say_what_go_says(promtool: str, tmp_path: Path) -> None:
    """Every template at every value, as promtool expands it."""
    annotations = {f"t{index}": text for index, text in enumerate(TEMPLATES)}
    rules = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "x", "annotations": annotations}]}]}
    vector = [{"Labels": {"__name__": "x", "i": name}, "Value": value} for name, value in VALUES.items()]

    def query(name: str) -> list[dict[str, Any]]:
        return vector if name == "x" else []

    expected = []
    for name, value in VALUES.items():
        data = {
            "Labels": {"__name__": "x", "i": name},
            "Value": value,
            "ExternalLabels": {"region": "eu"},
            "ExternalURL": "",
        }
        said = {
            key: parse(text, SITUATED).expand(data, functions_of(query, 0.0, "")) for key, text in annotations.items()
        }
        expected.append({"exp_labels": {"i": name}, "exp_annotations": said})
    test = {
        "interval": "1m",
        "external_labels": {"region": "eu"},
        "input_series": [
            {"series": f'x{{i="{name}"}}', "values": f"{value:.9f}".rstrip("0").rstrip(".")}
            for name, value in VALUES.items()
        ],
        "alert_rule_test": [{"eval_time": "0m", "alertname": "A", "exp_alerts": expected}],
    }
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (tmp_path / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}), encoding="utf-8"
    )
    ran = subprocess.run(
        [promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-6000:]
    assert run_file(tmp_path / "test.yaml") == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_shipped_rules_pass_their_tests_here_and_in_promtool(path: Path, promtool: str) -> None:
    """The same file, our evaluator and Prometheus' own."""
    assert run_file(path) == []
    ran = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_our_runner_refuses_what_promtool_refuses(promtool: str, tmp_path: Path) -> None:
    """An expectation that is wrong fails in both, so that a test can fail."""
    text = TESTS[0].read_text(encoding="utf-8").replace("../", f"{RULES[0].parent}/")
    wrong = re.sub(r"summary: .*", 'summary: "something else"', text, count=1)
    (tmp_path / "test.yaml").write_text(wrong, encoding="utf-8")
    assert run_file(tmp_path / "test.yaml") != []
    ran = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_each_shipped_alert_has_a_test_and_a_runbook(path: Path) -> None:
    """The link in its annotation leads to a heading of that name."""
    tested = (path.parent / "tests" / path.name).read_text(encoding="utf-8")
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
                headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
                assert rule["alert"] in headings
                assert anchor == rule["alert"].lower()
                assert rule["alert"] in tested
                assert rule["labels"]["severity"]


ALWAYS = """
groups:
  - name: g
    interval: 1s
    rules:
      - {alert: Always, expr: vector(1), labels: {severity: info}, annotations: {summary: "v {{ $value }}"}}
      - {record: "recorded:one", expr: vector(42)}
"""


@asynccontextmanager
async def real_alertmanager(folder: Path) -> AsyncIterator[str]:
    """An Alertmanager on a free port."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("needs Alertmanager; apt-get install prometheus-alertmanager")
    (folder / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n", encoding="utf-8")
    probe = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = probe.sockets[0].getsockname()[1]
    probe.close()
    await probe.wait_closed()
    process = await asyncio.create_subprocess_exec(
        program, f"--config.file={folder}/am.yml", f"--storage.path={folder}/am", "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{port}", stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def until(condition: Any, seconds: float = 20) -> Any:
    """The first truthy answer."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                found = await condition()
            except httpx2.HTTPError:
                found = None
            if found:
                return found
            await asyncio.sleep(0.1)


async def _reload_and_hang(running: Any, folder: Path) -> None:
    rules = folder / "rules.yaml"
    rules.write_text(ALWAYS, encoding="utf-8")
    hanging = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    hang = f"http://127.0.0.1:{hanging.sockets[0].getsockname()[1]}"
    gone = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    dead = f"http://127.0.0.1:{gone.sockets[0].getsockname()[1]}"
    gone.close()
    await gone.wait_closed()
    async with real_alertmanager(folder) as alertmanager, httpx2.AsyncClient(trust_env=False) as client:
        more = (
            f"alerts: {{rules: [{rules}], alertmanagers: ['{hang}', '{dead}', '{alertmanager}'], evaluation_seconds: 0.5, "
            f"resend_seconds: 1, path: {folder}/alerts}}\n"
        )

        async def names() -> set[str]:
            answer = await client.get(f"{alertmanager}/api/v2/alerts")
            return {one["labels"]["alertname"] for one in answer.json()}

        async with running(more) as app:
            admin = f"http://{app.admin.address}"

            async def fires() -> bool:
                return "Always" in await names()

            await until(fires)
            metrics = (await client.get(f"{admin}/metrics")).text
            failed = re.search(rf'otel_llm_notifications_failed_total{{target="{dead}"}} (.+)', metrics)
            assert failed is not None
            assert float(failed[1]) >= 1
            shown = (await client.get(f"{admin}/api/v1/rules")).json()["data"]["groups"][0]["rules"]
            assert [(one["name"], one["health"], one["type"]) for one in shown] == [
                ("Always", "ok", "alerting"),
                ("recorded:one", "ok", "recording"),
            ]
            since = (await client.get(f"{admin}/api/v1/alerts")).json()["data"]["alerts"][0]["activeAt"]

            rules.write_text("groups: [{name: g, rules: [{alert: Broken, expr: 'sum('}]}]", encoding="utf-8")
            answer = await client.post(f"{admin}/-/reload")
            assert answer.status_code == 400
            assert "rule Broken" in answer.json()["error"]
            rules.write_text(ALWAYS + "      - {alert: Second, expr: vector(2)}\n", encoding="utf-8")
            assert (await client.post(f"{admin}/-/reload")).status_code == 200

            async def second() -> bool:
                return {"Always", "Second"} <= await names()

            await until(second)
            alerts = (await client.get(f"{admin}/api/v1/alerts")).json()["data"]["alerts"]
            assert {one["labels"]["alertname"]: one["activeAt"] for one in alerts}["Always"] == since

            silence = {
                "matchers": [{"name": "alertname", "value": "Second", "isRegex": False}],
                "endsAt": "2100-01-01T00:00:00Z", "createdBy": "t", "comment": "c",
            }  # fmt: skip
            made = await client.post(f"{admin}/api/v2/silences", json=silence)
            assert made.status_code == 200, made.text
            assert [one["id"] for one in (await client.get(f"{admin}/api/v2/silences")).json()] == [
                made.json()["silenceID"]
            ]
            browser = await client.post(f"{admin}/-/reload", headers={"origin": "http://evil.example"})
            assert browser.status_code == 403
            rules.write_text("groups: []", encoding="utf-8")
            assert (await client.post(f"{admin}/-/reload")).status_code == 200

            async def resolved() -> bool:
                return "Always" not in await names()

            await until(resolved)
        saved = json.loads((folder / "alerts" / "alerts.json").read_text(encoding="utf-8"))
        assert len(saved["silences"]) == 1
    hanging.close()


def test_reload_silences_and_a_target_that_hangs(running: Any, tmp_path: Path) -> None:
    """The real Alertmanager hears of everything beside one that hangs and one that is dead; a bad file changes nothing."""
    asyncio.run(_reload_and_hang(running, tmp_path))
