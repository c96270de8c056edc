# make demo   sets up and runs the main job        make test   sets up and passes the tests
# PYTHON=python3.12 make test   chooses the interpreter (3.11 to 3.13)
# make test-gpu-contract   checks the GPU path without a GPU (about 1 GB of wheels)
# make test-gpu-install    checks the whole RAPIDS installation without a GPU (about 8 GB)
# make fuzz MINUTES=10     looks for what the property tests miss, at random (TESTS=tests/test_urls.py)
# WORKERS=1 make test      runs the tests in so many processes (default: one per core, at most 4)
# make assets             puts what draws the network of a report into the package (needs npm)
# make test-browser       checks reports in a browser (needs npm and chromium)
# make docs              builds the site of the docs, with a gallery of all pictures, into site/
# make screenshots       takes the pictures of a report that README shows (needs npm and chromium)
# make reference          writes tables of options and columns, and the stub, as the code has them
.PHONY: demo test docs screenshots fuzz reference assets test-browser test-gpu-contract test-gpu-install lint bench notebooks clean
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
# What is imported is compiled then: to compile all that comes takes half of the time.
PIP = .venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check \
	--constraint constraints.txt

GPU_PIP = .venv-gpu/bin/python -m pip install --quiet --no-compile --disable-pip-version-check
WORKERS ?= logical
# A worker takes the next test of its share, then of another's: the files are of very unequal cost.
PARALLEL = --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal
MINUTES ?= 5
TESTS ?= tests
# What runs on a backend; the rest never meets one.
PIPELINE_TESTS = $(addprefix tests/test_,activity.py transitions.py chance.py effects.py lags.py \
	network.py detection.py selftest.py significance.py model.py model_store.py)

demo: .venv/ready-run
	.venv/bin/python -m gpu_coord demo --out demo

test: .venv/ready-test
	.venv/bin/python -m pytest $(PARALLEL)

fuzz: .venv/ready-test
	.venv/bin/python tests/fuzz.py --minutes $(MINUTES) $(PARALLEL) $(TESTS)

test-gpu-contract: .venv-gpu/ready-contract
	GPU_COORD_GPU_CONTRACT=1 .venv-gpu/bin/python -m pytest $(PARALLEL) tests/gpu -m gpu_contract
	GPU_COORD_DOUBLES=1 .venv-gpu/bin/python -m pytest $(PARALLEL) -m "not statistics" $(PIPELINE_TESTS)

# Skipped, loudly, where npm or chromium is missing.
test-browser: .venv/ready-browser
	-$(MAKE) assets
	GPU_COORD_BROWSER=1 .venv/bin/python -m pytest tests/browser -rs

screenshots: .venv/ready-browser
	$(MAKE) assets
	GPU_COORD_BROWSER=1 .venv/bin/python -m pytest tests/browser/screenshots.py

test-gpu-install: .venv-gpu/ready-install
	GPU_COORD_GPU_CONTRACT=1 .venv-gpu/bin/python -m pytest tests/gpu -m gpu_install

lint: .venv/ready-test
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

# Pinned by hash in package-lock.json; the licence of each library stands above it.
LIBRARIES = gpu_coord/reports/libraries
BUILT = gpu_coord/reports/built
assets: $(BUILT)/sigma.js
$(BUILT)/sigma.js: $(LIBRARIES)/package-lock.json
	npm ci --silent --prefix $(LIBRARIES)
	mkdir -p $(BUILT)
	cd $(LIBRARIES)/node_modules && for each in graphology/dist/graphology.umd sigma/dist/sigma; do \
		library=$${each%%/*}; \
		{ echo '/*!'; cat $$library/LICENSE.txt; echo '*/'; cat $$each.min.js; } \
		> ../../built/$$library.js; done

# Not --quiet, which hides warnings from --strict. The variable silences news about later versions.
docs: .venv/ready-docs
	.venv/bin/python docs/gallery.py
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

reference: .venv/ready-test
	.venv/bin/python docs/reference.py

bench: .venv/ready-test
	.venv/bin/python -m benchmarks

notebooks: .venv/ready-notebooks
	.venv/bin/python -m jupyter lab notebooks

.venv/ready-run: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	touch $@

.venv/ready-test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[test]'
	touch $@ .venv/ready-run

.venv/ready-browser: .venv/ready-test
	-$(PIP) playwright
	touch $@

.venv/ready-docs: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[docs]'
	touch $@ .venv/ready-run

.venv/ready-notebooks: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[notebooks]'
	touch $@

# What the tests need stands in the other environment already: it is looked up there.
.venv-gpu/ready-contract: .venv/ready-test tests/gpu/stand_ins.txt tests/gpu/wheels.txt | .venv-gpu/bin/python
	.venv-gpu/bin/python tests/gpu/borrow.py .venv
	$(GPU_PIP) --no-deps --requirement tests/gpu/stand_ins.txt --requirement tests/gpu/wheels.txt
	touch $@

.venv-gpu/ready-install: pyproject.toml | .venv-gpu/bin/python
	$(GPU_PIP) --editable '.[test,gpu-cu12]'
	rm -f .venv-gpu/ready-contract .venv-gpu/lib/python*/site-packages/borrowed.pth
	touch $@

.venv-gpu/bin/python: | .venv/bin/python
	.venv/bin/python -m venv .venv-gpu

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "gpu_coord needs Python 3.11 to 3.13; none was found. Set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv .venv-gpu demo site docs/gallery .pytest_cache .mypy_cache .ruff_cache .hypothesis
