"""Program logs that can be joined with traces: JSON lines with trace and span ids, and OTLP log records.

    import otel_llm.logging

    otel_llm.configure(service_name="rag-api")
    otel_llm.logging.setup()
    logging.getLogger(__name__).info("answered", extra={"documents": 4})

Each line has time, level, logger, message, service, the ids of the current span, the fields of `extra`, and an
exception with its stack. Secrets of known shape are taken out before a line is written or sent. A program that uses
structlog goes on using it: unless it configured structlog itself, its events take the same way; if it did, `processor`
adds ids and takes out secrets in its own chain.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from otel_llm_semconv import attributes as attr

from otel_llm import providers
from otel_llm._version import __version__
from otel_llm.redaction import redact, redact_value

FIELDS = "otel_llm_fields"  # where structlog's fields travel in a record of `logging`
MAX_FIELDS = 64  # drop: further fields of one record are left out
MAX_STACK_CHARACTERS = 16_384  # truncate

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", FIELDS}
_OWN = ("opentelemetry.", "otel_llm.exporter")  # the sending of logs must not make logs to be sent
_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class Setup:
    """What `setup` did; `undo` takes it back."""

    def __init__(self, logger: logging.Logger, handlers: list[logging.Handler], level: int) -> None:
        self.handlers = handlers
        self._logger = logger
        self._level = level
        self._undone = False
        self._structlog = False

    def undo(self) -> None:
        """Remove the handlers and give the logger its level back; a second time does nothing."""
        if self._undone:
            return
        self._undone = True
        for handler in self.handlers:
            self._logger.removeHandler(handler)
        self._logger.setLevel(self._level)
        if self._structlog:
            sys.modules["structlog"].reset_defaults()
            self._structlog = False

    def take_structlog(self) -> None:
        """Send structlog's events through `logging`, where the program has not said what it wants."""
        structlog: Any = sys.modules.get("structlog")
        if structlog is None or structlog.is_configured():
            return
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.filter_by_level,
                structlog.stdlib.PositionalArgumentsFormatter(),
                _to_record,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(ignore_frame_names=["otel_llm"]),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        self._structlog = True


_setup: Setup | None = None


def setup(
    *,
    level: int | str = logging.INFO,
    stream: TextIO | None = None,
    json_lines: bool = True,
    otlp: bool = True,
    redact: bool = True,
    logger: logging.Logger | None = None,
) -> Setup:
    """Log as JSON lines and over OTLP; a second call replaces what the first one did.

    Args:
        level: The least level that is logged.
        stream: Where lines go; default: standard error.
        json_lines: Write lines; False leaves the writing to the program's own handlers.
        otlp: Send records as well, through the logger provider that `configure` or the program sets.
        redact: Take secrets out.
        logger: Default: the root logger.

    Raises:
        ValueError: `level` is none that `logging` knows.
    """
    global _setup  # noqa: PLW0603 - one per process, as the root logger
    target = logger or logging.getLogger()
    checked = logging.Handler(level).level  # raises before anything is changed
    if _setup is not None:
        _setup.undo()
    before = target.level
    target.setLevel(checked)
    handlers: list[logging.Handler] = []
    if json_lines:
        handlers.append(_lines(stream, redact=redact))
    if otlp:
        handlers.append(OtlpHandler(redact=redact))
    for handler in handlers:
        target.addHandler(handler)
    _setup = Setup(target, handlers, before)
    _setup.take_structlog()
    return _setup


