"""What keeping and delivering costs: the collector as a program, real sockets, a real disk.

    python benchmarks/delivery/run.py [--seconds 5] [--folder DIR] [--output result.json] [CASE …]

Cases:

    cost      the same requests at the same rate, `log: memory` and `log: disk`: cores that the collector uses, ratio
    rate      `log: disk` as fast as senders can: MB/s acknowledged
    ack       time from the moment a request was due to its acknowledgement, at 1,000 small requests/s and at 50 MB/s of
              large ones, `log: disk`; what a slow sender piles up counts (open loop)
    second    the same requests with one destination and with two: CPU seconds of the collector
    log       the logs alone, without sockets and engine: CPU seconds for each GB, MB/s

Requests are spans of chats with prompts, drawn by a fixed seed. Numbers of one run belong together: compare ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig
from otel_llm_semconv import attributes as attr

ROOT = Path(__file__).parents[2]
MB = 1_000_000
SMALL = (1, 500)  # spans in a request, characters of prompt in each
LARGE = (50, 10_000)
SENDERS = 16


def request(shape: tuple[int, int], seed: int) -> bytes:
    """One request of chat spans."""
    chance = random.Random(seed)
    spans, prompt = shape
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    resource_spans.resource.attributes.add(key=attr.SERVICE_NAME).value.string_value = "bench"
    scope = resource_spans.scope_spans.add()
    trace_id = chance.randbytes(16)
    words = [f"word{chance.randrange(5000)}" for _ in range(prompt // 8 + 1)]
    for _ in range(spans):
        span = scope.spans.add(name="chat gpt-4o-mini", trace_id=trace_id, span_id=chance.randbytes(8))
        span.start_time_unix_nano = 1_760_000_000 * 10**9
        span.end_time_unix_nano = span.start_time_unix_nano + chance.randrange(10**9)
        for key, value in (
            (attr.GEN_AI_OPERATION_NAME, "chat"),
            (attr.GEN_AI_PROVIDER_NAME, "openai"),
            (attr.GEN_AI_REQUEST_MODEL, "gpt-4o-mini"),
        ):
            span.attributes.add(key=key).value.string_value = value
        chance.shuffle(words)
        span.attributes.add(key=attr.GEN_AI_INPUT_MESSAGES).value.string_value = " ".join(words)[:prompt]
        for key, count in ((attr.GEN_AI_USAGE_INPUT_TOKENS, 800), (attr.GEN_AI_USAGE_OUTPUT_TOKENS, 90)):
            span.attributes.add(key=key).value.int_value = count
    encoded: bytes = message.SerializeToString()
    return encoded


# the collector as a program


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Collector:
    """A running collector that sends to `destinations` sinks in a process of their own."""

    def __init__(self, folder: Path, log: str, destinations: int = 1) -> None:
        self.http, self.admin, sink = free_port(), free_port(), free_port()
        path = f", path: {folder / 'log'}" if log == "disk" else ""
        exporters = "".join(
            f'  d{n}: {{type: otlp_http, endpoint: "http://127.0.0.1:{sink}", compression: none}}\n'
            for n in range(destinations)
        )
        (folder / "collector.yaml").write_text(
            f"receivers: {{otlp: {{grpc: null, http: {{endpoint: 127.0.0.1:{self.http}}}}}}}\n"
            f"server: {{endpoint: 127.0.0.1:{self.admin}}}\nlog: {{kind: {log}{path}}}\nexporters:\n{exporters}"
        )
        self.sink = subprocess.Popen([sys.executable, __file__, "--sink", str(sink)])  # noqa: S603 - ourselves
        command = [sys.executable, "-m", "otel_llm_collector", "run", "--log-level", "warning", "collector.yaml"]
        self.process = subprocess.Popen(command, cwd=folder)  # noqa: S603 - the collector
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/ready", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        msg = "the collector does not start"
        raise RuntimeError(msg)

    def values(self, name: str) -> float:
        """A metric, summed over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def cpu(self) -> float:
        return self.values("otelcol_process_cpu_seconds_total")

    def drained(self) -> None:
        """Wait until everything has reached every destination."""
        while self.values("otel_llm_exporter_waiting_spans"):
            time.sleep(0.5)  # a scrape costs CPU, too

    def close(self) -> None:
        for process in (self.process, self.sink):
            process.terminate()
            process.wait(30)


