"""The one seam through which libraries are patched: reversible, and only once the program imports them.

A patch that fails leaves the library as it was, with one warning.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from otel_llm.guard import warn_once

_MARK = "_otel_llm_wrapped"
_attaching: ContextVar[str] = ContextVar("otel_llm_attaching", default="")
_lock = threading.RLock()
_patches: dict[str, list[tuple[Any, str, Any, bool]]] = {}  # name -> (owner, attribute, what was there, was it its own)
_waiting: dict[str, tuple[str, Callable[[ModuleType], None]]] = {}  # module -> (name, what patches it)


def is_replaced(value: Any) -> bool:
    """Whether `value` stands in the place of something."""
    return getattr(value, _MARK, False)


def replace(owner: Any, attribute: str, value: Any, name: str = "") -> None:
    """Set an attribute of a class or module, remembered for `forget` under `name` (else: that of the running patch)."""
    own = attribute in vars(owner)
    before = vars(owner).get(attribute)
    setattr(value, _MARK, True)
    setattr(owner, attribute, value)
    with _lock:
        _patches.setdefault(name or _attaching.get(), []).append((owner, attribute, before, own))


def forget(name: str) -> None:
    """Undo what was replaced for `name`, newest first, and wait for its module no longer."""
    with _lock:
        for module in [module for module, (waiting, _) in _waiting.items() if waiting == name]:
            del _waiting[module]
        for owner, attribute, before, own in reversed(_patches.pop(name, [])):
            if own:
                setattr(owner, attribute, before)
            else:
                delattr(owner, attribute)


def when_imported(name: str, module: str, attach: Callable[[ModuleType], None]) -> None:
    """Call `attach` with a module: now if it is imported, else right after. What it replaces is kept under `name`."""
    if module in sys.modules:
        _attach(name, sys.modules[module], attach)
        return
    with _lock:
        _waiting[module] = (name, attach)
        if not any(isinstance(one, _Finder) for one in sys.meta_path):
            sys.meta_path.insert(0, _Finder())


def _attach(name: str, module: ModuleType, attach: Callable[[ModuleType], None]) -> None:
    token = _attaching.set(name)
    try:
        attach(module)
    except Exception as error:  # a version of the library that looks different
        forget(name)
        warn_once(f"{name} could not be instrumented: {type(error).__name__}: {error}")
    finally:
        _attaching.reset(token)


class _Finder(importlib.abc.MetaPathFinder):
    """Lets others find a module, and has it patched after it ran."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        with _lock:
            waiting = _waiting.pop(fullname, None)
        if waiting is None:
            return None
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            name, attach = waiting
            spec.loader = _Loader(spec.loader, lambda module: _attach(name, module, attach))  # type: ignore[assignment]
        return spec


class _Loader:
    """A loader that does something after the module ran."""

    def __init__(self, loader: Any, after: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the real loader."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """As the real loader; then what was waited for."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._after(module)
