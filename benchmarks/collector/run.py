"""Measures CPU and memory of the whole collector and, where they are installed, of rotel and otelcol; see README.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
sys.path.insert(0, str(HERE.parent))

from machine import machine, write_between  # noqa: E402 - a folder to run, no package
from traffic import TRACES, request_of  # noqa: E402

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
RECEIVE, RECEIVE_HTTP, FORWARD, ADMIN = 24317, 24318, 24400, 28889
HTTP_HEAD = b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ncontent-length: %d\r\n\r\n"
IN_FLIGHT = 4
MAX_AHEAD_BYTES = 32_000_000  # sent and not yet at the blackhole: the sender waits rather than have spans dropped
START_SECONDS = 30


@dataclass
class Result:
    """One run of one program."""

    program: str
    spans_per_request: int
    content_bytes: int
    seconds: float
    spans: int
    cpu_microseconds_per_span: float
    megabytes_per_second: float
    peak_rss_mebibytes: float
    grown_mebibytes: float  # resident memory at the end, less that a tenth of the way
    spans_missing: int


def commands(rotel: Path | None, otelcol: Path | None, folder: Path) -> dict[str, list[str]]:
    """The programs under test, by name."""
    config = folder / "collector.yaml"
    config.write_text(
        f"receivers: {{otlp: {{grpc: {{endpoint: '127.0.0.1:{RECEIVE}'}},"
        f" http: {{endpoint: '127.0.0.1:{RECEIVE_HTTP}'}}}}}}\n"
        f"server: {{endpoint: '127.0.0.1:{ADMIN}'}}\n"
        f"exporters: {{sink: {{type: otlp_grpc, endpoint: '127.0.0.1:{FORWARD}', tls: {{insecure: true}},"
        " compression: none, max_request_bytes: 67108864}}\n",
        encoding="utf-8",
    )
    ours = [sys.executable, "-m", "otel_llm_collector", "run", str(config), "--log-level", "error"]
    found = {"otel-llm-collector": ours}
    if rotel is not None:
        [agent] = rotel.glob("lib/python*/site-packages/rotel/rotel-agent")
        found["rotel"] = [
            str(agent), "start", "--otlp-grpc-endpoint", f"127.0.0.1:{RECEIVE}",
            "--otlp-http-endpoint", f"127.0.0.1:{RECEIVE_HTTP}", "--otlp-grpc-max-recv-msg-size-mib", "64",
            "--exporter", "otlp", "--otlp-exporter-endpoint", f"http://127.0.0.1:{FORWARD}",
            "--otlp-exporter-protocol", "grpc", "--otlp-exporter-compression", "none",
        ]  # fmt: skip
    if otelcol is not None:
        found["otelcol"] = [str(otelcol), "--config", str(otelcol_config(folder))]
    return found


def otelcol_config(folder: Path) -> Path:
    """OpenTelemetry's collector as plainly as it goes: receive, forward, no processor, no metrics of its own."""
    size = {"endpoint": f"127.0.0.1:{RECEIVE}", "max_recv_msg_size_mib": 64}
    sink = {"endpoint": f"127.0.0.1:{FORWARD}", "tls": {"insecure": True}, "compression": "none"}
    path = folder / "otelcol.yaml"  # JSON is YAML
    path.write_text(
        json.dumps(
            {
                "receivers": {"otlp": {"protocols": {"grpc": size}}},
                "exporters": {"otlp": sink},
                "service": {
                    "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
                    "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp"]}},
                },
            }
        ),
        encoding="utf-8",
    )
    return path


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, line: str) -> float:
    """Resident memory of a process in MiB: `VmRSS` now, `VmHWM` at its highest."""
    return int(Path(f"/proc/{pid}/status").read_text(encoding="ascii").split(f"{line}:")[1].split()[0]) / 1024


class Sender:
    """Sends one request again and again, over gRPC or HTTP."""

    def __init__(self, request: bytes, spans: int, counted: Path, protocol: str) -> None:
        self.request = request
        self._protocol = protocol
        self._spans = spans
        self._counted = counted
        self._ahead = max(MAX_AHEAD_BYTES // len(request), IN_FLIGHT) * spans
        self.sent = 0  # spans that were acknowledged
        self._number = 0

    async def send(self, seconds: float) -> None:
        """Keep `IN_FLIGHT` requests under way for so long."""
        if self._protocol == "http":
            await self._listening()
            until = time.monotonic() + seconds
            await asyncio.gather(*(self._over_http(until) for _ in range(IN_FLIGHT)))
            return
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{RECEIVE}", options) as channel:
            await asyncio.wait_for(channel.channel_ready(), START_SECONDS)
            export = channel.unary_unary(EXPORT)
            until = time.monotonic() + seconds
            await asyncio.gather(*(self._one_after_the_other(export, until) for _ in range(IN_FLIGHT)))

    async def _listening(self) -> None:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", RECEIVE_HTTP)
                except ConnectionError:
                    await asyncio.sleep(0.1)
                    continue
                writer.close()
                return

    async def _over_http(self, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", RECEIVE_HTTP)

        async def export(body: bytes, timeout: float) -> None:  # noqa: ASYNC109 - called as gRPC's is
            writer.write(HTTP_HEAD % len(body) + body)
            async with asyncio.timeout(timeout):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0))
            if not head.startswith(b"http/1.1 200"):
                raise ConnectionError(head)

        await self._one_after_the_other(export, until)
        writer.close()

    async def _one_after_the_other(self, export: Any, until: float) -> None:
        while time.monotonic() < until:
            if self.sent - arrived(self._counted) > self._ahead:  # what is not forwarded yet is not done yet
                await asyncio.sleep(0.005)
                continue
            try:
                self._number += 1  # new traces each time: what was sent before would not be measured again
                await export(self.request.replace(TRACES, self._number.to_bytes(len(TRACES))), timeout=30)
                self.sent += self._spans
            except (grpc.aio.AioRpcError, ConnectionError):  # back-pressure: not acknowledged, not counted
                await asyncio.sleep(0.05)


