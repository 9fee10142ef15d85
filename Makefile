# `make help` lists the targets. Serving lives in .venv (no torch), everything else in .venv-test.
PYTHON ?= python3.11
SERVE := .venv/bin/python
TEST := .venv-test/bin/python
# Files of one name, which mypy takes one at a time.
ADAPTERS := $(wildcard backends/*/model.py model_repository/*/1/model.py ensembles/*/1/model.py)

.PHONY: help browser demo serve test test-full lint bench quality weights clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.venv/installed: pyproject.toml client/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e client -e .
	@touch $@

.venv-test/installed: pyproject.toml client/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e client -e '.[test]'
	@touch $@

demo: .venv/installed ## harmonize demo composites through the real server; pictures and a report in out/demo
	$(SERVE) -m demo

serve: .venv/installed ## keep the facade (8080) and its Triton (HTTP 8000, gRPC 8001, metrics 8002) up in the foreground
	@.venv/bin/concord serve

lint: .venv-test/installed ## ruff and mypy
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	@for adapter in $(ADAPTERS); do .venv-test/bin/mypy --no-error-summary $$adapter || exit 1; done

# The page is tested in Debian's browser; where it cannot be installed, those tests are skipped and say so.
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y chromium >/dev/null; } || true

test: lint browser ## install what tests need and run them all
	$(TEST) -m pytest

test-full: .venv-test/installed ## build engines of every network at its published size (16 GB of memory, 20 GB of disk)
	$(TEST) -m pytest -m full

bench: .venv-test/installed ## what everything costs, beside what a user would run instead: out/bench/report.md, docs/performance.md
	$(TEST) -m benchmarks
	$(TEST) -m benchmarks.report out/bench/report.json docs/performance.md

quality: .venv-test/installed ## the demo weights on held-out scenes and photographs; out/quality.json
	$(TEST) -m demo.quality

weights: .venv-test/installed ## train the demo weights again and export them (hours on two cores)
	demo/weights.sh

clean: ## remove what the other targets made
	rm -rf .venv .venv-test out
