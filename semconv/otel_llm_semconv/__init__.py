"""The registry of semantic conventions of otel-llm.

`attributes`, `enums` and `metrics` are generated from `registry/*.yaml` and import nothing outside the standard
library. `registry`, `check` and `generate` read the YAML and need PyYAML; the SDK never imports them.
"""
