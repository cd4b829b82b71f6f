"""The command `otel-llm-collector`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from otel_llm_collector._version import __version__
from otel_llm_collector.errors import ConfigError, StartError

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

    components = commands.add_parser("components", help="list what can stand in a configuration")
    components.set_defaults(command=_components)
    return parser


def _run(options: argparse.Namespace) -> int:
    from otel_llm_collector import app, config  # noqa: PLC0415 - `--help` and `--version` need none of it

    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr
    )
    if options.file and options.config:
        print("otel-llm-collector run: two configuration files are named; name one", file=sys.stderr)
        return MISUSED
    path = options.file or options.config
    settings = config.load(path, os.environ) if path else config.Config()
    return asyncio.run(app.run(settings))


def _check(options: argparse.Namespace) -> int:
    from otel_llm_collector import config  # noqa: PLC0415 - see _run

    settings = config.load(options.file, os.environ)
    alerts = len(config.load_rules(settings))
    print(f"{options.file}: ok ({len(settings.exporters)} exporters, {alerts} alert rules)")
    return 0


def _components(_: argparse.Namespace) -> int:
    from otel_llm_collector.components import EXPORTERS, LOGS  # noqa: PLC0415 - see _run

    exporters = {name: component.config for name, component in EXPORTERS.items()}
    logs = {name: component.config for name, component in LOGS.items()}
    for section, table in (("exporters (type)", exporters), ("log (kind)", logs)):
        print(f"{section}:")
        for name, settings in sorted(table.items()):
            summary = (settings.__doc__ or "").partition("\n")[0]
            print(f"  {name:12} {summary}")
    return 0
