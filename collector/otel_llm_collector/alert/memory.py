"""What alerting remembers over a restart: alerts, what each target was told, silences; one JSON file, replaced whole.

A file that cannot be read is set aside under another name, said so, and alerting begins anew: losing the memory of
alerts must not keep the collector from starting.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_FORMAT = 1


class Memory:
    """Reads and writes `alerts.json` in `folder`; without a folder it forgets."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / "alerts.json" if folder is not None else None
        self._written = ""

    def load(self) -> dict[str, Any]:
        """What was saved last; empty when there is nothing, or nothing readable."""
        if self._path is None:
            return {}
        try:
            saved = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(saved, dict) and saved.get("format") == _FORMAT:
                return saved
            problem = "is of another format"
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            problem = f"cannot be read ({error})"
        aside = self._path.with_suffix(".unreadable")
        logger.error("%s: %s; it is kept as %s, and alerts begin anew", self._path, problem, aside.name)
        try:
            self._path.replace(aside)
        except OSError:
            logger.exception("%s cannot be set aside", self._path)
        return {}

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file if anything changed. What cannot be written is said and tried again at the next save."""
        if self._path is None:
            return
        text = json.dumps({"format": _FORMAT, **state}, separators=(",", ":"), sort_keys=True)
        if text == self._written:
            return
        draft = self._path.with_suffix(".draft")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            logger.warning("%s: the state of alerts cannot be written (%s); it is tried again", self._path, error)
            return
        self._written = text
