"""pgvector through psycopg 3: `execute` of cursors, where the statement orders by a vector distance.

The operators say that it is a search (`<->`, `<=>`, `<#>`, `<+>`, `<~>`, `<%>`), `LIMIT` what was asked for, and the
cursor how many rows came. The rows are the program's to fetch, so their contents are not looked at; SQL and vectors are
not recorded. psycopg2's cursors are written in C and cannot be patched.
"""

from __future__ import annotations

import re
from typing import Any

from otel_llm_semconv.enums import OtelLlmRetrievalScoreKind as ScoreKind

from otel_llm.retrievers.search import Found, Search, trace_searches

_MAX_STATEMENT = 20_000  # longer statements are not looked at
_SEARCH = re.compile(r"<(?:->|=>|#>|\+>|~>|%>)")
_TABLE = re.compile(r"\bfrom\s+((?:\"[^\"]{1,63}\"|\w{1,63})(?:\.(?:\"[^\"]{1,63}\"|\w{1,63}))?)", re.IGNORECASE)
_LIMIT = re.compile(r"\blimit\s+(\d{1,9})\b", re.IGNORECASE)


def instrument(psycopg: Any) -> None:
    """Patch both cursors."""
    trace_searches(psycopg.Cursor, "execute", _describe, _read)
    trace_searches(psycopg.AsyncCursor, "execute", _describe, _read)


def _describe(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Search | None:
    statement = _text(query)
    if len(statement) > _MAX_STATEMENT or not _SEARCH.search(statement):
        return None
    table, limit = _TABLE.search(statement), _LIMIT.search(statement)
    name = table.group(1).replace('"', "") if table else "postgresql"
    return Search(name, int(limit.group(1)) if limit else None, None, "postgresql", name, ScoreKind.DISTANCE)


def _read(result: Any, cursor: Any, *args: Any, **kwargs: Any) -> Found:
    return Found(count=max(0, int(cursor.rowcount)))


def _text(query: Any) -> str:
    """The statement; composed ones are asked for their text without a connection."""
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    as_string = getattr(query, "as_string", None)
    return str(as_string(None)) if as_string else ""
