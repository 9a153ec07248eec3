# The two commands: `make demo` and `make test`. Both make the environment first.
#
#   make install   the environment alone, in .venv
#   make demo      train, evaluate and report on the embedded digits: no network needed beyond the package index
#   make test      the tests
#   make lint      formatting, lint and types
#   make docs      the documentation as a site, in build/site: needs no network to build or to read
#
# What the documentation shows, run in full (nothing else should run beside it):
#
#   make notebooks         the tutorials, with their outputs and pictures
#   make pages             what commands print on the pages, and the pictures there (VAEKIT_DATA for MNIST)
#
# Slow, each with stored results under benchmarks/ (run nothing beside them):
#
#   make bench-quality     held-out figures of the recipes mnist, mnist-conv and cifar10 (an hour on two cores)
#   make bench-throughput  speed of training beside other libraries; PEERS is the Python of an environment with
#                          benchmarks/throughput/requirements.txt in it, without which only PyTorch loops stand beside
#   make bench-conditions  MNIST given its labels: bounds, obedience, variety, augmentation (half an hour)
#   make bench-anomaly     detection: tables beside PyOD's detectors, images, reasons, large files (two hours)
#   make bench-tuning      the search beside a random one (half an hour)
#   make bench-images      a folder of 50,000 JPEGs: images per second and memory
#
# The data sets are looked for in VAEKIT_DATA; CIFAR is the folder with *train*.npz and *test*.npz.
#
# TORCH chooses another build of torch: make install TORCH='torch==2.13.0 --index-url URL-of-a-CUDA-wheel-index'
# PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := src tests benchmarks docs/tools docs/notebooks
CIFAR ?= $(VAEKIT_DATA)/cifar10
DEMO := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: install demo test lint format docs notebooks pages clean bench-quality bench-throughput bench-images bench-conditions bench-anomaly bench-tuning

install: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'vaekit needs Python 3.11 or newer: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install
	$(BIN)/vaekit train digits --out $(DEMO)
	$(BIN)/vaekit evaluate $(DEMO)
	$(BIN)/vaekit report $(DEMO)

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: install
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy

format: install
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: install
	$(BIN)/python docs/tools/site_of_docs.py

notebooks: install
	$(BIN)/python docs/tools/notebooks.py

pages: install
	$(BIN)/python docs/tools/refresh.py

bench-quality: install
	$(BIN)/python benchmarks/quality/run.py mnist --seeds 0 1 2
	$(BIN)/python benchmarks/quality/run.py mnist-conv
	$(BIN)/python benchmarks/quality/run.py cifar10 --data $(CIFAR)

bench-throughput: install
	$(BIN)/python benchmarks/throughput/run.py $(if $(PEERS),--peers-python $(PEERS))

bench-conditions: install
	$(BIN)/python benchmarks/conditions/run.py bounds
	$(BIN)/python benchmarks/conditions/run.py digits
	$(BIN)/python benchmarks/conditions/run.py augment

bench-anomaly: install
	$(BIN)/python benchmarks/anomaly/tables.py choosing
	$(BIN)/python benchmarks/anomaly/tables.py judging
	$(BIN)/python benchmarks/anomaly/images.py digits
	$(BIN)/python benchmarks/anomaly/images.py fashion
	$(BIN)/python benchmarks/anomaly/images.py strangers
	$(BIN)/python benchmarks/anomaly/reasons.py
	$(BIN)/python benchmarks/anomaly/robust.py
	$(BIN)/python benchmarks/anomaly/speed.py

bench-tuning: install
	$(BIN)/python benchmarks/tuning/run.py --time 5m --seeds 3

bench-images: install
	$(BIN)/python benchmarks/image_folder.py 50000 --train 90s --json benchmarks/image_folder.json

clean:
	rm -rf $(VENV) build dist .cache .mypy_cache .pytest_cache .ruff_cache
