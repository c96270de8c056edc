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
# make lock              renews lock.txt (UPGRADE= keeps the versions that still fit)
# make test-package      checks the wheel, the licences of what it needs, and the SBOM
# make sbom              lists what the package runs with, with licences (dist/gpu-coord.cdx.json)
# make reference          writes tables of options and columns, and the stub, as the code has them
.PHONY: demo test docs screenshots fuzz reference assets test-browser test-gpu-contract test-gpu-install test-package sbom lock lint bench notebooks clean
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
# What is installed has the version and a hash of lock.txt, uv among it, or is not installed.
UV = .venv/bin/uv
export UV_HTTP_TIMEOUT ?= 180
export UV_SYSTEM_CERTS ?= 1
LOCKED = pip install --quiet --require-hashes --constraint lock.txt --requirement pyproject.toml
INSTALL = $(UV) $(LOCKED) --python .venv/bin/python
EDITABLE = $(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
UPGRADE ?= --upgrade
COMPILE = $(UV) pip compile --quiet $(UPGRADE) --universal --python-version 3.11.5 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock'

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

# All that is fetched is fetched before; the wheel is made from the source archive.
test-package: dist/gpu-coord.cdx.json
	-$(MAKE) assets
	rm -f dist/*.whl dist/*.tar.gz
	$(UV) build --quiet --offline --no-build-isolation --python .venv/bin/python --out-dir dist
	$(UV) pip install --quiet --offline --no-index --reinstall-package gpu-coord \
		--python .venv-package/bin/python dist/*.whl
	GPU_COORD_PACKAGE=1 .venv/bin/python -m pytest tests/package

sbom: dist/gpu-coord.cdx.json
dist/gpu-coord.cdx.json: .venv-package/ready
	mkdir -p dist
	.venv/bin/cyclonedx-py environment --output-reproducible --no-validate \
		--pyproject pyproject.toml --output-file $@ .venv-package/bin/python

lock: .venv/bin/uv
	$(COMPILE) --extra dask --extra docs --extra notebooks --extra test \
		--group set-up --group browser --group package --output-file lock.txt pyproject.toml
	$(COMPILE) --no-deps --output-file tests/gpu/lock.txt tests/gpu/stand_ins.txt tests/gpu/wheels.txt

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

.venv/ready-run: pyproject.toml lock.txt | .venv/bin/uv
	$(INSTALL) --group set-up
	$(EDITABLE)
	touch $@

.venv/ready-test: pyproject.toml lock.txt | .venv/bin/uv
	$(INSTALL) --group set-up --extra test
	$(EDITABLE)
	touch $@ .venv/ready-run

.venv/ready-browser: .venv/ready-test
	-$(INSTALL) --group browser
	touch $@

.venv/ready-docs: pyproject.toml lock.txt | .venv/bin/uv
	$(INSTALL) --group set-up --extra docs
	$(EDITABLE)
	touch $@ .venv/ready-run

.venv/ready-notebooks: pyproject.toml lock.txt | .venv/bin/uv
	$(INSTALL) --group set-up --extra notebooks
	$(EDITABLE)
	touch $@

# What the package runs with, and nothing else.
.venv-package/ready: .venv/ready-test
	$(INSTALL) --group package
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-package
	$(UV) $(LOCKED) --python .venv-package/bin/python
	touch $@

# What the tests need stands in the other environment already: it is looked up there.
.venv-gpu/ready-contract: .venv/ready-test tests/gpu/lock.txt | .venv-gpu/bin/python
	.venv-gpu/bin/python tests/gpu/borrow.py .venv
	$(UV) pip install --quiet --python .venv-gpu/bin/python --no-deps --require-hashes --requirement tests/gpu/lock.txt
	touch $@

.venv-gpu/ready-install: pyproject.toml | .venv-gpu/bin/python
	$(GPU_PIP) --editable '.[test,gpu-cu12]'
	rm -f .venv-gpu/ready-contract .venv-gpu/lib/python*/site-packages/borrowed.pth
	touch $@

.venv-gpu/bin/python: | .venv/bin/python
	.venv/bin/python -m venv .venv-gpu

.venv/bin/uv: lock.txt | .venv/bin/python
	sed -n '/^uv==/,/[^\\]$$/p' lock.txt > .venv/uv.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		--requirement .venv/uv.txt
	touch $@

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "gpu_coord needs Python 3.11 to 3.13; none was found. Set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv .venv-gpu .venv-package dist demo site docs/gallery .pytest_cache .mypy_cache .ruff_cache .hypothesis
