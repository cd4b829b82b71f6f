"""Takes OTLP requests over gRPC and HTTP."""
