"""Records what a real driver answers, and plays it back where there is no GPU.

    python -m otel_llm.gpu record h200.json --seconds 20

`Recorder` stands between `Nvml` and the binding and writes down every call with its answer or error; `Replay` stands in
for the binding and gives the same answers in the same order, the last of each again and again. Ids of processes and
devices are kept: look at a recording before you publish it.
"""

from __future__ import annotations

import ctypes
import json
import math
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FORMAT = "otel_llm.nvml/1"


class Recorder:
    """A binding that passes everything on to `binding` and remembers it."""

    def __init__(self, binding: Any = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._binding = binding or import_module("pynvml")
        self._clock = clock
        self._began = clock()
        self._constants: dict[str, Any] = {}
        self._calls: list[dict[str, Any]] = []
        self._handles: dict[int | None, int] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._binding, name)
        if isinstance(found, type):
            return found
        if not callable(found):
            self._constants[name] = found
            return found

        def call(*arguments: Any) -> Any:
            entry: dict[str, Any] = {"call": name, "arguments": [self._plain(one) for one in arguments]}
            began = self._clock()
            try:
                result = found(*arguments)
            except self._binding.NVMLError as error:
                entry |= {"error": error.value, "text": str(error)}
                raise
            else:
                entry["result"] = self._plain(result)
                return result
            finally:
                entry |= {"at": round(began - self._began, 6), "seconds": round(self._clock() - began, 7)}
                self._calls.append(entry)

        return call

    def save(self, path: Path) -> None:
        """Write the recording as JSON, one call a line."""
        head = {"format": FORMAT, "constants": dict(sorted(self._constants.items()))}
        lines = ",\n".join(json.dumps(call) for call in self._calls)
        path.write_text(f'{json.dumps(head)[:-1]}, "calls": [\n{lines}\n]}}\n', encoding="utf-8")

    def _plain(self, value: Any) -> Any:
        """`value` as JSON can hold it."""
        if isinstance(value, ctypes._Pointer):  # noqa: SLF001 - a handle
            address = ctypes.cast(value, ctypes.c_void_p).value
            return {"handle": self._handles.setdefault(address, len(self._handles))}
        if isinstance(value, (list, tuple, ctypes.Array)):
            return [self._plain(one) for one in value]
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if value is None or isinstance(value, (str, int, float)):
            return value
        names = [str(one[0]) for one in value._fields_] if hasattr(value, "_fields_") else list(vars(value))
        return {"fields": {name: self._plain(getattr(value, name)) for name in names}}


class ReplayError(Exception):
    """NVML's error of the recorded call."""

    def __init__(self, value: int, text: str) -> None:
        super().__init__(text)
        self.value = value


class Replay:
    """A binding that answers from a recording. A call that was never recorded is an `AttributeError`."""

    NVMLError = ReplayError

    def __init__(self, path: Path) -> None:
        recording = json.loads(path.read_text(encoding="utf-8"))
        if recording.get("format") != FORMAT:
            seen = recording.get("format")
            raise ValueError(f"{path}: is no recording of NVML (format: {seen!r}); record one with {FORMAT!r}")
        self._constants = recording["constants"]
        self.calls: list[dict[str, Any]] = recording["calls"]
        self._answers: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for call in self.calls:
            self._answers.setdefault((call["call"], json.dumps(call["arguments"])), []).append(call)

    def __getattr__(self, name: str) -> Any:
        if name in self._constants:
            return self._constants[name]
        if not any(call == name for call, _ in self._answers):
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            answers = self._answers.get((name, json.dumps([_key(one) for one in arguments])), [])
            if not answers:
                raise AttributeError(f"{name}{arguments} is not in the recording")
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if "error" in answer:
                raise ReplayError(answer["error"], answer["text"])
            return _object(answer["result"])

        return call


def _key(value: Any) -> Any:
    if isinstance(value, SimpleNamespace):
        return vars(value)
    return list(map(_key, value)) if isinstance(value, (list, tuple)) else value


def _object(value: Any) -> Any:
    if isinstance(value, list):
        return [_object(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "fields" in value:
        return SimpleNamespace(**{name: _object(one) for name, one in value["fields"].items()})
    return SimpleNamespace(**value)
