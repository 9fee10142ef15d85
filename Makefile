# `make help` lists the targets. Serving lives in .venv, the fast tests in .venv-fast (neither has torch), everything else in
# .venv-test. Each is made anew when it is asked for with another Python.

# Triton's stubs load libpython, and Debian has venv in a package of its own.
USABLE := import ctypes, ensurepip, os, sysconfig, venv; \
	name = "libpython%s.so.1.0" % sysconfig.get_python_version(); \
	path = os.path.join(sysconfig.get_config_var("LIBDIR") or "", name); \
	ctypes.CDLL(path if os.path.exists(path) else name)
ifndef PYTHON
# On 3.13 numpy has to be compiled.
PYTHON := $(shell for each in python3.12 python3.11 python3.13; do \
	$$each -c '$(USABLE)' 2>/dev/null && echo $$each && exit; done; echo python3)
endif
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
SERVE := .venv/bin/python
FAST := .venv-fast/bin/python
TEST := .venv-test/bin/python
# A module's tests stay together, and with them what its fixtures start; torch has a thread in each of the two.
SPREAD := -n 2 --dist loadscope
# Files of one name, which mypy takes one at a time.
ADAPTERS := $(wildcard backends/*/model.py model_repository/*/1/model.py ensembles/*/1/model.py)

.PHONY: help usable browser prometheus redis databases observe demo serve check test-fast test test-full lint bench scaling bench-quick quality configs weights clean
# Those of another Python.
.PHONY: $(foreach venv,.venv .venv-fast .venv-test,$(if $(wildcard $(venv)/bin/python$(VERSION)),,$(venv)/installed))

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

usable: # whether PYTHON can serve
	@$(PYTHON) -c '$(USABLE)'

# $(1): the environment, $(2): what is installed with the client, $(3): how.
define install
	test -x $(1)/bin/python$(VERSION) || $(PYTHON) -m venv --clear $(1)
	$(1)/bin/pip install --quiet --disable-pip-version-check $(3) -e client -e '$(2)'
	@touch $@
endef
PINNED := -c constraints.txt
# The exporter's ml_dtypes asks for numpy 2 on 3.13, and works with the one that Triton's stubs need.
EXACT := $(if $(filter 3.13,$(VERSION)),--no-deps -r constraints.txt,$(PINNED))

.venv/installed: pyproject.toml client/pyproject.toml constraints.txt
	$(call install,.venv,.,$(PINNED))

.venv-fast/installed: pyproject.toml client/pyproject.toml constraints.txt
	$(call install,.venv-fast,.[check],$(PINNED))

.venv-test/installed: pyproject.toml client/pyproject.toml constraints.txt
	$(call install,.venv-test,.[test],$(EXACT))

# KServe's package wants older ones than ours beside it, so it is alone. Without it, one test is skipped and says so.
.venv-kserve/installed:
	@$(PYTHON) -m venv --clear .venv-kserve \
	  && .venv-kserve/bin/pip install --quiet --disable-pip-version-check kserve==0.21.0 && touch $@ || rm -rf .venv-kserve

# Buckets are tested on a server of S3 that wants other versions of packages than ours; without it, those tests are skipped.
.venv-s3/installed:
	@$(PYTHON) -m venv --clear .venv-s3 \
	  && .venv-s3/bin/pip install --quiet --disable-pip-version-check 'moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5 \
	  && touch $@ || rm -rf .venv-s3

demo: .venv/installed ## harmonize photographs and generated scenes through the real server: out/demo/index.html
	$(SERVE) -m demo

serve: .venv/installed ## keep the facade (8080) and its Triton (gRPC 8001, metrics 8002) up in the foreground
	@.venv/bin/concord serve

lint: .venv-test/installed ## ruff and mypy
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	@for adapter in $(ADAPTERS); do .venv-test/bin/mypy --no-error-summary $$adapter || exit 1; done

# The page is tested in Debian's browser; where it cannot be installed, those tests are skipped and say so.
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y chromium >/dev/null; } || true

# The rules and the dashboard are tested with Debian's Prometheus; without it, those tests are skipped and say so.
# The package would start one for itself.
prometheus:
	@command -v prometheus >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && RUNLEVEL=1 apt-get -qq install -y --no-install-recommends prometheus >/dev/null; } || true

# Rates that replicas share are counted in Debian's Redis; without it, those tests are skipped and say so.
redis:
	@command -v redis-server >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && RUNLEVEL=1 apt-get -qq install -y --no-install-recommends redis-server >/dev/null; } || true

# The store is tested in Debian's PostgreSQL and MariaDB, too; without them, those tests are skipped and say so.
databases: ## install the servers of databases that the store is tested with, if you are root
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && test -x /usr/sbin/mariadbd || { test "$$(id -u)" = 0 && apt-get -qq update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql mariadb-server >/dev/null; } || true

observe: prometheus ## Prometheus on http://localhost:9090, with the project's rules, beside `make serve`
	@command -v prometheus >/dev/null || { echo "there is no prometheus here: install Debian's package prometheus"; exit 1; }
	@mkdir -p out/prometheus
	prometheus --config.file=deploy/observe/prometheus.yaml --storage.tsdb.path=out/prometheus --web.listen-address=127.0.0.1:9090

test-fast: .venv-fast/installed ## the tests that start no server and no browser and need no torch: two minutes
	$(FAST) -m pytest $(SPREAD) -m "not server and not browser and not torch and not full"

check: lint test-fast ## what to run before a commit

test: lint browser prometheus redis databases .venv-kserve/installed .venv-s3/installed ## install what tests need and run them all
	OMP_NUM_THREADS=1 $(TEST) -m pytest $(SPREAD) || { echo "once more, one after the other, what failed:"; \
	  OMP_NUM_THREADS=1 $(TEST) -m pytest --last-failed --last-failed-no-failures none; }

test-full: .venv-test/installed ## build engines of every network at its published size, and the image of the facade (16 GB of memory, 20 GB of disk)
	$(TEST) -m pytest -m full

bench: .venv-test/installed ## what everything costs, beside what a user would run instead: out/bench/report.md, docs/performance.md, its folder, and docs/scaling.md
	$(TEST) -m benchmarks
	$(TEST) -m benchmarks.report out/bench/report.json docs/performance.md
	$(TEST) -m benchmarks.scaling docs/scaling.md

scaling: .venv-test/installed ## how many machines a rate needs, by this one (half an hour): docs/scaling.md
	$(TEST) -m benchmarks --only scaling
	$(TEST) -m benchmarks.report out/bench/report.json docs/performance.md --only scaling
	$(TEST) -m benchmarks.scaling docs/scaling.md

bench-quick: .venv-test/installed ## whether the working tree is slower than the commit before (COMMIT=...), in four minutes
	$(TEST) -m benchmarks.quick --compare $(or $(COMMIT),HEAD~1)

quality: .venv-test/installed ## the demo weights on held-out scenes and photographs; out/quality.json
	$(TEST) -m demo.quality

configs: .venv-test/installed ## write what follows from the declarations: configurations, tables and the picture of docs/
	$(TEST) -m export configs
	$(TEST) -m docs.tensors
	$(TEST) -m docs.rooms
	$(TEST) -m deploy.dashboard

weights: .venv-test/installed ## train the demo weights again and export them (hours on two cores)
	demo/weights.sh

clean: ## remove what the other targets made
	rm -rf .venv .venv-fast .venv-test .venv-kserve .venv-s3 out
