# /// script
# dependencies = ["qdrant-client", "opentelemetry-instrumentation-qdrant"]
# [tool.record]
# dialect = "openllmetry"
# environment = "qdrant"
# scenarios = ["retrieval"]
# ///
"""OpenLLMetry's instrumentation of Qdrant."""

from opentelemetry.instrumentation.qdrant import QdrantInstrumentor
from otlp import provider
from qdrant_client import QdrantClient, models
from words import DOCUMENTS

QdrantInstrumentor().instrument(tracer_provider=provider())
client = QdrantClient(":memory:")
client.create_collection("shelf", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
client.upsert(
    "shelf",
    [
        models.PointStruct(id=number, vector=[score, 0.0], payload={"id": name, "text": text})
        for number, (name, score, text) in enumerate(DOCUMENTS)
    ],
)
client.query_points("shelf", query=[1.0, 0.0], limit=len(DOCUMENTS))
