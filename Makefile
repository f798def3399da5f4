# Two commands do everything: `make train` and `make test`. Each makes what it needs first.
.DEFAULT_GOAL := help
.PHONY: help train data evaluate report explore bench web faults test test-all fuzz lint format clean

PYTHON ?= python3
CONFIG ?= configs/main.yaml
RUN ?= runs/main
JOBS ?= 2
BIN := .venv/bin

help: ## show this
	@echo "usage: make TARGET"
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s '|' 2>/dev/null \
	  || grep -E '^[a-z-]+:.*## ' Makefile

train: .venv/installed ## make the environment, get the data, train configs/main.yaml, draw, write its explorer
	$(BIN)/vaescope train --config $(CONFIG) $(ARGS)

data: .venv/installed ## get the image set that configs/main.yaml names
	$(BIN)/vaescope data fetch --config $(CONFIG)

evaluate: .venv/installed ## measure the run in RUN (runs/main)
	$(BIN)/vaescope evaluate $(RUN) $(ARGS)

report: .venv/installed ## write RUN/report.html: everything about that run on one page
	$(BIN)/vaescope report $(RUN) $(ARGS)

explore: .venv/installed ## write RUN/explorer.html, a page in which the model runs, and show it
	$(BIN)/vaescope explore $(RUN) --open $(ARGS)

bench: .venv/installed-dev ## measure speed on a quiet machine, ARGS="throughput startup" for some of it (docs/speed.md)
	$(BIN)/python -m bench --data-root data $(ARGS)

web: web/node_modules/.package-lock.json ## build the page of `vaescope explore` from its sources (needs node)
	cd web && npm run --silent check && node build.mjs

test: .venv/installed-dev ## run the tests (the fast ones, under 4 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow" $(ARGS)

test-all: .venv/installed-dev ## run all tests, the slow ones too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

fuzz: .venv/installed-fuzz ## feed damaged files to every reader, ARGS="--minutes 30 --target npz" for some of it
	nice -n 19 $(BIN)/python -m tests.fuzz $(ARGS)

faults: .venv/installed-dev ## kill, starve and damage real runs, ARGS="errors damage signals" for more (docs/reliability.md)
	$(BIN)/python -m tests.faults $(ARGS)

lint: .venv/installed-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev ## bring the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and caches; data/ and runs/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vaescope needs Python 3.11 or newer, but $(PYTHON) is older: try make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv || \
	  { echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)"; exit 2; }
	@touch $@

.venv/installed: .venv/made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[explore]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.venv/installed-fuzz: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --silent
