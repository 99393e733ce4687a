# Each target makes the virtual environment that it needs from a lock file, on first use and when the lock file
# changes. The machine needs make and a python3 that can make virtual environments.
#
#   PYTHON         interpreter of .venv, 3.10 to 3.13 (the first of several names that fits)
#   PYTHON_ADDONS  interpreter of .venv-addons, 3.9 to 3.11 (TensorFlow 2.15 has no wheels for later versions)
#   PYTEST_FLAGS   flags for pytest, e.g. make test PYTEST_FLAGS="-k masks"
#   SERVE_FLAGS    flags of the page, e.g. make serve SERVE_FLAGS=--port=9000
#   WORKERS        number of test processes, up to 2 GB each; 0: pytest's own process only
#   LOCK_FLAGS     flags for `make lock`, e.g. make lock LOCK_FLAGS=--upgrade

PYTHON ?= python3 python3.13 python3.12 python3.11 python3.10
PYTHON_ADDONS ?= python3.11 python3.10 python3.9 python3
VENV := .venv
VENV_ADDONS := .venv-addons
VENV_LOCK := .venv-lock
UV_VERSION := 0.13.8
WORKERS ?= 2

# Hides TensorFlow's start-up notices; 0 shows them.
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help environments demo demo-training serve docs test test-addons test-full test-browser attack lint format lock wheel bench clean distclean

help:
	@echo "make environments  make both virtual environments (the other targets also do this on first use)"
	@echo "make demo          remove objects from photographs, one minute; pictures in demo_output/"
	@echo "make demo-training train a small network and score it, six minutes; results in demo_training_output/"
	@echo "make serve         serve a page for the browser, to paint holes and to fill them"
	@echo "make docs          build the documentation site; result in site/"
	@echo "make test          linter, and tests with the current TensorFlow"
	@echo "make test-addons   tests with TensorFlow 2.15 and Addons, without most commands and code that does not use Keras"
	@echo "make test-full     also tests that take minutes or need released weights"
	@echo "make test-browser  test the pages in Chromium; installs Chromium from Debian's packages"
	@echo "make attack        10,000 drawn and damaged inputs, half an hour; counts in attack.json"
	@echo "make lint          linter only;  make format: fix and format the files"
	@echo "make bench         measure time and memory on this machine"
	@echo "make wheel         build the wheel; result in dist/"
	@echo "make lock          write requirements/*.txt from setup.py"
	@echo "make clean         remove build and demo results;  make distclean: also remove the environments"

# $(call first_python,CANDIDATES,LOWEST,HIGHEST): the first candidate that is Python 3.LOWEST to 3.HIGHEST and
# has the modules for a virtual environment (Debian has ensurepip in a separate package).
first_python = $(shell for python in $(1); do \
  "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, $(2)) <= sys.version_info[:2] <= (3, $(3)))' \
  </dev/null 2>/dev/null && { echo "$$python"; break; }; done)

# $(call make_venv,FOLDER,PYTHON,VARIABLE,VERSIONS,WHAT): a new virtual environment FOLDER; pip installs WHAT.
define make_venv
	@test -n "$(2)" || { echo "error: no Python $(4) with the modules venv and ensurepip among: $($(3));" \
	  "install one (Debian: apt install python3-venv) or name it: make $(MAKECMDGOALS) $(3)=/path/to/python" >&2; exit 1; }
	@echo "setting up $(1) with $(2) and $(5); this can take minutes"
	@"$(2)" -m venv --clear $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(5)
endef

# The stamp files are written last, so that an interrupted installation starts again.
$(VENV)/.installed: requirements/current.txt
	$(call make_venv,$(VENV),$(call first_python,$(PYTHON),10,13),PYTHON,3.10 to 3.13,-r $<)
	@touch $@

$(VENV_ADDONS)/.installed: requirements/addons.txt
	$(call make_venv,$(VENV_ADDONS),$(call first_python,$(PYTHON_ADDONS),9,11),PYTHON_ADDONS,3.9 to 3.11,-r $<)
	@touch $@

environments: $(VENV)/.installed $(VENV_ADDONS)/.installed

demo: $(VENV)/.installed
	$(VENV)/bin/python -m hifill.demo --output demo_output

demo-training: $(VENV)/.installed
	$(VENV)/bin/python -m hifill.demo_training --output demo_training_output

serve: $(VENV)/.installed
	$(VENV)/bin/python -m inpainting serve $(SERVE_FLAGS)

# --strict: a broken link is an error.
docs: $(VENV)/.installed
	$(VENV)/bin/zensical build --strict

# Tests mostly use one thread, to start TensorFlow and to trace graphs, so they run in several processes. The tests of
# a file stay in one process, since they share models; tests/conftest.py says which files start first.
PYTEST = -m pytest -n $(WORKERS) --dist=loadfile --no-loadscope-reorder

test: lint
	$(VENV)/bin/python $(PYTEST) $(PYTEST_FLAGS)

test-addons: $(VENV_ADDONS)/.installed
	$(VENV_ADDONS)/bin/python $(PYTEST) $(PYTEST_FLAGS)

test-full: lint
	$(VENV)/bin/python $(PYTEST) -m "" $(PYTEST_FLAGS)

# Installs Chromium on Debian and its derivatives; on other systems install Chromium and chromedriver by hand.
test-browser: $(VENV)/.installed
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$root apt-get update -qq && $$root apt-get install -qq -y --no-install-recommends chromium chromium-driver; }
	$(VENV)/bin/python -m pytest -m browser $(PYTEST_FLAGS)

# In one process, so that the counts are of all inputs (docs/reliability.md).
attack: $(VENV)/.installed
	ATTACK=long ATTACK_COUNTS=attack.json $(VENV)/bin/python -m pytest tests/attack $(PYTEST_FLAGS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/.installed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.installed
	$(VENV)/bin/python -m benchmarks.hifill --output=benchmarks/results/hifill.json
	$(VENV)/bin/python -m benchmarks.zoom_to_inpaint --output=benchmarks/results/zoom_to_inpaint.json
	$(VENV)/bin/python -m benchmarks.networks --output=benchmarks/results/networks.json
	$(VENV)/bin/python -m benchmarks.pipeline --output=benchmarks/results/pipeline.json
	$(VENV)/bin/python -m benchmarks.methods --output=benchmarks/results/methods.json

# build/ is removed, since setuptools would pack files of an earlier build.
wheel: $(VENV)/.installed
	rm -rf build
	$(VENV)/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Existing pins stay unless setup.py excludes them or LOCK_FLAGS=--upgrade is given. By environment markers, one
# lock file serves every platform and every Python from --python-version on.
LOCK = $(VENV_LOCK)/bin/uv pip compile --quiet setup.py --universal --no-config --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock" --extra studies --extra web --extra test $(LOCK_FLAGS)
lock:
	$(call make_venv,$(VENV_LOCK),$(call first_python,$(PYTHON),9,13),PYTHON,3.9 to 3.13,uv==$(UV_VERSION))
	$(LOCK) --extra lint --extra browser --extra docs --python-version 3.10 --output-file requirements/current.txt
	$(LOCK) --extra addons --python-version 3.9 --output-file requirements/addons.txt

clean:
	rm -rf build dist site *.egg-info .cache .pytest_cache .ruff_cache demo_output demo_training_output attack.json
	find . -name __pycache__ -not -path "./.venv*" -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(VENV_ADDONS) $(VENV_LOCK)
