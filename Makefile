# Two commands do everything: `make demo` and `make test`. What they need they install into .venv.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder  # tests of one file share what they have trained

STUDY := runs/study
DATA := cifar10
ARMS := baseline teacher netaug distill netaug_distill dropout mixup randaugment baseline_double_lr

.PHONY: help demo study test test-all documented-commands reference docs firmware-tools browser lock clean
help:
	@echo "make demo            train the digits demo, export it for an STM32F746, print the report"
	@echo "make study           the study of docs/training-methods.md (hours; typed again it goes on); DATA=folder:PATH for other images"
	@echo "make test            formatter, linter, type checker, and the tests of every behaviour (15 minutes)"
	@echo "make test-all        the same and the long tests: whole trainings, kill and resume, every architecture (40 minutes)"
	@echo "make documented-commands  run every command of README.md, docs and firmware (an hour); PAGE=README for one page"
	@echo "make reference       write docs/reference.md again from the code"
	@echo "make docs            the site of README.md, docs and firmware in build/site"
	@echo "make firmware-tools  what the firmware tests need from Debian: compiler, emulator, flasher, CMake"
	@echo "make browser         what the tests of reports need from Debian: Chromium"
	@echo "make lock            write requirements.lock again from pyproject.toml"

demo: .venv/installed
	rm -rf $(DEMO)
	$(BIN)/tinytrain fit configs/digits.toml --mcu stm32f746 --out $(DEMO)
	$(BIN)/tinytrain export $(DEMO) --mcu stm32f746

study: .venv/installed
	$(BIN)/tinytrain compare $(ARMS:%=configs/study/%.toml) --data $(DATA) --seeds 3 --out $(STUDY) \
	  distill.teacher=$(STUDY)/teacher/$(notdir $(DATA:folder:%=%))/seed{seed}

test: TESTS := -m "not long"
test test-all: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest $(WORKERS) $(TESTS)

documented-commands: .venv/installed
	$(BIN)/python docs/commands/documented_commands.py $(PAGE:%=--page %)

reference: .venv/installed
	$(BIN)/python docs/site/reference_page.py

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/site/mkdocs.yml

firmware-tools:
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get update -q
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get install -y -q --no-install-recommends \
	  gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm openocd cmake

browser:
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get update -q
	$(if $(filter 0,$(shell id -u)),,sudo) apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "tinytrain needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) --version): make PYTHON=python3.11 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip uninstall --quiet --quiet --yes tinytrain  # as this project was called before 0.2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --extra dev --extra cpu --extra docs pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv build dist runs
