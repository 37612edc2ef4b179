# Every target sets up what is missing first (scripts/setup.py: a moment when nothing is), so
# `git clone`, `make demo` and `git clone`, `make test` are enough. POSIX sh, GNU or BSD make.

PYTHON = python3
PY = .venv/bin/python
# Node.js comes with .venv; what Hardhat starts looks for `node` on the path.
WITH_NODE = PATH="$$PWD/.venv/bin:$$PATH"
HARDHAT = $(WITH_NODE) .venv/bin/node node_modules/hardhat/dist/src/cli.js
# In percent of lines, for twins and for chain each.
COVERAGE = 90
# Test processes at once. Each has its own chain, so more than two only help where there are more cores.
WORKERS = 2
SHARED = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# More words for a script or for pytest: make demo ARGS='--rounds 5'
ARGS =

.PHONY: help setup binaries demo devnet test lint format contracts unit integration bench fuzz abi lock clean distclean

help: ## list the targets (the default)
	@echo "Twinledger. Needs Python 3.11 or newer, git and make; the rest is set up in .venv and node_modules."
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

setup: ## set up .venv and node_modules from the lock files
	@$(PYTHON) scripts/setup.py

demo: setup ## run the main job: twins learn over stations, every round on a ledger, then the audit
	@$(PY) scripts/demo.py $(ARGS)

devnet: setup ## start the consortium's network (5 geth validators, 3 IPFS nodes) and keep it running
	@$(PY) scripts/devnet.py up --profile consortium $(ARGS)

binaries: setup ## find or build geth and Kubo (the first time: minutes), into a cache outside this folder
	@echo "==> geth and Kubo"
	@$(PY) scripts/devnet.py binaries

test: setup lint contracts binaries ## lint, then all tests, then the coverage gate
	@$(PY) -m tests.bytecode
	@echo "==> unit tests"
	@$(PY) -m pytest -m unit $(SHARED) --cov --cov-report= $(ARGS)
	@echo "==> integration tests"
	@$(PY) -m pytest -m integration $(SHARED) --cov --cov-append --cov-report= $(ARGS)
	@mkdir -p build
	@for package in twins chain; do \
	  percent=$$($(PY) -m coverage report --include="$$package/*" --format=total) || exit 1; \
	  echo "coverage of $$package: $$percent % of lines, at least $(COVERAGE) wanted"; \
	  $(PY) -m coverage report --include="$$package/*" --fail-under=$(COVERAGE) > build/coverage.txt || \
	    { cat build/coverage.txt; exit 1; }; \
	done

lint: setup ## ruff (rules, format) and mypy --strict
	@echo "==> lint"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: setup ## let ruff format the code and mend what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

contracts: setup ## the Solidity tests (Hardhat)
	@echo "==> contract tests"
	@$(HARDHAT) test

unit: setup ## the unit tests alone: no sockets
	@$(PY) -m pytest -m unit $(ARGS)

integration: setup binaries ## the integration tests alone: real chains, stores and processes on this machine
	@$(PY) -m pytest -m integration $(ARGS)

bench: setup ## the benchmarks, in their quick mode
	@for script in benchmarks/*.py; do echo "==> $$script"; $(PY) "$$script" --quick || exit 1; done

fuzz: setup ## 10,000 random calls on the contracts, against a plain model of their rules: 5 minutes
	@$(PY) benchmarks/fuzz_ledger.py $(ARGS)

abi: setup ## renew chain/abi and the gas figures after a change of the contracts
	@$(PY) scripts/abi.py
	@$(PY) benchmarks/gas.py

lock: setup ## renew the lock files from requirements/*.in and package.json
	@$(PY) scripts/lock.py

clean: ## remove what the build, the tests and the tools left
	@rm -rf build artifacts cache coverage .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . \( -name .venv -o -name node_modules -o -name .git \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv and node_modules too; the next target sets up again
	@rm -rf .venv node_modules
