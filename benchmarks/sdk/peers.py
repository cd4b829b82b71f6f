"""The same table beside other SDKs, each in an environment of its own; `make bench-sdk-peers`, see README.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from machine import machine, write_between  # noqa: E402 - a folder to run, no package
from peer import PEERS  # noqa: E402

EXTRA = {"traceloop-sdk": ["httpx"]}  # it imports that and does not say so
SECONDS = 240
MEGABYTE = 1_000_000


def environment(folder: Path, name: str) -> Path:
    """An environment with the peer alone, made when it is not there; returns its Python."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        print(f"installing {name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)  # noqa: S603
        what = [str(ROOT)] if name == "otel-llm" else [name, *EXTRA.get(name, [])]
        uv = shutil.which("uv")  # pip takes a quarter of an hour to resolve traceloop-sdk
        installer = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
        subprocess.run([*installer, "--quiet", *what], check=True)  # noqa: S603
    return python


def installed(python: Path) -> tuple[int, float]:
    """Packages and megabytes of an environment, without pip and setuptools."""
    program = (
        "import importlib.metadata as m; found = [d for d in m.distributions()"
        " if d.name.lower() not in {'pip', 'setuptools', 'wheel'}];"
        "print(len(found), sum(p.stat().st_size for d in found for f in d.files or ()"
        " if (p := f.locate()).is_file() and p.suffix != '.pyc'))"
    )
    said = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout  # noqa: S603
    count, size = said.split()
    return int(count), int(size) / MEGABYTE


def measured(python: Path, name: str) -> dict[str, Any]:
    """What peer.py says in that environment; the reason where it says nothing."""
    command = [str(python), str(HERE / "peer.py"), name]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    try:
        for _ in range(2):  # the first start compiles
            ended = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment
            )
    except subprocess.TimeoutExpired:
        return {"failed": f"no result in {SECONDS} s"}
    lines = [line for line in ended.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        return {"failed": (ended.stderr.strip().splitlines() or ["it said nothing"])[-1][:120]}
    result: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return result


def row(name: str, one: dict[str, Any]) -> str:
    """A line of the table."""
    size = f"{one['packages']} | {one['megabytes']:.0f}"
    if "failed" in one:
        return f"| {name} | {size} | {one['failed']} | | | |\n"
    ratio = f"{one['decorator_us'] / one['raw_us']:.1f}" if one.get("raw_us") else ""
    times = f"{one['import_ms']:.0f} | {one['init_ms']:.0f} | {one['decorator_us']:.0f} | {ratio}"
    return f"| {name} {one['version']} | {size} | {times} |\n"


def main() -> None:
    """Measure every peer, write `peers.json` and the table of docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, default=ROOT / ".cache" / "bench-sdk-peers")
    folder: Path = parser.parse_args().environments
    results: dict[str, Any] = {}
    for name in PEERS:
        python = environment(folder, name)
        packages, megabytes = installed(python)
        results[name] = {"packages": packages, "megabytes": megabytes, **measured(python, name)}
    table = "| SDK | packages | MB | import, ms | set-up, ms | decorator around a no-op, µs | raw spans |\n"
    table += "|---|---|---|---|---|---|---|\n"
    table += "".join(row(name, one) for name, one in results.items())
    written = {"machine": machine(), "peers": results}
    (HERE / "peers.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    write_between(ROOT / "docs" / "performance.md", "sdk peers", table)
    print(table)


if __name__ == "__main__":
    main()
