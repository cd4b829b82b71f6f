"""What is committed: no place that only its writer has, no secret, no file that does not belong."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_BYTES = 1_000_000
_PLACES = re.compile(
    rb"/(?:work|root|home/[a-z]\w*|Users/\w+)/[\w.]"  # somebody's folder
    rb"|(?:--|PIP_)(?:extra-)?index-url\b|--find-links|\btrusted-host\b",  # somebody's package index
    re.IGNORECASE,
)
_SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bsk-[A-Za-z0-9]{32,}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
)


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    """Every file that git knows."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone; git clone gives one")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=30, check=True).stdout
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def offenders(files: list[Path], pattern: re.Pattern[bytes]) -> list[str]:
    """The matches in `files`, this file left out."""
    return [
        f"{path.relative_to(ROOT)}: {match.group()[:60]!r}"
        for path in files
        if path != Path(__file__)
        for match in pattern.finditer(path.read_bytes())
    ]


def test_no_file_names_a_place_that_others_lack(committed: list[Path]) -> None:
    """No folder of somebody's machine and no package index stands in any file."""
    assert len(committed) > 100
    assert offenders(committed, _PLACES) == []


def test_no_file_holds_a_secret(committed: list[Path]) -> None:
    """Nothing that looks like a private key or a token of a known service."""
    assert offenders(committed, _SECRETS) == []


def test_the_patterns_find_what_they_are_for() -> None:
    """The two checks above can fail."""
    assert _PLACES.search(b"see /work/" + b"notes.md")
    assert _PLACES.search(b"pip install --index-" + b"url https://somewhere/simple x")
    assert not _PLACES.search(b"work/life, homework/a, /root")
    assert _SECRETS.search(b"-----BEGIN RSA PRIVATE " + b"KEY-----")


def test_files_are_small(committed: list[Path]) -> None:
    """Nothing large got in by mistake."""
    large = [path for path in committed if path.stat().st_size > MAX_FILE_BYTES]
    assert large == []
