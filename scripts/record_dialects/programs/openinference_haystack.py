# /// script
# dependencies = ["haystack-ai", "openinference-instrumentation-haystack"]
# [tool.record]
# dialect = "openinference"
# environment = "haystack"
# scenarios = ["framework_chat"]
# ///
"""OpenInference's instrumentation of Haystack."""

from haystack_scenarios import run
from openinference.instrumentation.haystack import HaystackInstrumentor
from otlp import provider

HaystackInstrumentor().instrument(tracer_provider=provider())
run()
