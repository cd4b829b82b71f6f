"""Takes OTLP/gRPC traces and counts their spans; `blackhole.py PORT FILE` keeps the count in FILE."""

from __future__ import annotations

import sys
from concurrent import futures
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parents[1]))

from traffic import MARK

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


def main(port: int, counted: Path) -> None:
    """Serve until killed."""
    total = 0
    replacement = counted.with_suffix(".new")

    def export(request: bytes, _: grpc.ServicerContext) -> bytes:
        nonlocal total
        total += request.count(MARK.encode())
        replacement.write_text(str(total), encoding="ascii")
        replacement.replace(counted)
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", -1)])
    handler = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handler),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
