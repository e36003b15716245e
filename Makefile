# What a person types here. Every target sets up what it needs: a virtual environment in .venv, then a browser.
#
#   make demo    run the whole thing once, on real browsers
#   make test    run the tests
#   make check   lint, types, import contracts, lock file; build the wheel and run the tests against it
#   make docs    write the generated parts of the docs and the output that their pages show again
#   make tamper  500 edits of each kind in a log of 1,000 sessions: verify has to find every one
#   make adapters tests each adapter against its host, in an environment of its own in build/adapters
#   make bench   measure against bare SQLite and against what else one could take, and put the table into docs
#   make bench-short  count what an append, a load and a list cost: statements, pages, calls
#   make simulate runs client and keeper through 20,000 worlds in which calls fail and processes die, then through all small ones
#   make mutants plants bugs, one at a time, and shows what catches each
#   make mutmut  makes a thousand small changes to the core; none may survive unexplained
#   make chaos   attack the log and the browsers at length; chaos-short in under four minutes
#   make chaos-proof plants a bug of each kind that the attacks look for, and shows that they find it
#   make soak    100,000 sessions with pretended browsers and 200 with real ones: what grows, and what may not
#   make audit   ask the index's advisories about every package that the lock file names (needs the network)
#   make clean   remove all that was made here, the virtual environment included
#
# Needed beforehand: Python 3.11 or newer with venv or pip. uv is used where it is on PATH and otherwise put into .venv.

SHELL = /bin/sh
BIN = .venv/bin
INSTALLED = .venv/.installed
WHEEL = build/wheel
# Tests wait more than they work. More than two at a time would start as many browsers.
PARALLEL = -n 2 --dist worksteal
# Whose tests run against the wheel; CI names the other Pythons that it finds.
WHEEL_PYTHONS = $(BIN)/python

# A caller's settings must not send uv to another environment or make it fetch another Python.
UV_SETTINGS = UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1

.PHONY: demo test check docs lint types wheel adapters hosts coverage tamper bench bench-short mutants mutmut chaos chaos-short chaos-on chaos-proof soak audit browser clean

demo: browser
	@$(BIN)/lifecycle demo

test: browser
	$(BIN)/python -m pytest $(PARALLEL)

check: lint types wheel

docs: browser
	$(BIN)/python -m tests.core.pages
	$(BIN)/python tests/docs/run_page.py --write

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(UV_SETTINGS) $(BIN)/uv lock --check

# Pyright would take any Node on PATH, however old; its own comes as a wheel.
types: $(INSTALLED)
	$(BIN)/mypy
	PYRIGHT_PYTHON_GLOBAL_NODE=0 $(BIN)/pyright

