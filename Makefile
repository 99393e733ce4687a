# Each command sets itself up: it makes its virtual environment from a lock file on first use and again when
# that file changes. The machine needs make and a python3 that can make virtual environments.
#
#   PYTHON         interpreter of .venv, 3.10 to 3.13 (several words: the first that fits)
#   PYTHON_ADDONS  interpreter of .venv-addons, 3.9 to 3.11 (TensorFlow 2.15 has no wheels for later ones)
#   PYTEST_FLAGS   added to pytest, e.g. make test PYTEST_FLAGS="-k masks"
#   SERVE_FLAGS    added to make serve, e.g. make serve SERVE_FLAGS=--port=9000
#   WORKERS        test processes side by side, of up to 2 GB each; 0: in pytest's own process
#   LOCK_FLAGS     added to the locker, e.g. make lock LOCK_FLAGS=--upgrade

PYTHON ?= python3 python3.13 python3.12 python3.11 python3.10
PYTHON_ADDONS ?= python3.11 python3.10 python3.9 python3
VENV := .venv
VENV_ADDONS := .venv-addons
VENV_LOCK := .venv-lock
UV_VERSION := 0.13.8
WORKERS ?= 2

# TensorFlow's start-up notices hide the lines that matter; 0 shows them again.
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help environments demo demo-training serve test test-addons test-full test-browser lint format lock wheel bench clean distclean

help:
	@echo "make environments sets both up, which the other targets do when they first need one"
	@echo "make demo         takes objects out of photographs, a minute; pictures in demo_output/"
	@echo "make demo-training trains a small network and scores it, six minutes; in demo_training_output/"
	@echo "make serve        a page in the browser to paint over what should go, and to fill it"
	@echo "make test         linter and tests with the current TensorFlow"
	@echo "make test-addons  the tests with TensorFlow 2.15 and TensorFlow Addons, most commands and the studies left out"
	@echo "make test-full    also the tests that take minutes or need released weights"
	@echo "make test-browser the pages in Chromium, which is installed from Debian's packages"
	@echo "make lint         linter alone;  make format: let it rewrite the files"
	@echo "make bench        timings and memory of this machine"
	@echo "make wheel        build the wheel; result in dist/"
	@echo "make lock         write requirements/*.txt anew from setup.py"
	@echo "make clean        remove what was built;  make distclean: the environments too"

# $(call first_python,CANDIDATES,LOWEST,HIGHEST): the first candidate that is Python 3.LOWEST to 3.HIGHEST and
# has what a virtual environment is made with (Debian keeps ensurepip in a package of its own).
first_python = $(shell for python in $(1); do \
  "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, $(2)) <= sys.version_info[:2] <= (3, $(3)))' \
  </dev/null 2>/dev/null && { echo "$$python"; break; }; done)

# $(call make_venv,FOLDER,PYTHON,VARIABLE,VERSIONS,WHAT): a new FOLDER with WHAT pip is to install.
define make_venv
	@test -n "$(2)" || { echo "error: no Python $(4) with the modules venv and ensurepip among: $($(3));" \
	  "install one (Debian: apt install python3-venv) or name it: make $(MAKECMDGOALS) $(3)=/path/to/python" >&2; exit 1; }
	@echo "setting up $(1) with $(2) and $(5); this can take minutes"
	@"$(2)" -m venv --clear $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(5)
endef

# The stamps come last, so that an interrupted installation starts over.
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
	$(VENV)/bin/python -m inpainting.serve $(SERVE_FLAGS)

# Most of the tests' time is one thread each: starting TensorFlow and tracing graphs. A file's tests stay
# together, as they share models that take seconds to make; tests/conftest.py says which files start first.
PYTEST = -m pytest -n $(WORKERS) --dist=loadfile --no-loadscope-reorder

test: lint
	$(VENV)/bin/python $(PYTEST) $(PYTEST_FLAGS)

test-addons: $(VENV_ADDONS)/.installed
	$(VENV_ADDONS)/bin/python $(PYTEST) $(PYTEST_FLAGS)

test-full: lint
	$(VENV)/bin/python $(PYTEST) -m "" $(PYTEST_FLAGS)

# Of Debian and its kin: elsewhere, install Chromium and chromedriver by hand.
test-browser: $(VENV)/.installed
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$root apt-get update -qq && $$root apt-get install -qq -y --no-install-recommends chromium chromium-driver; }
	$(VENV)/bin/python -m pytest -m browser $(PYTEST_FLAGS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/.installed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.installed
	$(VENV)/bin/python -m benchmarks.hifill --output=benchmarks/results/hifill.json
	$(VENV)/bin/python -m benchmarks.zoom_to_inpaint --output=benchmarks/results/zoom_to_inpaint.json
	$(VENV)/bin/python -m benchmarks.pipeline --output=benchmarks/results/pipeline.json
	$(VENV)/bin/python -m benchmarks.baselines --output=benchmarks/results/baselines.json

# setuptools packs whatever an earlier build left in build/.
wheel: $(VENV)/.installed
	rm -rf build
	$(VENV)/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Existing pins stay unless setup.py rules them out or LOCK_FLAGS=--upgrade. One file serves every
# platform and every Python from the one named on, by environment markers.
LOCK = $(VENV_LOCK)/bin/uv pip compile --quiet setup.py --universal --no-config --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock" --extra studies --extra web --extra test $(LOCK_FLAGS)
lock:
	$(call make_venv,$(VENV_LOCK),$(call first_python,$(PYTHON),9,13),PYTHON,3.9 to 3.13,uv==$(UV_VERSION))
	$(LOCK) --extra lint --extra browser --python-version 3.10 --output-file requirements/current.txt
	$(LOCK) --extra addons --python-version 3.9 --output-file requirements/addons.txt

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache demo_output demo_training_output
	find . -name __pycache__ -not -path "./.venv*" -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(VENV_ADDONS) $(VENV_LOCK)
