# /// script
# dependencies = ["boto3", "opentelemetry-instrumentation-botocore"]
# [tool.record]
# dialect = "core_1_36"
# environment = "bedrock"
# scenarios = ["bedrock_chat", "bedrock_invoke", "bedrock_tools"]
# ///
"""OpenTelemetry's instrumentation of botocore, which knows Bedrock."""

from bedrock_scenarios import run
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from otlp import provider

BotocoreInstrumentor().instrument(tracer_provider=provider())
run()