def arrived(counted: Path) -> int:
    """Spans at the blackhole."""
    return int(counted.read_text(encoding="ascii"))


def measure(
    name: str, command: list[str], spans: int, content: int, seconds: float, folder: Path, protocol: str
) -> Result:
    """Run one program under load."""
    counted = folder / "counted"
    counted.write_text("0", encoding="ascii")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    sink = subprocess.Popen([sys.executable, str(HERE / "blackhole.py"), str(FORWARD), str(counted)])  # noqa: S603
    program = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]  # noqa: S603
    try:
        time.sleep(2)
        sender = Sender(request_of("rag", spans, content), spans, counted, protocol)
        asyncio.run(sender.send(max(1.0, seconds / 10)))  # warm
        wait_for(counted, sender.sent)
        before, cpu, warm_rss = sender.sent, cpu_seconds(program.pid), memory(program.pid, "VmRSS")
        began = time.monotonic()
        asyncio.run(sender.send(seconds))
        took = time.monotonic() - began
        wait_for(counted, sender.sent)
        used, sent = cpu_seconds(program.pid) - cpu, sender.sent - before
        return Result(
            name, spans, content, round(took, 2), sent, round(used / max(sent, 1) * 1e6, 2),
            round(sent / spans * len(sender.request) / took / 1e6, 1), round(memory(program.pid, "VmHWM"), 1),
            round(memory(program.pid, "VmRSS") - warm_rss, 1), sender.sent - arrived(counted),
        )  # fmt: skip
    finally:
        for process in (program, sink):
            process.kill()
            process.wait()


def wait_for(counted: Path, spans: int) -> None:
    """Until so many spans arrived, or for ten seconds."""
    deadline = time.monotonic() + 10
    while arrived(counted) < spans and time.monotonic() < deadline:
        time.sleep(0.1)


def table(results: list[Result]) -> str:
    """Ours beside the others, as the page shows them."""
    ours = results[0].program
    others = sorted({one.program for one in results} - {ours}, reverse=True)
    cpu_columns = "".join(f" {name} | ours : {name} |" for name in others)
    memory_columns = "".join(f" {name} |" for name in others)
    lines = [
        f"| spans in a request | our CPU, µs/span |{cpu_columns} our peak memory, MiB |{memory_columns}",
        "|---" * (3 + 3 * len(others)) + "|",
    ]
    found = {(one.program, one.spans_per_request, one.content_bytes): one for one in results}
    for one in results:
        if one.program != ours:
            continue
        beside = [found[name, one.spans_per_request, one.content_bytes] for name in others]
        cpu = one.cpu_microseconds_per_span
        lines.append(
            f"| {one.spans_per_request} | {cpu:.1f} |"
            + "".join(
                f" {other.cpu_microseconds_per_span:.1f} | {cpu / other.cpu_microseconds_per_span:.2f} |"
                for other in beside
            )
            + f" {one.peak_rss_mebibytes:.0f} |"
            + "".join(f" {other.peak_rss_mebibytes:.0f} |" for other in beside)
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every program at every size, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotel", type=Path, help="a virtual environment with rotel in it")
    parser.add_argument("--otelcol", type=Path, help="the program of an OpenTelemetry Collector")
    parser.add_argument("--spans", type=int, nargs="+", default=[1, 10, 100, 512], help="spans per request")
    parser.add_argument("--content", type=int, nargs="+", default=[1500], help="bytes of content on a chat span")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each is measured")
    parser.add_argument("--protocol", default="grpc", choices=["grpc", "http"], help="http: write nothing")
    parser.add_argument("--only", help="measure this program alone, and write nothing")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for content in options.content:
            for spans in options.spans:
                for name, command in commands(options.rotel, options.otelcol, Path(folder)).items():
                    if options.only in {None, name}:
                        results.append(
                            measure(name, command, spans, content, options.seconds, Path(folder), options.protocol)
                        )
                        print(results[-1], flush=True)
    if options.only is None and options.protocol == "grpc":
        text = json.dumps({"machine": machine(), "results": [asdict(one) for one in results]}, indent=2)
        (HERE / "results.json").write_text(text + "\n", encoding="utf-8")
        if len({one.program for one in results}) > 1:
            write_between(DOCS / "performance.md", "collector", table(results))


if __name__ == "__main__":
    main()
