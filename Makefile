# Everything runs in .venv, made here; nothing needs root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS = $(shell find proto/qinet -name '*.proto')
STAMP := $(VENV)/.installed
KERNELS = $(wildcard controller/routing/kernels/*.py)
COMPILED := $(VENV)/.compiled
DEPS := .cache/proto-deps
ORACLES := .venv-oracles
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help install run test test-oracles test-kill test-moves test-emulation test-routes check bench bench-routing bench-routing-large bench-admission proto proto-check golden

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) $(COMPILED) ## make .venv with everything that running and testing need

$(STAMP): setup.cfg setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Qinet needs Python 3.11 or newer: make PYTHON=/path/to/python3.11'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[controller,dev]'
	@touch $@

# A kernel is kept by the state of its own file alone: where one file changed, all are compiled anew.
$(COMPILED): $(STAMP) $(KERNELS)
	@rm -f controller/routing/kernels/__pycache__/*.nb[ic]
	@$(BIN)/python -m controller.routing.kernels 'pairs_*' & \
		$(BIN)/python -m controller.routing.kernels '!pairs_*' && wait $$!
	@touch $@

run: $(COMPILED) ## run the demonstration until Ctrl-C: make run [TOPOLOGY=tokyo-2010] [ONCE=1]
	@$(BIN)/qinetctl demo $(if $(TOPOLOGY),--topology $(TOPOLOGY)) $(if $(ONCE),--once)

# Tests start hundreds of programs: each would compile all modules anew where none may be kept compiled.
test: $(COMPILED) ## run every test
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-oracles: $(ORACLES)/.installed ## compare physics with independent simulators, in .venv-oracles
	@$(ORACLES)/bin/python -m pytest -c tests/oracles/pytest.ini -n $(JOBS) --dist worksteal tests/oracles $(ARGS)

$(ORACLES)/.installed: tests/oracles/requirements.txt
	@test -x $(ORACLES)/bin/python || $(PYTHON) -m venv $(ORACLES)
	@$(ORACLES)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r $<
	@touch $@

test-kill: $(COMPILED) ## kill -9 controller and agents N times under load: make test-kill [N=50] [SEED=1] [GROUND=mixed]
	@$(BIN)/python -m tests.chaos.kill --times $(or $(N),50) $(if $(SEED),--seed $(SEED)) $(if $(GROUND),--ground $(GROUND))

test-moves: $(COMPILED) ## move a relay, or with KIND=path a path, N times under traffic: make test-moves [N=100] [KIND=plain] [SEED=1]
	@$(BIN)/python -m tests.chaos.moves --times $(or $(N),100) $(if $(KIND),--kind $(KIND)) $(if $(SEED),--seed $(SEED))

test-emulation: $(COMPILED) ## hold what N routes of pairs promise against what the agents deliver: make test-emulation [N=60] [SEED=1]
	@$(BIN)/python -m tests.emulation --routes $(or $(N),60) $(if $(SEED),--seed $(SEED))

test-routes: $(COMPILED) ## hold routes of pairs to trying everything, N networks a regime: make test-routes [N=300]
	@$(BIN)/python -m tests.bench.exactness $(or $(N),300)

bench: $(COMPILED) ## measure ours beside bare peers, one JSON object a line
	@$(BIN)/python -m tests.bench

bench-routing: $(COMPILED) ## measure searches beside networkx, igraph and rustworkx: make bench-routing [WORK=route-10000]
	@$(BIN)/python -m tests.bench.routing $(WORK)

bench-routing-large: $(COMPILED) ## the same on one graph of 100,000 nodes
	@$(BIN)/python -m tests.bench.routing route-100000

bench-admission: $(COMPILED) ## measure what is accepted beside the optimum: make bench-admission [WORK=online]
	@$(BIN)/python -m tests.bench.admission $(WORK)

check: $(STAMP) proto-check ## lint, types and import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --cache-dir .cache/import-linter
	@$(BIN)/mypy controller southbound apps tests

$(DEPS)/google/rpc/status.proto: $(STAMP)
	@mkdir -p $(DEPS)
	@$(BIN)/python -c 'import google.rpc, pathlib, shutil, sys; \
		shutil.copytree(pathlib.Path(list(google.rpc.__path__)[0]), sys.argv[1] + "/google/rpc", dirs_exist_ok=True)' $(DEPS)
	@find $(DEPS) -type f ! -name 'status.proto' -delete; rm -rf $(DEPS)/google/rpc/context $(DEPS)/google/rpc/__pycache__

proto: $(DEPS)/google/rpc/status.proto ## generate proto/gen from proto/qinet
	@rm -rf .cache/gen && mkdir -p .cache/gen
	@PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -Iproto -I$(DEPS) --python_out=.cache/gen --mypy_out=quiet:.cache/gen \
		--grpc_python_out=.cache/gen --mypy_grpc_out=quiet:.cache/gen $(PROTOS)
	@rm -rf proto/gen/qinet && mkdir -p proto/gen && cp -r .cache/gen/qinet proto/gen/qinet

proto-check: $(DEPS)/google/rpc/status.proto ## lint the protos, check proto/gen; AGAINST=REV also finds breaking changes since REV
	@PATH=$(BIN):$$PATH buf lint --path proto/qinet
	@rm -rf .cache/gen && mkdir -p .cache/gen
	@PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -Iproto -I$(DEPS) --python_out=.cache/gen --mypy_out=quiet:.cache/gen \
		--grpc_python_out=.cache/gen --mypy_grpc_out=quiet:.cache/gen $(PROTOS)
	@diff -r -x __pycache__ .cache/gen/qinet proto/gen/qinet >/dev/null || { echo 'proto/gen is not what proto/qinet generates: run make proto'; exit 1; }
	@if [ -n "$(AGAINST)" ]; then set -e; rm -rf .cache/against && mkdir -p .cache/against; \
		git archive "$(AGAINST)" proto/qinet | tar -x -C .cache/against; \
		$(BIN)/python -m grpc_tools.protoc -I.cache/against/proto -I$(DEPS) --include_imports -o .cache/against/old.binpb \
			$$(find .cache/against/proto/qinet -name '*.proto'); \
		$(BIN)/python -m grpc_tools.protoc -Iproto -I$(DEPS) --include_imports -o .cache/against/new.binpb $(PROTOS); \
		$(BIN)/buf breaking .cache/against/new.binpb --against .cache/against/old.binpb; fi

golden: $(STAMP) ## regenerate the expected outputs in tests/golden
	@QINET_GOLDEN=write $(BIN)/python -m pytest -q tests/golden
