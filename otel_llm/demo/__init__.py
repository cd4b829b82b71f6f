"""`otel-llm demo`: a RAG service, a model server and the collector, run for real and shown as a table."""
