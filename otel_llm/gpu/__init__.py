"""What NVIDIA GPUs do, and which span did it.

`nvml.py` reads the devices through NVIDIA's own binding, `sampler.py` turns readings into OpenTelemetry metrics,
`ledger.py` shares energy and busy time among the spans in flight, `record.py` records what a real driver answers.
"""
