"""The running collector: builds the components from a configuration, runs until told to stop, and stops in order.

Only this module may end the process.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import Any

from otel_llm_collector.alert.alertmanager import Alertmanager
from otel_llm_collector.alert.evaluator import Evaluator
from otel_llm_collector.components import EXPORTERS, LOGS
from otel_llm_collector.config import Config, load_rules
from otel_llm_collector.contract import Engine
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.reader import Reader
from otel_llm_collector.engine import load_engine
from otel_llm_collector.errors import StartError
from otel_llm_collector.measure.exposition import expose
from otel_llm_collector.measure.series import SeriesStore
from otel_llm_collector.pipeline import Admission, Lifecycle, Pipeline
from otel_llm_collector.receive.otlp_grpc import OtlpGrpcReceiver
from otel_llm_collector.receive.otlp_http import OtlpHttpReceiver
from otel_llm_collector.serve.admin import AdminServer
from otel_llm_collector.telemetry import Telemetry

logger = logging.getLogger(__name__)
