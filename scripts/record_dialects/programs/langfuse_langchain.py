# /// script
# dependencies = ["langfuse", "langchain", "langchain-openai"]
# [tool.record]
# dialect = "langfuse"
# environment = "langfuse_langchain"
# scenarios = ["chat", "chat_stream", "cached_reasoning", "agent", "retrieval"]
# sets = ["session", "user"]
# ///
"""Langfuse's callback handler of LangChain."""

from langchain_scenarios import run
from langfuse import Langfuse, propagate_attributes
from langfuse.langchain import CallbackHandler
from otlp import provider

made = provider()
langfuse = Langfuse(public_key="pk-none", secret_key="sk-none", base_url="http://127.0.0.1:9", tracer_provider=made)
with propagate_attributes(session_id="session-1", user_id="user-1", tags=["beta"]):
    run({"callbacks": [CallbackHandler()]})
made.force_flush()