async def sink(port: int) -> None:
    """An HTTP server that takes everything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                while length:
                    length -= len(await reader.read(min(length, 1 << 18)))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 20)
    await server.serve_forever()


Post = Callable[[bytes], Awaitable[None]]


async def connect(port: int) -> Post:
    """A kept connection on which one request at a time is posted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def post(body: bytes) -> None:
        head = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
        writer.write(head.encode() + b"content-type: application/x-protobuf\r\n\r\n" + body)
        await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer[:16]:
            raise RuntimeError(answer.decode())
        await reader.readexactly(int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0]))

    return post


async def closed_loop(port: int, bodies: list[bytes], count: int) -> float:
    """Post `count` requests as fast as `SENDERS` connections can; seconds it took."""
    left = iter(range(count))

    async def sender() -> None:
        post = await connect(port)
        for number in left:
            await post(bodies[number % len(bodies)])

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return time.perf_counter() - began


async def open_loop(port: int, bodies: list[bytes], per_second: float, seconds: float) -> list[float]:
    """Post at a steady rate; for each request the time from when it was due to its acknowledgement."""
    free: asyncio.Queue[Post] = asyncio.Queue()
    for _ in range(64):
        free.put_nowait(await connect(port))
    took: list[float] = []
    began = time.perf_counter() + 0.1

    async def one(number: int, due: float) -> None:
        post = await free.get()
        await post(bodies[number % len(bodies)])
        took.append(time.perf_counter() - due)
        free.put_nowait(post)

    tasks = []
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        pause = due - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return took