# The wheel is built from the sdist, so both are tried. -I keeps the checkout off sys.path: a mixed pair, the library from
# here and the adapters from the wheel, would pass. Browser tests and chaos are left out;
# they ran against the same files in `test`.
wheel: $(INSTALLED)
	rm -rf $(WHEEL)
	$(BIN)/python -m build --installer uv --outdir $(WHEEL)/dist .
	@set -e; for python in $(WHEEL_PYTHONS); do \
	    venv=$(CURDIR)/$(WHEEL)/$$($$python -c 'import sys; print("python-%d.%d" % sys.version_info[:2])'); \
	    $(BIN)/uv venv -q --python $$python $$venv; \
	    $(BIN)/uv pip install -q --python $$venv/bin/python --group dev $(WHEEL)/dist/*.whl; \
	    cd $(WHEEL); \
	    $$venv/bin/python -I -c 'import sys, lifecycle, lifecycle_chromium as c; assert "site-packages" in lifecycle.__file__ and "site-packages" in c.__file__; print("the wheel on Python", sys.version)'; \
	    $$venv/bin/python -I -m pytest $(PARALLEL) -c ../../pyproject.toml --rootdir ../.. -m 'not browser' --ignore=../../tests/chaos ../../tests; \
	    cd $(CURDIR); \
	done

# A folder of tests with a requirements.txt has a host that can't share our environment. ADAPTERS=NAME tests one of them.
ADAPTERS = $(patsubst tests/adapters/%/requirements.txt,%,$(wildcard tests/adapters/*/requirements.txt))
# They get the wheel, as in `wheel`.
adapters: browser
	rm -rf build/adapters
	$(BIN)/uv build -q --wheel --out-dir build/adapters/dist .
	@set -e; for name in $(ADAPTERS); do \
	    echo "adapter $$name"; \
	    venv=$(CURDIR)/build/adapters/$$name; \
	    $(BIN)/uv venv -q --python $(BIN)/python $$venv; \
	    $(BIN)/uv pip install -q --python $$venv/bin/python -r tests/adapters/tools.txt \
	        -r tests/adapters/$$name/requirements.txt build/adapters/dist/*.whl; \
	    cd build/adapters; \
	    export TESTS_OF_ADAPTER=$$name; \
	    run="$$venv/bin/python -I -m pytest -q -c ../../pyproject.toml --rootdir ../.. -o cache_dir=$$venv/cache"; \
	    $$run $(PARALLEL) $(SELECT) ../../tests/adapters/$$name || { \
	        [ -n "$$CI" ] && echo "UNSTEADY: $$name, once more what failed, alone" && \
	            $$run --last-failed --last-failed-no-failures none ../../tests/adapters/$$name; \
	    }; \
	    cd $(CURDIR); \
	done

# The tables of what hosts report, from a run.
hosts:
	WRITE_HOSTS=1 $(MAKE) adapters SELECT='-k hosts'

coverage: browser
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

tamper: $(INSTALLED)
	$(BIN)/python -m tests.audit.test_tampering

# BENCH takes options: make bench BENCH='--rows replay,listing --most 1000000'. Alone on the machine, or it says little.
bench: $(INSTALLED)
	$(BIN)/python -m tests.bench --page docs/explanation/performance.md $(BENCH)

bench-short: $(INSTALLED)
	$(BIN)/python -m pytest -q tests/bench

simulate: $(INSTALLED)
	$(BIN)/python -m lifecycle.testing.simulation --seeds 20000
	$(BIN)/python -m lifecycle.testing.simulation --closure

mutants: $(INSTALLED)
	$(BIN)/python -m tests.mutants
	$(BIN)/python -m tests.mutants --page docs/reference/mutants.md

# mutmut is installed for the run only. ONLY=decide tries the changes of one file or function.
mutmut: $(INSTALLED)
	$(UV_SETTINGS) $(BIN)/uv run -q --no-sync --with mutmut==3.8.1 python -m tests.mutants.generated $(ONLY)

# Every operation of the disk, more and longer rounds; CHAOS_SEED=N plays another one. What failed is kept, and named.
# The log is attacked a second time on a SQLite without the WAL-reset bug, where one can be had. All of it in one table.
CHAOS_FIGURES = build/chaos.jsonl
chaos chaos-short: export CHAOS_FIGURES := $(CHAOS_FIGURES)
# The races of the WAL reset have the machine to themselves.
chaos: browser chaos-on
	CHAOS_SECONDS=60 $(BIN)/python -m pytest -q -o timeout=1800 tests/chaos/test_wal_reset.py
	CHAOS_EVERY=1 CHAOS_SECONDS=60 CHAOS_ROUNDS=60 $(BIN)/python -m pytest -q $(PARALLEL) -o timeout=1800 tests/chaos \
	    --ignore=tests/chaos/test_wal_reset.py
	$(BIN)/python -m tests.chaos.cases
	if fixed=$$($(BIN)/python -m tests.chaos.fixed_sqlite build/sqlite); then \
	    LD_LIBRARY_PATH=$$fixed CHAOS_EVERY=12 CHAOS_SECONDS=30 $(BIN)/python -m pytest -q -o timeout=1800 \
	        tests/chaos/test_wal_reset.py tests/chaos/test_writers.py tests/chaos/test_disk_faults.py; fi
	$(BIN)/python -m tests.chaos.figures --page docs/explanation/reliability.md

# `make test` runs the same tests with a little of each attack: CI runs those and not this.
chaos-short: browser chaos-on
	CHAOS_EVERY=12 CHAOS_SECONDS=10 CHAOS_ROUNDS=12 $(BIN)/python -m pytest -q $(PARALLEL) tests/chaos
	$(BIN)/python -m tests.chaos.figures

chaos-on: $(INSTALLED)
	@$(BIN)/python -m tests.chaos.figures --begin

# The proof that the attacks can see: a bug of each kind is planted, and found.
chaos-proof: browser
	$(BIN)/python -m pytest -v -k "planted or can_see or can_fail or arms or loses_where" tests/chaos

# 100,000 sessions with pretended browsers from 8 processes, 200 with real ones; SOAK takes options.
soak: browser
	$(BIN)/python -m tests.chaos.soak --page docs/explanation/soak $(SOAK)

# Fails for a known advisory; where the index can't be asked, that is said.
audit: $(INSTALLED)
	$(UV_SETTINGS) $(BIN)/python -m tests.packaging.audit $(BIN)/uv

browser: $(INSTALLED)
	@$(BIN)/python -m lifecycle_chromium.install >/dev/null

# In this order: uv from PATH; uv put into the environment; plain pip. The lock file is followed where uv can, which it
# can't behind another package index; then what pyproject.toml allows is installed.
$(INSTALLED): pyproject.toml uv.lock
	@set -e; \
	python=; \
	for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo 'Python 3.11 or newer is needed and none is on PATH.' >&2; exit 1; fi; \
	if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making .venv with $$($$python --version)" >&2; \
	    rm -rf .venv; \
	    if command -v uv >/dev/null && $(UV_SETTINGS) uv venv -q --python "$$(command -v $$python)" .venv; then :; \
	    elif $$python -m venv .venv >/dev/null 2>&1; then :; \
	    elif rm -rf .venv; $$python -m venv --without-pip .venv && $$python -m pip --version >/dev/null 2>&1; then :; \
	    elif rm -rf .venv; $$python -m virtualenv -q .venv 2>/dev/null; then :; \
	    else \
	        rm -rf .venv; \
	        echo "$$python can't make a virtual environment: install its venv module (Debian, Ubuntu: apt-get install python3-venv)." >&2; \
	        exit 1; \
	    fi; \
	fi; \
	pip() { \
	    if $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	        $(BIN)/python -m pip -q --disable-pip-version-check "$$@"; \
	    else \
	        $$python -m pip -q --disable-pip-version-check --python $(BIN)/python "$$@"; \
	    fi; \
	}; \
	uv=$$(command -v uv || true); \
	if [ -z "$$uv" ] && pip install uv; then uv=$(BIN)/uv; fi; \
	echo 'installing the library and its tools into .venv' >&2; \
	if [ -n "$$uv" ] && $(UV_SETTINGS) "$$uv" sync -q --locked --inexact --python $(BIN)/python; then :; \
	elif [ -n "$$uv" ] && $(UV_SETTINGS) "$$uv" pip install -q --python $(BIN)/python --group dev -e .; then :; \
	else pip install -U 'pip>=25.1' && $(BIN)/python -m pip install -q --group dev -e .; \
	fi; \
	touch $@

clean:
	rm -rf .venv build dist .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find lifecycle adapters tests -name __pycache__ -type d -prune -exec rm -rf {} +