def _lines(stream: TextIO | None, *, redact: bool) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(redact=redact))
    return handler


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON. Never raises: what cannot be shown is said in the line."""

    def __init__(self, *, redact: bool = True, service_name: str | None = None) -> None:
        super().__init__()
        self._redact = redact
        self._service_name = service_name

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "timestamp": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record, redacted=self._redact),
            "service": self._service_name or _service_name(),
            **_ids(),
        }
        for name, value in _fields(record, redacted=self._redact).items():
            line[name if name not in line else f"{name}_"] = value
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _exception(record.exc_info[1], redacted=self._redact)
        if record.stack_info:
            line["stack"] = record.stack_info
        try:
            return json.dumps({key: value for key, value in line.items() if value is not None}, default=str)
        except Exception as error:  # a str() that fails
            return json.dumps({"timestamp": line["timestamp"], "level": line["level"], "message": repr(error)})


class OtlpHandler(logging.Handler):
    """Hands records to OpenTelemetry's logger provider: the one that is set when a record comes."""

    def __init__(self, *, redact: bool = True, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._redact = redact

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one record; what fails is `logging`'s to report."""
        if record.name.startswith(_OWN) or context_api.get_value(context_api._SUPPRESS_INSTRUMENTATION_KEY):  # noqa: SLF001
            return
        try:
            providers.logger_provider().get_logger(record.name, __version__).emit(self._record(record))
        except Exception:
            self.handleError(record)

    def _record(self, record: logging.LogRecord) -> LogRecord:
        attributes: dict[str, Any] = {
            attr.CODE_FILE_PATH: record.pathname,
            attr.CODE_FUNCTION_NAME: record.funcName,
            attr.CODE_LINE_NUMBER: record.lineno,
        }
        for name, value in _fields(record, redacted=self._redact).items():
            attributes[name] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str)
        if record.exc_info and record.exc_info[1] is not None:
            said = _exception(record.exc_info[1], redacted=self._redact)
            attributes[attr.EXCEPTION_TYPE] = said["type"]
            attributes[attr.EXCEPTION_MESSAGE] = said["message"]
            attributes[attr.EXCEPTION_STACKTRACE] = said["stacktrace"]
        return LogRecord(
            timestamp=int(record.created * 1e9),
            observed_timestamp=time.time_ns(),
            context=context_api.get_current(),
            severity_text=record.levelname,
            severity_number=_severity(record.levelno),
            body=_message(record, redacted=self._redact),
            attributes=attributes,
        )


def processor(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For a structlog chain of the program's own: adds ids and service, takes out secrets."""
    for name in list(event):
        event[name] = redact_value(event[name], name) if name != "exc_info" else event[name]
    for name, value in {**_ids(), "service": _service_name()}.items():
        if value is not None:
            event.setdefault(name, value)
    return event


def _to_record(_: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog event as arguments of a method of `logging`; its fields cannot clash with a record's own."""
    passed = {name: event.pop(name) for name in ("exc_info", "stack_info", "stacklevel") if name in event}
    if method == "exception":
        passed.setdefault("exc_info", True)
    return {"msg": str(event.pop("event", "")), "extra": {FIELDS: dict(event)}, **passed}


def _message(record: logging.LogRecord, *, redacted: bool) -> str:
    try:
        text = record.getMessage()
    except Exception as error:  # arguments that do not fit, or whose str() fails
        shown = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        text = f"{shown} [{type(error).__name__} while formatting]"
    return redact(text) if redacted else text


def _fields(record: logging.LogRecord, *, redacted: bool) -> dict[str, Any]:
    """What the program added to the record."""
    found = {
        name: value for name, value in vars(record).items() if name not in _STANDARD and not name.startswith("otel")
    }
    found |= vars(record).get(FIELDS, {})
    found = dict(list(found.items())[:MAX_FIELDS])
    if not redacted:
        return found
    shown = {}
    for name, value in found.items():
        try:
            shown[name] = redact_value(value, name)
        except Exception as error:  # a str() that fails
            shown[name] = f"<{type(value).__name__}: {type(error).__name__}>"
    return shown


def _exception(error: BaseException, *, redacted: bool) -> dict[str, str]:
    try:
        message = str(error)
    except Exception:
        message = "<no text>"
    stack = "".join(traceback.format_exception(error))[-MAX_STACK_CHARACTERS:]
    if redacted:
        message, stack = redact(message), redact(stack)
    return {"type": type(error).__qualname__, "message": message, "stacktrace": stack}


def _ids() -> dict[str, str]:
    """Ids of the current span, empty when there is none."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


def _service_name() -> str | None:
    resource = getattr(providers.tracer_provider(), "resource", None)
    name = resource.attributes.get(attr.SERVICE_NAME) if resource is not None else None
    return str(name) if name is not None else None


def _severity(level: int) -> SeverityNumber:
    """The conventions' number for a level, also for those between the usual ones."""
    for known in sorted(_SEVERITIES, reverse=True):
        if level >= known:
            return _SEVERITIES[known]
    return SeverityNumber.TRACE
