"""The command `otel-llm-collector`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from datetime import datetime
from pathlib import Path

from otel_llm_collector._version import __version__
from otel_llm_collector.errors import ConfigError, StartError
from otel_llm_collector.masking import Mask, masked

# Exit codes: 0 done, 1 could not start or ended by a fault, 2 a wrong command line or configuration.
FAILED = 1
MISUSED = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    except StartError as error:
        print(f"otel-llm-collector cannot start: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otel-llm-collector",
        description="An OpenTelemetry collector that prices, measures and forwards LLM telemetry, and alerts on it.",
    )
    parser.add_argument("--version", action="version", version=f"otel-llm-collector {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the collector; with no file, on the standard ports with the defaults")
    run.add_argument("file", nargs="?", type=Path, help="configuration in YAML")
    run.add_argument("--config", type=Path, help="the same as FILE")
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"], help="default: info")
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="say everything that is wrong with a configuration; start nothing")
    check.add_argument("file", type=Path, help="configuration in YAML")
    check.set_defaults(command=_check)

    tests = commands.add_parser("test-rules", help="run unit tests of rules, in promtool's format")
    tests.add_argument("files", nargs="+", type=Path, metavar="FILE", help="unit tests in YAML")
    tests.set_defaults(command=_test_rules)

    replay = commands.add_parser(
        "replay", help="send to a destination again what the log still holds, or its dead letters"
    )
    replay.add_argument("file", type=Path, help="configuration in YAML")
    replay.add_argument("--exporter", required=True, help="the destination, by its name in the configuration")
    what = replay.add_mutually_exclusive_group(required=True)
    what.add_argument("--from-offset", type=int, metavar="N", help="from this offset of the log on")
    what.add_argument("--from-time", type=_moment, metavar="TIME", help="from this time on, as 2026-01-31T12:00:00Z")
    what.add_argument("--dead-letters", type=Path, metavar="PATH", help="the letters in this file")
    replay.add_argument("--to-offset", type=int, metavar="N", help="up to before this offset; the log's end")
    replay.add_argument("--to-time", type=_moment, metavar="TIME", help="up to before this time; the log's end")
    replay.set_defaults(command=_replay)

    components = commands.add_parser("components", help="list what can stand in a configuration")
    components.set_defaults(command=_components)

    schema = commands.add_parser("schema", help="print the JSON Schema of a configuration, for editors")
    schema.set_defaults(command=_schema)
    return parser


def _masked_output() -> Mask:
    """Whatever is written from now on, by libraries and crashes too, passes this mask."""
    mask = Mask()
    sys.stdout, sys.stderr = masked(sys.stdout, mask), masked(sys.stderr, mask)
    return mask


def _run(options: argparse.Namespace) -> int:
    from otel_llm_collector import app, config  # noqa: PLC0415 - `--help` and `--version` need none of it

    mask = _masked_output()
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
    )
    if options.file and options.config:
        print("otel-llm-collector run: two configuration files are named; name one", file=sys.stderr)
        return MISUSED
    path = options.file or options.config

    def read() -> config.Config:
        settings = config.load(path, os.environ) if path else config.Config()
        mask.learn(settings.secrets())
        return settings

    return asyncio.run(app.run(read(), read))


def _check(options: argparse.Namespace) -> int:
    from otel_llm_collector import config  # noqa: PLC0415 - see _run

    settings = config.load(options.file, os.environ)
    alerts = sum(len(group.rules) for group in config.load_rules(settings))
    print(f"{options.file}: ok ({len(settings.exporters)} exporters, {alerts} alert rules)")
    return 0


def _test_rules(options: argparse.Namespace) -> int:
    from otel_llm_collector.alert.rule_tests import run_file  # noqa: PLC0415 - see _run

    failed = False
    for path in options.files:
        failures = run_file(path)
        failed = failed or bool(failures)
        print(f"{path}: {'FAILED' if failures else 'ok'}")
        for failure in failures:
            print(failure)
    return FAILED if failed else 0


def _moment(text: str) -> float:
    """ISO 8601; without a zone the machine's own."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        msg = f"is no time: {text!r}; write for example 2026-01-31T12:00:00Z"
        raise argparse.ArgumentTypeError(msg) from None


def _replay(options: argparse.Namespace) -> int:
    from otel_llm_collector import config, replay  # noqa: PLC0415 - see _run
    from otel_llm_collector.contract import Range  # noqa: PLC0415 - see _run

    mask = _masked_output()
    logging.basicConfig(level="WARNING", format="%(levelname)-7s %(name)s: %(message)s", stream=sys.stderr)
    settings = config.load(options.file, os.environ)
    mask.learn(settings.secrets())
    if options.dead_letters is not None:
        if options.to_offset is not None or options.to_time is not None:
            print("otel-llm-collector replay: --to-offset and --to-time go with a log, not with dead letters")
            return MISUSED
        try:
            result = replay.from_dead_letters(
                settings, options.exporter, options.dead_letters, lambda sentence: print(sentence, file=sys.stderr)
            )
        except OSError as error:
            print(f"otel-llm-collector replay: --dead-letters: cannot be read: {error}", file=sys.stderr)
            return FAILED
    else:
        end = Range().end if options.to_offset is None else options.to_offset
        part = Range(options.from_offset or 0, options.from_time, end, options.to_time)
        result = replay.from_log(settings, options.exporter, part)
    counts = ", ".join(f"{count} {word}" for word, count in sorted(result.items.items(), reverse=True) if count)
    print(f"replayed to {options.exporter}: {counts or 'nothing'}")
    return 0 if result.complete else FAILED


def _components(_: argparse.Namespace) -> int:
    from otel_llm_collector import shipped  # noqa: PLC0415 - see _run
    from otel_llm_collector.components import EXPORTERS, LOGS, notifiers  # noqa: PLC0415 - see _run

    exporters = {name: component.config for name, component in EXPORTERS.items()}
    logs = {name: component.config for name, component in LOGS.items()}
    people = {name: component.config for name, component in notifiers().items()}
    for section, table in (("exporters (type)", exporters), ("log (kind)", logs), ("alerts.notify (type)", people)):
        print(f"{section}:")
        for name, settings in sorted(table.items()):
            summary = (settings.__doc__ or "").partition("\n")[0]
            print(f"  {name:12} {summary}")
    print(f"alerts.rules ({shipped.PREFIX}NAME):")
    print(f"  {' '.join(shipped.names())}")
    return 0


def _schema(_: argparse.Namespace) -> int:
    from otel_llm_collector.config_schema import json_schema  # noqa: PLC0415 - see _run

    print(json.dumps(json_schema(), indent=2))
    return 0
