"""Somebody who asks the demo service a question every now and then, so that there is something to look at.

python deploy/visitor.py --url http://127.0.0.1:8000 --pause-seconds 2
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from importlib.resources import files

import httpx2

MODELS = ("gpt-4o-mini", "gpt-4o-mini", "gpt-4.1-mini")
TIMEOUT_SECONDS = 60


def visit(url: str, *, pause_seconds: float, times: int | None, seed: int) -> None:
    """Ask `times` questions, or until stopped; what goes wrong is said and not a reason to leave."""
    draw = random.Random(seed)
    questions = files("otel_llm.demo").joinpath("questions.txt").read_text(encoding="utf-8").splitlines()
    asked = 0
    with httpx2.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        while times is None or asked < times:
            body = {
                "question": draw.choice([line for line in questions if line]),
                "k": draw.choice((4, 8, 12)),
                "model": draw.choice(MODELS),
                "stream": draw.random() < 0.5,  # noqa: PLR2004 - half of them
            }
            try:
                answer = client.post("/ask", json=body)
                if answer.status_code == httpx2.codes.OK and not body["stream"]:
                    thumbs = "up" if draw.random() < 0.8 else "down"  # noqa: PLR2004 - four of five are content
                    client.post("/feedback", json={"about": answer.json()["about"], "thumbs": thumbs})
            except httpx2.HTTPError as error:
                print(f"visitor: {url} does not answer ({type(error).__name__}); trying again", file=sys.stderr)
            else:
                print(f"{answer.status_code} {body['question']}", flush=True)
            asked += 1
            time.sleep(draw.uniform(0.5, 1.5) * pause_seconds)


def main() -> None:
    """Read the command line and visit."""
    parser = argparse.ArgumentParser(description="Ask the demo service questions.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="base URL of the service")
    parser.add_argument("--pause-seconds", type=float, default=2.0, help="mean pause between questions")
    parser.add_argument("--times", type=int, help="how many questions (default: until stopped)")
    parser.add_argument("--seed", type=int, default=7, help="which questions")
    options = parser.parse_args()
    visit(options.url, pause_seconds=options.pause_seconds, times=options.times, seed=options.seed)


if __name__ == "__main__":
    main()
