# Two commands: `make demo` shows a whole day, `make test` runs the tests. Each sets up what it needs by itself.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format zoo lock clean

PYTHON ?=
VENV ?= .venv
DATE ?=
SEED ?=
STORE ?=
SOURCE ?=
GENERATOR ?=
DATA ?=
SET ?=
FRESH ?=
HOME_FOLDER ?=
TESTS ?=
export PYTHON VENV MAKECMDGOALS
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH
# Nothing of a surrounding environment reaches the tools; their own folder comes first (Spark looks for python and java there).
export PATH := $(abspath $(VENV))/bin:$(PATH)
export USER_JAVA_HOME := $(JAVA_HOME)
export JAVA_HOME = $(abspath $(VENV))/icg-java
export GX_ANALYTICS_ENABLED = False
export HF_HUB_OFFLINE ?= 1

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup:
	@infra/bootstrap.sh

demo: setup  ## one whole day on the embedded world: [DATE=2026-03-10] [SEED=7] [GENERATOR=pigeon | icg,pigeon] [STORE=s3] [SOURCE=classics DATA=folder] [SET="section.field=value …"] [FRESH=1]
	@exec $(VENV)/bin/python -m infra.demo $(if $(DATE),--date $(DATE)) $(if $(SEED),--seed $(SEED)) $(if $(STORE),--store $(STORE)) \
	  $(if $(SOURCE),--source $(SOURCE)) $(if $(GENERATOR),--generator $(GENERATOR)) $(if $(DATA),--data "$(DATA)") $(if $(HOME_FOLDER),--home "$(HOME_FOLDER)") \
	  $(foreach item,$(SET),--set "$(item)") $(if $(FRESH),--fresh)

test: setup  ## every fast test: units, contracts, Dag, a small day
	@exec $(VENV)/bin/python -m pytest -m "not slow" $(TESTS)

test-slow: setup  ## whole days through real Airflow, real S3 servers (about an hour)
	@exec $(VENV)/bin/python -m pytest -m slow $(TESTS)

lint: setup  ## ruff, mypy --strict, import-linter; checks only
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports

format: setup  ## let ruff rewrite what it can
	@$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

zoo: setup  ## train the shipped tiny stack again (resumable, hours on two cores, minutes on a GPU)
	@exec $(VENV)/bin/python -m zoo.recipe $(ARGUMENTS)

lock: setup  ## recompute constraints.txt from pyproject.toml
	@infra/lock.sh

clean:  ## remove what demo and tests made; keeps the virtual environment and the zoo's training state
	@rm -rf .demo .cache/work .cache/pytest .cache/mypy .cache/import_linter spark-warehouse metastore_db derby.log
