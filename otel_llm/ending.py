"""How a process ends without losing what waits to be sent.

Three ways out of a Python process do not run `atexit`: SIGTERM without a handler, children of `multiprocessing`, and
servers that die by the signal they caught. Each gets the same short flush; a program with a handler of its own is left
alone.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from types import FrameType


class Ending:
    """Calls `shutdown` at the end of this process and of every process forked from it."""

    def __init__(self, shutdown: Callable[[], None], *, on_sigterm: bool) -> None:
        self._shutdown = shutdown
        atexit.register(shutdown)
        if on_sigterm:
            self._handle_sigterm()
        self._follow_children()
        os.register_at_fork(after_in_child=self._follow_children)

    def cancel(self) -> None:
        """Nothing is left to be done at the end."""
        atexit.unregister(self._shutdown)

    def _handle_sigterm(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread may
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._shutdown()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)  # the process still dies by the signal, as whoever sent it expects

    def _follow_children(self) -> None:
        """Ask `multiprocessing`, whose children leave by `os._exit`, to call us first."""
        if "--multiprocessing-fork" in sys.orig_argv:  # a spawned child that has not come to its own code yet
            import_module("multiprocessing.util")
        util = sys.modules.get("multiprocessing.util")
        if util is None:
            return
        # A child begins by forgetting what its parent registered, and then calls this.
        util.register_after_fork(self, Ending._finalize)
        if import_module("multiprocessing.process").parent_process() is not None:
            self._finalize()

    def _finalize(self) -> None:
        sys.modules["multiprocessing.util"].Finalize(None, self._shutdown, exitpriority=0)
