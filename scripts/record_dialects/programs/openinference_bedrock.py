# /// script
# dependencies = ["boto3", "openinference-instrumentation-bedrock"]
# [tool.record]
# dialect = "openinference"
# environment = "bedrock"
# scenarios = ["bedrock_chat", "bedrock_invoke", "bedrock_tools"]
# ///
"""OpenInference's instrumentation of Bedrock."""

from bedrock_scenarios import run
from openinference.instrumentation.bedrock import BedrockInstrumentor
from otlp import provider

BedrockInstrumentor().instrument(tracer_provider=provider())
run()
