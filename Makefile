# The commands of the project; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
LOCKS := requirements requirements-local requirements-dev requirements-bench

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/local ## the service on 127.0.0.1:8000 with a database and a demo portfolio of its own; Ctrl-C ends it
	@exec $(PY) -m tools.run

.PHONY: stack
stack: .venv/dev ## the service as in production, behind nginx (a system package), with two workers, Valkey and two database roles
	@exec $(PY) -m tools.stack

.PHONY: test
test: .venv/dev ## the whole suite, on TEST_DATABASE_URL or on an embedded PostgreSQL; ARGS="-k history" for a part
	@$(PY) -m pytest $(ARGS)

.PHONY: chaos
chaos: .venv/dev ## faults on a stack under load, and what callers saw of them: [SEED=1] [ROUNDS=3]
	@exec $(PY) -m tools.chaos $(or $(SEED),1) $(or $(ROUNDS),3)

.PHONY: overload
overload: .venv/dev ## what becomes of the stack at twice the load it can serve; wrk is a system package: [ROUNDS=9]
	@$(PY) -m bench.overload $(ROUNDS)

.PHONY: fuzz
fuzz: .venv/dev ## the running service against its contract, by schemathesis: [SEED=1] [EXAMPLES=1000]
	@exec $(PY) -m tools.fuzz $(or $(SEED),1) $(or $(EXAMPLES),1000)

.PHONY: bench
bench: .venv/bench ## the service beside its peers and the floor, and long accounts beside short ones; needs wrk: [PARTS="compare growth limiter stages"] [SIZE=10000000]
	@exec $(PY) -m bench $(SIZE) $(PARTS)

.PHONY: check
check: .venv/dev ## style, types, SQL, migrations, lock files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(PY) -m mypy .
	.venv/bin/sqlfluff lint --disable-progress-bar sql/migrations sql/queries sql/grants.sql
	$(PY) -m tools.check_migrations sql/migrations/*.sql
	@$(MAKE) --no-print-directory check-lock

.PHONY: check-lock
check-lock: .venv/dev
	@for name in $(LOCKS); do \
	  cp $$name.txt .venv/$$name.before && $(call compile,$$name,.venv/$$name.before) || exit 1; \
	  cmp -s $$name.txt .venv/$$name.before || { echo "$$name.txt is not in step with $$name.in: make lock"; exit 1; }; \
	done

.PHONY: lock
lock: .venv/dev ## resolve requirements*.in into requirements*.txt anew; UPGRADE=1 takes newer versions
	@for name in $(LOCKS); do $(call compile,$$name,$$name.txt) $(if $(UPGRADE),--upgrade) || exit 1; done

# The certificates that pip uses too; the index is uv's own setting (UV_DEFAULT_INDEX).
compile = UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--output-file $(2) $(1).in

.PHONY: token
token: .venv/local ## a bearer token: SUB=<user id> [SCOPE=balance-snapshots:write]
	@$(PY) -m tools.token "$(SUB)" $(if $(SCOPE),"$(SCOPE)")

.PHONY: migrate
migrate: .venv/local ## bring the database of DATABASE_URL up to date, or the embedded one
	@$(PY) -m tools.migrate

.PHONY: flask
flask: .venv/local ## a command of the service on the database of DATABASE_URL or the embedded one: CMD="snapshots export --user ..."
	@exec $(PY) -m tools.flask_cli $(CMD)

.PHONY: sql
sql: .venv/local ## run a query of sql/queries with its example and roll back: Q=list_recent_snapshots [SET="limit=3"]
	@$(PY) -m tools.sql run "$(Q)" $(SET)

.PHONY: explain
explain: .venv/local ## show a query's plan: Q=list_recent_snapshots [SET="limit=3"]
	@$(PY) -m tools.sql explain "$(Q)" $(SET)

.PHONY: docs
docs: .venv/dev ## regenerate docs/openapi.json, sql/schema.sql and the tables in docs/*.md from the code
	@$(PY) -m tools.openapi
	@$(PY) -m tools.schema
	@$(PY) -m cogapp -r -I . docs/*.md

.PHONY: clean
clean: ## remove what the commands above made: .venv and .local
	rm -rf .venv .local

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/local: requirements-local.txt | .venv/bin/python
	$(call install,$<)

.venv/bench: requirements-bench.txt .venv/dev | .venv/bin/python
	$(call install,$<)

.venv/dev: requirements-dev.txt | .venv/bin/python
	$(call install,$<)

define install
	@echo "Installing $(1) ..." >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(1)
	@touch $@ $(if $(findstring dev,$@),.venv/local)
endef
