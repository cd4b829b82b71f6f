"""Settings that hold for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Wall time says little on shared machines: no deadline per example; the time limit of each test is pytest's.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")
