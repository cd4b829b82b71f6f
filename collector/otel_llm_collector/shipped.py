"""The rules that come with the collector, and their runbooks: files of the package, named in a configuration.

alerts:
  rules: ["shipped:latency", "shipped:cost"]     # or "shipped:*"
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

PREFIX = "shipped:"
_RULES = Path(__file__).parent / "rules"
_RUNBOOKS = Path(__file__).parent / "runbooks"
_LINK = "docs/runbooks/"  # how the links to runbooks begin in the files


def names() -> list[str]:
    """What follows `shipped:`."""
    return sorted(path.stem for path in _RULES.glob("*.yaml"))


def paths(pattern: str) -> list[Path]:
    """The files of the rules that the pattern names."""
    return [_RULES / f"{name}.yaml" for name in names() if fnmatchcase(name, pattern)]


def linked(text: str, runbooks_url: str) -> str:
    """The rules with links to their runbooks that begin with `runbooks_url`; as they are where that is empty."""
    return text.replace(_LINK, f"{runbooks_url.rstrip('/')}/") if runbooks_url else text


def runbook(name: str) -> str | None:
    """The page of that name (`latency.md`), if there is one."""
    known = {path.name: path for path in _RUNBOOKS.glob("*.md")}
    return known[name].read_text(encoding="utf-8") if name in known else None
