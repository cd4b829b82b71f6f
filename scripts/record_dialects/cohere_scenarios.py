"""The scenarios on Cohere's client, for every library that instruments it."""

from __future__ import annotations

import os
import sys

import cohere
from words import CONTEXT, DOCUMENTS, QUESTION

MODEL = "command-r-08-2024"


def run() -> None:
    """Run the scenario that the command line names."""
    client = cohere.ClientV2(api_key="none", base_url=os.environ["MODEL_URL"])
    if sys.argv[1] == "cohere_chat":
        messages = [{"role": "system", "content": CONTEXT}, {"role": "user", "content": QUESTION}]
        client.chat(model=MODEL, messages=messages, temperature=0.5, max_tokens=200)
    else:
        client.rerank(model="rerank-v3.5", query=QUESTION, documents=[text for _, _, text in DOCUMENTS], top_n=2)
