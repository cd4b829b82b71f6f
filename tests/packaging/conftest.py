"""The built distribution, and clean environments to install it in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(source: Path, target: Path, *kinds: str) -> list[Path]:
    """Build the distribution in `source` with the backend that is installed here; returns what it made."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    ended = subprocess.run([*command, *kinds], cwd=source, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    return sorted(target.iterdir())


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds the built wheel with some extras and nothing else."""

    folder: Path

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, in an empty folder and without this repository on any path."""
        program = str(self.folder / "bin" / command[0])
        away = self.folder / "empty"
        away.mkdir(exist_ok=True)
        return subprocess.run(
            [program, *command[1:]],
            cwd=away,
            env={"PATH": "/usr/bin:/bin", "HOME": str(away)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def python(self, code: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run Python code in the environment."""
        return self.run("python", "-c", code, timeout=timeout)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the work tree."""
    [path] = build(ROOT, tmp_path_factory.mktemp("wheel"), "--target", "wheel")
    return path


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built from the work tree."""
    [path] = build(ROOT, tmp_path_factory.mktemp("sdist"), "--target", "sdist")
    return path


@pytest.fixture(scope="session")
def builder() -> Callable[..., list[Path]]:
    """`build`, for tests that have another source."""
    return build


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """`install(extras)`: a clean environment with the wheel and these extras, pinned; skips without a package index."""
    made: dict[str, Environment] = {}

    def installed(extras: str) -> Environment:
        if extras not in made:
            folder = tmp_path_factory.mktemp("environment")
            # pip is ours and stays outside, so that nothing is in the environment that was not asked for
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
            python = str(folder / "bin/python")
            wanted = f"otel-llm{extras} @ {wheel.as_uri()}"
            command = ["pip", "--disable-pip-version-check", "--python", python, "install", "--quiet", wanted]
            ended = subprocess.run(
                [sys.executable, "-m", *command, "--constraint", str(ROOT / "constraints.txt")],
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
            if "Failed to establish a new connection" in ended.stderr:
                pytest.skip("no package index can be reached; installing in a clean environment needs one")
            assert ended.returncode == 0, ended.stderr
            made[extras] = Environment(folder)
        return made[extras]

    return installed
