"""What the pages say can be done: commands exist, links lead somewhere, code runs, configurations are right.

Every fenced block of README.md, CONTRIBUTING.md and docs/ is checked by its language:

- `sh`: each line is a command of this repository with options that it has.
- `python`: runs as a program of its own and its spans arrive at a collector.
- `yaml`: is a configuration of the collector. A block in another form says so in its info string: `yaml prometheus`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator
from otel_llm_collector import cli as collector_cli
from otel_llm_collector import config
from otel_llm_collector.config_schema import json_schema
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import HttpSink

from otel_llm import cli as sdk_cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
PARSERS = {"otel-llm": sdk_cli._parser, "otel-llm-collector": collector_cli._parser}


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    info: str
    body: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(info: str) -> list[Block]:
    """The blocks with this info string on all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match["info"].strip(), match["body"]))
    return [block for block in found if block.info == info]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    plain = (re.sub(r"[`*\[\]]|\([^)]*\)", "", heading) for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}


def test_the_pages_are_found() -> None:
    """The checks below see the pages and their blocks."""
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= {page.name for page in PAGES}
    assert all(blocks(info) for info in ("sh", "python", "yaml"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository, and a heading of it where it has an anchor."""
    for target in _LINK.findall(prose(page)):
        link = urlsplit(target)
        if link.scheme:
            assert link.scheme in {"https", "http", "mailto"}, target
            continue
        linked = (page.parent / link.path).resolve() if link.path else page
        assert linked.exists(), f"{page.name} links to {target}, which is not there"
        assert linked.is_relative_to(ROOT), f"{page.name} links out of the repository: {target}"
        if link.fragment:
            assert link.fragment in anchors(linked), f"{page.name} links to {target}, which has no such heading"


def check_command(words: list[str]) -> None:
    """Fails when a command line of the pages cannot be run in this repository."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    if program == "make":
        targets = [word for word in rest if "=" not in word]
        assert targets
        assert set(targets) <= TARGETS
    elif program in PARSERS:
        PARSERS[program]().parse_args(rest)
    elif program == "pip":
        for extras in re.findall(r"\[([^\]]+)\]", " ".join(rest)):
            assert set(extras.split(",")) <= EXTRAS.keys()
    else:
        assert program in {"docker", "git", "cd", "curl", "python"}, f"{program} is no command of this repository"


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_shell_commands_exist(block: Block) -> None:
    """Each line is a make target, one of our commands with options that it has, or pip with extras that exist."""
    for line in block.body.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            check_command(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_exist(page: Path) -> None:
    """The same for commands between backticks."""
    for text in re.findall(r"`([^`\n]+)`", prose(page)):
        words = shlex.split(text.replace("…", "")) if text.count("'") % 2 == 0 else []
        if len(words) > 1 and words[0] in {"make", *PARSERS} and "FILE" not in words:
            check_command(words)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_configurations_are_right(block: Block) -> None:
    """The collector and an editor that has its schema accept the block as it stands, its rules too; it is not empty."""
    document = yaml.safe_load(block.body)
    assert document
    assert not [error.message for error in Draft202012Validator(json_schema()).iter_errors(document)]
    config.load_rules(config.parse(block.body, {}, source=str(block), folder=block.page.parent))


@pytest.mark.integration
@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_programs_run_and_are_traced(block: Block, tmp_path: Path) -> None:
    """The block is a whole program: it exits 0 and its spans arrive, each helper that it uses among them."""
    path = tmp_path / "program.py"
    path.write_text(block.body, encoding="utf-8")

    async def run() -> set[str]:
        async with HttpSink() as sink:
            environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}"}
            ended = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, str(path)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=40,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            assert "Traceback" not in ended.stderr
            return {span.name for taken in sink.taken if taken.signal is Signal.TRACES for span in taken.spans()}

    names = asyncio.run(run())
    used = set(
        re.findall(
            r"otel_llm\.(chat|retrieval|embedding|rerank|workflow|training_step|experiment|monitor)\(", block.body
        )
    )
    assert used
    assert len(names) >= len(used), f"{used} were used, {names} arrived"


@pytest.mark.integration
@pytest.mark.parametrize("block", blocks("python test"), ids=str)
def test_test_files_pass(block: Block, tmp_path: Path) -> None:
    """The block is a file of tests: pytest runs it in a folder of its own, and every test passes."""
    (tmp_path / "test_page.py").write_text(block.body, encoding="utf-8")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout
    assert f"{block.body.count('def test_')} passed" in ended.stdout
