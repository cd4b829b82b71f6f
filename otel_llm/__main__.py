"""`python -m otel_llm` is the command `otel-llm`."""

from __future__ import annotations

import sys

from otel_llm.cli import main

sys.exit(main())