def spent(folder: Path, log: str, destinations: int, shape: tuple[int, int], megabytes: float) -> dict[str, float]:
    """CPU seconds of the collector for so many megabytes, everything delivered."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        collector = Collector(Path(inside), log, destinations)
        try:
            bodies = [request(shape, seed) for seed in range(50)]
            count = int(megabytes * MB / len(bodies[0]))
            asyncio.run(closed_loop(collector.http, bodies, max(50, count // 10)))  # warm up
            collector.drained()
            before = collector.cpu()
            seconds = asyncio.run(closed_loop(collector.http, bodies, count))
            collector.drained()
            cpu = collector.cpu() - before
        finally:
            collector.close()
    size = count * len(bodies[0]) / MB
    return {"megabytes": size, "requests": count, "cpu_seconds": cpu, "acknowledged_mb_per_second": size / seconds}


def paced(folder: Path, log: str, shape: tuple[int, int], per_second: float, seconds: float) -> dict[str, float]:
    """CPU of the collector, in cores, at a steady rate, everything delivered."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        collector = Collector(Path(inside), log)
        try:
            bodies = [request(shape, seed) for seed in range(50)]
            asyncio.run(closed_loop(collector.http, bodies, 100))  # warm up
            collector.drained()
            before = collector.cpu()
            took = sorted(asyncio.run(open_loop(collector.http, bodies, per_second, seconds)))
            collector.drained()
            cores = (collector.cpu() - before) / seconds
        finally:
            collector.close()
    return {"per_second": per_second, "cores": cores, "p50_ms": 1000 * took[len(took) // 2]}


def case_cost(folder: Path, seconds: float) -> dict[str, Any]:
    """See the module."""
    found: dict[str, Any] = {}
    for name, shape, rate in (("small", SMALL, 300.0), ("large", LARGE, 30.0)):
        runs = {log: [paced(folder, log, shape, rate, seconds) for _ in range(3)] for log in ("memory", "disk")}
        best = {log: min(run["cores"] for run in one) for log, one in runs.items()}
        found[name] = {**runs, "ratio": best["disk"] / best["memory"]}
    return found


def case_rate(folder: Path, seconds: float) -> dict[str, Any]:
    """See the module."""
    return spent(folder, "disk", 1, LARGE, 60 * seconds)


def case_ack(folder: Path, seconds: float) -> dict[str, Any]:
    """See the module."""
    found: dict[str, Any] = {}
    large = len(request(LARGE, 0))
    for name, shape, rate in (("small", SMALL, 1000.0), ("large", LARGE, 50 * MB / large)):
        for log in ("memory", "disk"):
            with tempfile.TemporaryDirectory(dir=folder) as inside:
                collector = Collector(Path(inside), log)
                try:
                    bodies = [request(shape, seed) for seed in range(50)]
                    asyncio.run(open_loop(collector.http, bodies, rate, 1))
                    before = collector.cpu()
                    took = sorted(asyncio.run(open_loop(collector.http, bodies, rate, seconds)))
                    cpu = (collector.cpu() - before) / seconds
                finally:
                    collector.close()
            quantiles = {f"p{q:g}_ms": 1000 * took[int(len(took) * q / 100)] for q in (50, 90, 99)}
            found[f"{name}_{log}"] = {"per_second": rate, "cores": cpu, **quantiles, "max_ms": 1000 * took[-1]}
    return found


def case_second(folder: Path, seconds: float) -> dict[str, Any]:
    """See the module."""
    found: dict[str, Any] = {}
    for name, shape, size in (("small", SMALL, 1.0), ("large", LARGE, 25.0)):
        runs = {str(n): [spent(folder, "disk", n, shape, size * seconds) for _ in range(3)] for n in (1, 2)}
        best = {n: min(run["cpu_seconds"] for run in one) for n, one in runs.items()}
        found[name] = {**runs, "ratio": best["2"] / best["1"]}
    return found


def case_log(folder: Path, seconds: float) -> dict[str, Any]:
    """See the module."""
    found: dict[str, Any] = {}
    for name, size in (("2_kb", 2000), ("500_kb", 500_000)):
        for kind in ("memory", "disk"):
            with tempfile.TemporaryDirectory(dir=folder) as inside:
                command = [sys.executable, __file__, "--log", kind, str(size), str(seconds), inside]
                ended = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - ourselves
                found[f"{name}_{kind}"] = json.loads(ended.stdout)
    return found


async def log_alone(kind: str, size: int, seconds: float, folder: Path) -> dict[str, float]:
    """Sixteen appenders and one reader on a log."""
    log: Any = MemoryLog(MemoryLogConfig(), ["r"]) if kind == "memory" else DiskLog(DiskLogConfig(path=folder), ["r"])
    await log.start()
    payload = random.Random(1).randbytes(size)
    end = time.perf_counter() + seconds
    kept = 0

    async def append() -> None:
        nonlocal kept
        while time.perf_counter() < end:
            await log.append(Signal.TRACES, payload, 1)
            kept += 1
            await asyncio.sleep(0)

    async def read() -> None:
        async for record in log.read("r"):
            await log.commit("r", record.offset + 1)

    reading = asyncio.create_task(read())
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    await asyncio.gather(*(append() for _ in range(SENDERS)))
    log.seal()
    await reading
    took = time.perf_counter() - began
    await log.shutdown()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"mb_per_second": kept * size / MB / took, "cpu_seconds_per_gb": cpu / (kept * size / 1e9)}


CASES = {"cost": case_cost, "rate": case_rate, "ack": case_ack, "second": case_second, "log": case_log}


def machine() -> dict[str, Any]:
    """Where this runs."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "load_average_before": os.getloadavg()[0],
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--sink", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--log", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sink:
        asyncio.run(sink(options.sink))
    elif options.log:
        kind, size, seconds, folder = options.log
        print(json.dumps(asyncio.run(log_alone(kind, int(size), float(seconds), Path(folder)))))
    else:
        result: dict[str, Any] = {"machine": machine(), "seconds": options.seconds}
        for name in options.cases or CASES:
            result[name] = CASES[name](options.folder, options.seconds)
            print(f"{name}: {json.dumps(_rounded(result[name]))}", flush=True)
        if options.output:
            options.output.write_text(json.dumps(_rounded(result), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
