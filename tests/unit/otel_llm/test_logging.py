"""JSON lines and OTLP records of the program's own logging, and of structlog."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import logging as otel_logging
from otel_llm import providers
from otel_llm.redaction import MARK

KEY = "sk-proj-" + "a1B2" * 8


class Unspeakable:
    """Something whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def fail(text: str) -> None:
    """Raise."""
    raise ValueError(text)


@pytest.fixture
def program() -> logging.Logger:
    """A logger that nothing else knows."""
    return logging.Logger("program")  # noqa: LOG001 - registered, pytest would put handlers of its own on it


@pytest.fixture
def stream(program: logging.Logger) -> Iterator[io.StringIO]:
    """What is written."""
    found = io.StringIO()
    done = otel_logging.setup(stream=found, otlp=False, logger=program)
    yield found
    done.undo()


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> InMemoryLogRecordExporter:
    """What is sent."""
    found = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(found))
    monkeypatch.setattr(providers, "logger_provider", lambda: provider)
    return found


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines, each one JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_the_current_span(
    program: logging.Logger, stream: io.StringIO, spans: InMemorySpanExporter
) -> None:
    """Ids are those of the span around the call; outside of any there are none."""
    with otel_llm.workflow("answer"):
        program.info("found %d documents", 3, extra={"k": 5, "source": "docs"})
    program.warning("outside")
    inside, outside = lines(stream)
    (span,) = spans.get_finished_spans()
    assert inside["trace_id"] == trace.format_trace_id(span.context.trace_id)
    assert inside["span_id"] == trace.format_span_id(span.context.span_id)
    assert (inside["message"], inside["level"], inside["logger"]) == ("found 3 documents", "info", "program")
    assert (inside["k"], inside["source"]) == (5, "docs")
    assert inside["service"]
    assert inside["timestamp"].endswith("Z")
    assert "trace_id" not in outside


def test_exceptions_are_in_the_line(program: logging.Logger, stream: io.StringIO) -> None:
    """Type, text and stack, in one line, without the secret that was in the text."""
    try:
        fail(f"bad key {KEY}")
    except ValueError:
        program.exception("it failed")
    (line,) = lines(stream)
    assert line["exception"]["type"] == "ValueError"
    assert line["exception"]["message"] == f"bad key {MARK}"
    assert "test_logging.py" in line["exception"]["stacktrace"]
    assert KEY not in stream.getvalue()


def test_secrets_are_taken_out(program: logging.Logger, stream: io.StringIO) -> None:
    """From the message, its arguments, and fields by their look or name."""
    program.info("key %s", KEY, extra={"password": "hunter2", "url": "postgres://me:pw123@host/db", "n": 1})
    (line,) = lines(stream)
    assert line["message"] == f"key {MARK}"
    assert (line["password"], line["url"], line["n"]) == (MARK, f"postgres://me:{MARK}@host/db", 1)


def test_strange_records_are_lines_all_the_same(program: logging.Logger, stream: io.StringIO) -> None:
    """Arguments that do not fit, texts that cannot be had, new lines, clashing names: one line of JSON each."""
    program.info("%d", "no number")
    program.info(Unspeakable())
    program.info("field", extra={"odd": Unspeakable(), "message2": {1: {2: 3}}})
    program.info("two\nlines")
    program.info("clash", extra={"level": "mine"})
    found = lines(stream)
    assert "while formatting" in found[0]["message"]
    assert found[2]["odd"] == "<Unspeakable: RuntimeError>"
    assert found[3]["message"] == "two\nlines"
    assert (found[4]["level"], found[4]["level_"]) == ("info", "mine")
    assert len(found) == 5


