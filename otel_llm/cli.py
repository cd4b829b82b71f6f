"""The command `otel-llm`."""

from __future__ import annotations

import argparse
import sys

from otel_llm._version import __version__
from otel_llm.content import MODES, VARIABLE


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    return int(options.command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="otel-llm", description="Trace LLM and RAG programs with OpenTelemetry.")
    parser.add_argument("--version", action="version", version=f"otel-llm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="run a RAG service, a model and the collector, and show what was measured")
    demo.add_argument("--requests", type=int, help="how many questions to ask (default: 120; of the real model 24)")
    demo.add_argument("--seed", type=int, default=7, help="which questions, and what goes wrong (default: 7)")
    demo.add_argument("--model", choices=["scripted", "real"], default="scripted", help="the model that answers")
    demo.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    demo.add_argument("--json", action="store_true", help="print the result as JSON")
    demo.set_defaults(command=_demo)
    instrument = commands.add_parser("instrument", help="run a Python program traced, without a change to its code")
    instrument.add_argument("--service-name", help="the service's name (OTEL_SERVICE_NAME)")
    instrument.add_argument("--endpoint", help="base URL of an OTLP/HTTP receiver (OTEL_EXPORTER_OTLP_ENDPOINT)")
    instrument.add_argument("--content", choices=MODES, help="what is recorded of prompts, answers and documents")
    instrument.add_argument(
        "--instrument", help="all, none, names, or LIBRARY=DISTRIBUTION pairs (OTEL_LLM_INSTRUMENT)"
    )
    instrument.add_argument("program", nargs=argparse.REMAINDER, metavar="-- CMD...", help="what to run")
    instrument.set_defaults(command=_instrument)
    doctor = commands.add_parser("doctor", help="say what is set up here, what is wrong, and what to do")
    doctor.add_argument("--endpoint", help="base URL of an OTLP/HTTP receiver")
    doctor.add_argument("--offline", action="store_true", help="do not try the endpoint")
    doctor.set_defaults(command=_doctor)
    checker = commands.add_parser("check-spans", help="say what of recorded spans does not fit the conventions")
    checker.add_argument("file", help="OTLP JSON (also one request a line) or an OTLP protobuf request; - is stdin")
    checker.add_argument("--json", action="store_true", help="print one JSON object for each finding")
    checker.set_defaults(command=_check_spans)
    return parser


def _instrument(options: argparse.Namespace) -> int:
    from otel_llm.launch import run  # noqa: PLC0415 - only this command

    words = options.program[1:] if options.program[:1] == ["--"] else options.program
    variables = {
        "OTEL_SERVICE_NAME": options.service_name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": options.endpoint,
        VARIABLE: options.content,
        "OTEL_LLM_INSTRUMENT": options.instrument,
    }
    return run(words, variables)


def _doctor(options: argparse.Namespace) -> int:
    from otel_llm.checkup import main as check  # noqa: PLC0415 - only this command

    return check(endpoint=options.endpoint, send=not options.offline)


def _check_spans(options: argparse.Namespace) -> int:
    from otel_llm.check_spans import check_file  # noqa: PLC0415 - only this command reads OTLP

    return check_file(options.file, as_json=options.json)


def _demo(options: argparse.Namespace) -> int:
    try:
        from otel_llm.demo.run import run_demo  # noqa: PLC0415 - needs the extra `demo`
    except ImportError as error:
        print(f"otel-llm demo needs the extra: pip install 'otel-llm[demo]' ({error})", file=sys.stderr)
        return 2
    return run_demo(options)
