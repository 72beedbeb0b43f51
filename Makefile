# Two commands do everything on a fresh machine with Python 3.11, pip and make:
#   make demo   set up, then run the whole recipe in the micro-world
#   make test   set up, then run the default test suite

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test slow check results clean

demo: $(READY)
	$(BIN)/tars run recipes/micro.yaml

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2

slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -n 2

check: $(READY)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/pyright

results: $(READY)
	$(BIN)/tars run recipes/micro-sweep.yaml
	$(BIN)/tars report runs/micro-sweep -o docs/results/micro.md --title "TARS in the micro-world" \
		--command "tars run recipes/micro-sweep.yaml"
	cp runs/micro-sweep/summary.json docs/results/micro-summary.json

# torch is named first and pinned, so that pip takes the build that its sources offer for this machine.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0 -c constraints.txt
	$(BIN)/pip install --quiet --editable ".[dev]" -c constraints.txt
	touch $(READY)

clean:
	rm -rf $(VENV) runs
