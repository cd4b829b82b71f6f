# /// script
# dependencies = ["langchain", "langchain-openai", "openinference-instrumentation-langchain"]
# [tool.record]
# environment = "langchain"
# dialect = "openinference"
# scenarios = ["chat", "chat_stream", "multimodal", "cached_reasoning", "agent", "retrieval"]
# sets = ["session", "user"]
# ///
"""OpenInference's instrumentation of LangChain."""

from langchain_scenarios import run
from openinference.instrumentation import using_attributes
from openinference.instrumentation.langchain import LangChainInstrumentor
from otlp import provider

LangChainInstrumentor().instrument(tracer_provider=provider())
with using_attributes(session_id="session-1", user_id="user-1", tags=["beta"]):
    run()
