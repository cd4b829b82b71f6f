"""`python -m otel_llm_collector` is the command `otel-llm-collector`."""

from __future__ import annotations

import sys

from otel_llm_collector.cli import main

sys.exit(main())
