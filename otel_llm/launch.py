"""`otel-llm instrument -- CMD`: run a Python program as if its first line called `configure()`.

CMD is replaced by nothing: it is executed with a folder in front of `PYTHONPATH` whose `sitecustomize` calls `begin`.
So every Python process that it starts is traced as well, which is what servers with workers need.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "autostart"
CANNOT_EXECUTE, NOT_FOUND = 126, 127  # what a shell answers


def environment_for(options: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the program: our folder first, each option as its variable."""
    path = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = [str(FOLDER), *(entry for entry in path if entry != str(FOLDER))]
    said = {variable: value for variable, value in options.items() if value is not None}
    return {**environment, **said, "PYTHONPATH": os.pathsep.join(path)}


def run(command: Sequence[str], options: Mapping[str, str | None]) -> int:
    """Become the program; returns only when that cannot be done."""
    if not command:
        print("otel-llm instrument: name a program: otel-llm instrument -- uvicorn app:app", file=sys.stderr)  # noqa: T201
        return 2
    # Programs of our own environment come first: it need not be activated.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = shutil.which(command[0], path=search)
    if program is None:
        print(f"otel-llm instrument: {command[0]} is no program that can be found", file=sys.stderr)  # noqa: T201
        return NOT_FOUND
    try:
        os.execve(program, [program, *command[1:]], environment_for(options, os.environ))  # noqa: S606 - the point
    except OSError as error:
        print(f"otel-llm instrument: {program} cannot be run: {error}", file=sys.stderr)  # noqa: T201
    return CANNOT_EXECUTE


def begin() -> None:
    """Configure this process; called before the program's first line. Never raises."""
    if any("multiprocessing.resource_tracker" in word for word in sys.orig_argv):
        return  # a helper of Python's own, which outlives the program
    try:
        from otel_llm.setup import configure  # noqa: PLC0415 - only where it is wanted

        configure()
    except Exception as error:
        print(f"otel-llm instrument: {type(error).__name__}: {error}; the program runs untraced", file=sys.stderr)  # noqa: T201
