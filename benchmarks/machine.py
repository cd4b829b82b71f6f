"""Where and from what something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path


def machine() -> dict[str, str | int]:
    """Processor, cores, Python, commit and day."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)  # noqa: S603
    return {
        "cpu": next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown"),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }


def write_between(path: Path, name: str, text: str) -> None:
    """Replace what stands between the comments `<!-- name -->` and `<!-- end -->` of a page."""
    before, found, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    if not found:
        msg = f"{path}: has no comment <!-- {name} -->; put one where the table is to stand"
        raise ValueError(msg)
    _, _, after = rest.partition("<!-- end -->")
    path.write_text(f"{before}<!-- {name} -->\n{text}<!-- end -->{after}", encoding="utf-8")
