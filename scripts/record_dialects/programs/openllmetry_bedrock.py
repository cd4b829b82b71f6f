# /// script
# dependencies = ["boto3", "opentelemetry-instrumentation-bedrock"]
# [tool.record]
# dialect = "openllmetry"
# environment = "bedrock"
# scenarios = ["bedrock_chat", "bedrock_invoke", "bedrock_tools"]
# ///
"""OpenLLMetry's instrumentation of Bedrock."""

from bedrock_scenarios import run
from opentelemetry.instrumentation.bedrock import BedrockInstrumentor
from otlp import provider

BedrockInstrumentor().instrument(tracer_provider=provider())
run()
