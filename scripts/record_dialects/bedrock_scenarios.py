"""The scenarios on Bedrock's client, for every library that instruments it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import boto3
from words import CONTEXT, QUESTION, TOOL_QUESTION, WEATHER, WEATHER_IS

MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
SPEC = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "inputSchema": {"json": WEATHER["function"]["parameters"]},
}


def run() -> None:
    """Run the scenario that the command line names."""
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=os.environ["MODEL_URL"],
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    system = [{"text": CONTEXT}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"text": QUESTION}]}]
    if sys.argv[1] == "bedrock_chat":
        inference = {"temperature": 0.5, "topP": 0.9, "maxTokens": 200, "stopSequences": ["END"]}
        client.converse(modelId=MODEL, system=system, messages=messages, inferenceConfig=inference)
    elif sys.argv[1] == "bedrock_invoke":
        asked = [{"role": "user", "content": QUESTION}]
        body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 200, "system": CONTEXT, "messages": asked}
        client.invoke_model(modelId=MODEL, body=json.dumps(body))["body"].read()
    else:
        messages[0]["content"][0]["text"] = TOOL_QUESTION
        tools = {"tools": [{"toolSpec": SPEC}]}
        message = client.converse(modelId=MODEL, messages=messages, toolConfig=tools)["output"]["message"]
        use = message["content"][0]["toolUse"]
        text = WEATHER_IS.format(city=use["input"]["city"])
        result = {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": text}]}}
        messages += [message, {"role": "user", "content": [result]}]
        client.converse(modelId=MODEL, messages=messages, toolConfig=tools)