def test_records_travel_over_otlp(
    program: logging.Logger, records: InMemoryLogRecordExporter, spans: InMemorySpanExporter
) -> None:
    """Body, severity, ids of the span, code, fields and exception are where the conventions have them."""
    done = otel_logging.setup(json_lines=False, logger=program, level="DEBUG")
    try:
        with otel_llm.workflow("answer"):
            try:
                fail(KEY)
            except ValueError:
                program.exception("it failed with %s", KEY, extra={"documents": ["a"], "k": 5})
        program.log(25, "between")
        program.debug("fine")
    finally:
        done.undo()
    first, second, third = (one.log_record for one in records.get_finished_logs())
    (span,) = spans.get_finished_spans()
    assert (first.trace_id, first.span_id) == (span.context.trace_id, span.context.span_id)
    assert first.body == f"it failed with {MARK}"
    assert first.severity_number is SeverityNumber.ERROR
    attributes = dict(first.attributes or {})
    assert attributes[attr.EXCEPTION_TYPE] == "ValueError"
    assert attributes[attr.CODE_FUNCTION_NAME] == "test_records_travel_over_otlp"
    assert attributes["documents"] == '["a"]'
    assert attributes["k"] == 5
    assert KEY not in str(attributes)
    assert second.severity_number is SeverityNumber.INFO
    assert third.severity_number is SeverityNumber.DEBUG


def test_the_sending_of_logs_makes_no_logs(records: InMemoryLogRecordExporter) -> None:
    """What an exporter says about its own failure is not sent, or it would fail for ever."""
    logger = logging.getLogger("opentelemetry.exporter.otlp")
    done = otel_logging.setup(json_lines=False, logger=logger)
    try:
        logger.error("could not be sent")
    finally:
        done.undo()
    assert records.get_finished_logs() == ()


def test_setting_up_again_replaces_and_undo_takes_back(program: logging.Logger) -> None:
    """No record is written twice, and afterwards the logger is as it was."""
    program.setLevel(logging.ERROR)
    first, second = io.StringIO(), io.StringIO()
    otel_logging.setup(stream=first, otlp=False, logger=program)
    done = otel_logging.setup(stream=second, otlp=False, logger=program)
    program.info("once")
    done.undo()
    assert (len(lines(first)), len(lines(second))) == (0, 1)
    assert program.handlers == []
    assert program.level == logging.ERROR
    with pytest.raises(ValueError, match="LOUD"):
        otel_logging.setup(level="LOUD", logger=program)


def test_structlog_takes_the_same_way(
    stream: io.StringIO, program: logging.Logger, spans: InMemorySpanExporter
) -> None:
    """A program that uses structlog and has not configured it gets the same lines, with its fields and context."""
    structlog = pytest.importorskip("structlog", reason="structlog is not installed; pip install structlog gives it")
    structlog.reset_defaults()
    stream = io.StringIO()
    done = otel_logging.setup(stream=stream, otlp=False, logger=logging.getLogger("program"))
    try:
        log = structlog.get_logger("program").bind(user="u-1")
        with otel_llm.workflow("answer"):
            log.info("100% done", documents=4, api_key="abc", name="clash")
        try:
            fail("boom")
        except ValueError:
            log.exception("it failed")
        log.debug("too quiet")
    finally:
        done.undo()
    done_line, failed = lines(stream)
    assert done_line["message"] == "100% done"
    assert (done_line["user"], done_line["documents"], done_line["api_key"]) == ("u-1", 4, MARK)
    assert done_line["name"] == "clash"
    assert done_line["logger"] == "program"
    assert done_line["trace_id"]
    assert failed["exception"]["type"] == "ValueError"
    assert not structlog.is_configured()


def test_a_structlog_chain_of_the_program_is_left_and_can_use_the_processor(
    program: logging.Logger, spans: InMemorySpanExporter
) -> None:
    """What the program configured stays; `processor` adds ids and takes secrets out in it."""
    structlog = pytest.importorskip("structlog", reason="structlog is not installed; pip install structlog gives it")
    written = io.StringIO()
    structlog.configure(
        processors=[otel_logging.processor, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(written),
        wrapper_class=structlog.BoundLogger,
    )
    try:
        done = otel_logging.setup(stream=io.StringIO(), otlp=False, logger=program)
        with otel_llm.workflow("answer"):
            structlog.get_logger().msg("hello", token="abc", text=f"key {KEY}")
        done.undo()
        assert structlog.is_configured()
    finally:
        structlog.reset_defaults()
    line = json.loads(written.getvalue())
    assert (line["event"], line["token"], line["text"]) == ("hello", MARK, f"key {MARK}")
    assert len(line["trace_id"]) == 32
