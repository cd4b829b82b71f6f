# `make demo` and `make test` set up everything they need inside the repository.
.DEFAULT_GOAL := help
.PHONY: bench-sdk bench-sdk-peers help demo test native fuzz check format generate record-dialects constraints clean test-backends

BIN := .venv/bin

help:  ## show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/installed-demo  ## run a RAG service, a model and the collector; ARGS="--keep" and others are passed on
	@scripts/native
	@$(BIN)/otel-llm demo $(ARGS)

test: .venv/installed-dev  ## run every check and every test
	@scripts/system-packages
	@scripts/native
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest $(ARGS)

native: .venv/installed-dev  ## build the engine in Rust, where cargo is; demo and test do it too
	@scripts/native

.PHONY: kafka
kafka: .venv/installed-dev  ## run the tests of the Kafka log against a real broker; needs Java and Maven
	@scripts/kafka
	@$(BIN)/python -m pytest tests/backends/test_kafka.py $(ARGS)

test-backends: .venv/installed-dev  ## run the tests against real backends; installs those in .cache (2 GB the first time)
	@scripts/system-packages
	@scripts/backends all
	@$(BIN)/python -m pytest tests/backends $(ARGS)

test-clients: .venv/installed-dev  ## run client libraries in environments of their own (minutes, 2 GB); ARGS="openai2 chroma"
	@$(BIN)/python tests/clients/run.py $(ARGS)

test-faults: .venv/installed-dev  ## kill -9, full disks, dead backends, a backlog of 1 GB, at full size; 15 minutes
	@OTEL_LLM_FAULTS=full $(BIN)/python -m pytest tests/faults $(ARGS)

fuzz: .venv/installed-dev  ## change bytes of requests at random and compare both engines; SECONDS=60
	@scripts/native
	@$(BIN)/python tests/conformance/engine/fuzz.py $(or $(SECONDS),60)

check: .venv/installed-dev  ## format, lint, types, import layers, generated files, names others rely on
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >.venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@$(BIN)/python -m otel_llm_semconv.generate --check
	@$(BIN)/python -m otel_llm_semconv.baseline
	@scripts/native check

format: .venv/installed-dev  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

generate: .venv/installed-dev  ## write constants and reference from the registry
	@$(BIN)/python -m otel_llm_semconv.generate

record-dialects: .venv/installed-dev  ## record the spans of other libraries; ARGS="LIBRARY --keep" and others are passed on
	@$(BIN)/python scripts/record_dialects/record.py $(ARGS)
	@$(BIN)/python tests/conformance/dialects/test_recordings.py

constraints: .venv/installed-dev  ## pin the newest versions that fit, from a clean environment
	@scripts/pin

bench-sdk: .venv/installed-dev  ## measure the SDK against the raw OpenTelemetry SDK
	@$(BIN)/python benchmarks/sdk/run.py

bench-sdk-peers: .venv/installed-dev  ## the same beside other SDKs, each installed in an environment of its own
	@$(BIN)/python benchmarks/sdk/peers.py

clean:  ## remove what was installed and built
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist collector/native/target

.venv/installed-%: pyproject.toml constraints.txt scripts/bootstrap
	@scripts/bootstrap $*
