# `make demo` and `make test` need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin

# Without a GPU the pinned CPU build of torch is a tenth of the download.
CONSTRAINTS := $(shell command -v nvidia-smi >/dev/null 2>&1 || echo "-c constraints-cpu.txt")

# uv installs in a fraction of pip's time, but knows none of pip's settings, which may say where torch's CPU build lies.
PIP = $(BIN)/pip install --quiet --disable-pip-version-check $(CONSTRAINTS)

.PHONY: demo test check docs guards kills campaign soak bench audit clean

.venv/installed: pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(CONSTRAINTS) -e '.[dev]' || $(PIP) -e '.[dev]'
	touch $@

demo: .venv/installed  ## train the default preset on the embedded images, five minutes on two cores
	$(BIN)/chiasm fit --max-minutes 5
	@echo "mix your own images in the browser: $(BIN)/chiasm serve runs"

test: .venv/installed  ## all tests, a process on each core; then those in a browser, which is one more
	$(BIN)/pytest -n auto --dist loadfile --ignore tests/web/test_browser.py
	$(BIN)/pytest tests/web/test_browser.py

check: .venv/installed  ## formatter, linter, type checker, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed  ## the documentation's site into build/site; broken links fail
	$(BIN)/python docs/site.py

kills: .venv/installed  ## kill trainings and resume them, two to six minutes
	OMP_NUM_THREADS=1 $(BIN)/python tests/kills.py

campaign: .venv/installed  ## try bad inputs of every kind, about a quarter of an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.campaign

soak: .venv/installed  ## the page under four visitors for ten minutes, a training of half an hour: is memory flat?
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak

bench: .venv/installed  ## measure speed side by side with the plain reference
	$(BIN)/python benchmarks/run.py

audit: .venv/installed  ## ask PyPI for known vulnerabilities of every installed package; skipped offline
	@told=$$( { $(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit \
	    && build/audit/bin/pip-audit --skip-editable --progress-spinner off --path $(BIN)/../lib/python3*/site-packages; } 2>&1 ); \
	status=$$?; case "$$status $$told" in \
	    0*) echo "$$told" ;; \
	    *"No matching distribution"*|*ConnectionError*|*ProxyError*|*Timeout*) echo "audit: PyPI cannot be reached; skipped" ;; \
	    *) echo "$$told"; exit $$status ;; esac

guards: .venv/installed  ## break each promise on purpose and show which test notices
	$(BIN)/python tests/guards.py

clean:
	rm -rf .venv dist build
