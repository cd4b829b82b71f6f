"""psycopg 3 against a real PostgreSQL: searches by distance are retrievals, other statements none.

PostgreSQL's own points stand in for vectors, since they have the operator `<->` without the extension.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from clients import Collected, check
from otel_llm_semconv import attributes as attr
from psycopg import sql

import otel_llm
from otel_llm import retrievers

LACKING = 77  # run.py says that the program could not run


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL of its own in a temporary folder; gives its connection string."""
    binaries = [Path(one).resolve().parent for one in (shutil.which("postgres"),) if one]
    binaries += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folder = next((one for one in binaries if (one / "initdb").exists()), None)
    if folder is None:
        sys.stderr.write("PostgreSQL is not installed; apt-get install postgresql gives it\n")
        raise SystemExit(LACKING)
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o777)
        data = f"{home}/data"
        as_user = ["runuser", "-u", "nobody", "--"] if Path("/proc/self").owner() == "root" else []
        run([*as_user, str(folder / "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"])
        options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
        run([*as_user, str(folder / "pg_ctl"), "-D", data, "-w", "-l", f"{home}/log", "-o", options, "start"])
        try:
            yield f"host={home} user=postgres dbname=postgres"
        finally:
            run([*as_user, str(folder / "pg_ctl"), "-D", data, "-m", "immediate", "stop"])


def run(command: list[str]) -> None:
    """One command, quietly."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, cwd="/")


async def asynchronous(address: str, collected: Collected) -> None:
    """The async cursor."""
    async with await psycopg.AsyncConnection.connect(address) as connection:
        await connection.execute("SELECT id FROM items ORDER BY place <-> point '(0,0)' LIMIT 2")
    (span,) = collected.take()
    check(span.attributes[attr.OTEL_LLM_RETRIEVAL_RETURNED_K], 2)


def main() -> None:
    """Search, and do other things."""
    with Collected() as collected, server() as address:
        otel_llm.configure(service_name="clients")
        retrievers.instrument("pgvector")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE TABLE items (id int, place point)")
            connection.execute("INSERT INTO items SELECT n, point(n, n) FROM generate_series(1, 10) AS n")
            check(collected.take(), [])
            found = connection.execute(
                "SELECT id FROM items ORDER BY place <-> %s::point LIMIT 3", ["(4,4)"]
            ).fetchall()
            check(found[0], (4,))
            (span,) = collected.take()
            check(span.name, "retrieval items")
            check(span.attributes[attr.GEN_AI_RETRIEVAL_TOP_K], 3)
            check(span.attributes[attr.OTEL_LLM_RETRIEVAL_RETURNED_K], 3)
            check(span.attributes[attr.DB_SYSTEM_NAME], "postgresql")
            composed = sql.SQL("SELECT id FROM {} ORDER BY place <-> point '(0,0)' LIMIT 1").format(
                sql.Identifier("items")
            )
            connection.execute(composed)
            check(collected.take()[0].name, "retrieval items")
            try:
                connection.execute("SELECT id FROM missing ORDER BY place <-> point '(0,0)'")
            except psycopg.errors.UndefinedTable:
                check("UndefinedTable" in collected.take()[0].attributes[attr.ERROR_TYPE], right=True)
            else:
                raise AssertionError("the error was swallowed")
        asyncio.run(asynchronous(address, collected))


if __name__ == "__main__":
    main()
