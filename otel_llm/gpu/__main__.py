"""`python -m otel_llm.gpu`: show what the GPUs of this machine tell, or record it."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path

from otel_llm.gpu.nvml import Nvml, UnavailableError
from otel_llm.gpu.record import Recorder


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code, 2 where there is no GPU to read."""
    parser = argparse.ArgumentParser(prog="python -m otel_llm.gpu", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    commands.add_parser("show", help="one reading of every device")
    record = commands.add_parser("record", help="record NVML's answers to a file, for replay without a GPU")
    record.add_argument("file", type=Path, help="where to write the recording (JSON)")
    record.add_argument("--seconds", type=float, default=10.0, help="for how long (default: 10)")
    record.add_argument("--interval", type=float, default=0.1, help="seconds between readings (default: 0.1)")
    options = parser.parse_args(arguments)
    try:
        return _show() if options.command == "show" else _record(options.file, options.seconds, options.interval)
    except UnavailableError as error:
        print(f"no GPU can be read: {error}", file=sys.stderr)
        return 2


def _show() -> int:
    nvml = Nvml()
    for reading in nvml.read():
        for name, value in asdict(reading).items():
            print(f"{name}: {value}")
        print()
    nvml.close()
    return 0


def _record(path: Path, seconds: float, interval: float) -> int:
    recorder = Recorder()
    nvml = Nvml(recorder)
    cost = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.thread_time()
        nvml.read()
        cost.append(time.thread_time() - before)
        nvml.read_work()
        time.sleep(interval)
    devices = len(nvml.devices)
    nvml.close()
    recorder.save(path)
    milliseconds = statistics.median(cost) * 1000
    print(f"{path}: {len(cost)} readings of {devices} devices; a reading took {milliseconds:.2f} ms of CPU (median)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
