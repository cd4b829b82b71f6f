# /// script
# dependencies = ["dspy", "openinference-instrumentation-dspy", "openinference-instrumentation-litellm"]
# [tool.record]
# dialect = "openinference"
# environment = "dspy"
# scenarios = ["framework_chat"]
# ///
"""OpenInference's instrumentations of DSPy and of LiteLLM below it."""

import os

import dspy
from openinference.instrumentation.dspy import DSPyInstrumentor
from openinference.instrumentation.litellm import LiteLLMInstrumentor
from otlp import provider
from words import QUESTION

made = provider()
DSPyInstrumentor().instrument(tracer_provider=made)
LiteLLMInstrumentor().instrument(tracer_provider=made)


dspy.configure(lm=dspy.LM("openai/gpt-4o-mini", api_base=os.environ["OPENAI_BASE_URL"], api_key="none", cache=False))
# The local model does not keep to the form that DSPy asks for first, but has no choice with the second, a JSON schema.
dspy.Predict("question -> answer")(question=QUESTION)
