# The commands of the project; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
LOCKS := requirements requirements-local requirements-dev

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/local ## run the service on 127.0.0.1:8000 with its own database and a demo portfolio; Ctrl-C stops it
	@exec $(PY) -m tools.run

.PHONY: stack
stack: $(VENV)/dev ## run the service as in production: nginx (a system package), two workers, Valkey, two database roles
	@exec $(PY) -m tools.stack

.PHONY: test
# Hundreds of processes import the same modules, and would each compile them again without bytecode files.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/dev ## run the tests, on TEST_DATABASE_URL or an embedded PostgreSQL: [ARGS="-k history"]
	@$(PY) -m pytest $(ARGS)

.PHONY: chaos
chaos: $(VENV)/dev ## inject faults into the stack under load and report what callers saw: [SEED=1] [ROUNDS=3]
	@exec $(PY) -m tools.chaos $(or $(SEED),1) $(or $(ROUNDS),3)

.PHONY: overload
overload: $(VENV)/dev ## offer the stack twice the load it can serve, and check that the alerts fire; needs wrk, mtail and prometheus: [ROUNDS=9]
	@$(PY) -m bench.overload $(ROUNDS)

.PHONY: fuzz
fuzz: $(VENV)/dev ## check the running service against its contract with schemathesis: [SEED=1] [EXAMPLES=1000]
	@exec $(PY) -m tools.fuzz $(or $(SEED),1) $(or $(EXAMPLES),1000)

.PHONY: bench
bench: $(VENV)/dev ## benchmark against FastAPI and raw PostgreSQL; needs wrk: [PARTS="compare nginx"] [SIZE=10000000] [ROUNDS=5] [ONLY="year of days"]
	@exec $(PY) -m bench $(PARTS) $(if $(SIZE),--size $(SIZE)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only "$(ONLY)")

.PHONY: fix
fix: $(VENV)/dev ## format the code, and apply the safe lint fixes
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/sqlfluff fix --quiet sql/migrations sql/queries sql/grants.sql

.PHONY: check
check: $(VENV)/dev ## check style, types, SQL, migrations, the contract and lock files
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PY) -m mypy .
	$(VENV)/bin/sqlfluff lint --disable-progress-bar sql/migrations sql/queries sql/grants.sql
	$(PY) -m tools.check_migrations sql/migrations/*.sql
	$(PY) -m openapi_spec_validator docs/openapi.json
	@$(MAKE) --no-print-directory check-lock

.PHONY: check-lock
check-lock: $(VENV)/dev
	@for name in $(LOCKS); do \
	  cp $$name.txt $(VENV)/$$name.before && $(call compile,$$name,$(VENV)/$$name.before) || exit 1; \
	  cmp -s $$name.txt $(VENV)/$$name.before || { echo "$$name.txt is out of date with $$name.in: make lock"; exit 1; }; \
	done

.PHONY: lock
lock: $(VENV)/dev ## resolve requirements*.in into requirements*.txt; UPGRADE=1 takes newer versions
	@for name in $(LOCKS); do $(call compile,$$name,$$name.txt) $(if $(UPGRADE),--upgrade) || exit 1; done

.PHONY: sbom
sbom: $(VENV)/dev ## list the packages of requirements.txt in a CycloneDX document: [SBOM=.local/sbom.json]
	@mkdir -p $(dir $(or $(SBOM),.local/sbom.json))
	@$(PY) -W ignore::UserWarning:cyclonedx.model.bom -m cyclonedx_py requirements requirements.txt \
	  --pyproject pyproject.toml --output-reproducible --output-file $(or $(SBOM),.local/sbom.json)

# uv uses the system's certificates instead of its own. UV_DEFAULT_INDEX sets its package index.
compile = UV_SYSTEM_CERTS=1 $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--output-file $(2) $(1).in

.PHONY: token
token: $(VENV)/local ## print a bearer token: SUB=<user id> [SCOPE=balance-snapshots:write]
	@$(PY) -m tools.mint_token "$(SUB)" $(if $(SCOPE),"$(SCOPE)")

.PHONY: migrate
migrate: $(VENV)/local ## migrate the database of DATABASE_URL, or the embedded one
	@$(PY) -m tools.migrate

.PHONY: flask
flask: $(VENV)/local ## run a command of the service on the database of DATABASE_URL, or the embedded one: CMD="snapshots export --user ..."
	@exec $(PY) -m tools.flask_cli $(CMD)

.PHONY: sql
sql: $(VENV)/local ## run a query of sql/queries with its example parameters, and roll back: Q=list_recent_snapshots [SET="limit=3"]
	@$(PY) -m tools.sql run "$(Q)" $(SET)

.PHONY: explain
explain: $(VENV)/local ## show the plan of a query of sql/queries: Q=list_recent_snapshots [SET="limit=3"]
	@$(PY) -m tools.sql explain "$(Q)" $(SET)

.PHONY: docs
docs: $(VENV)/dev ## regenerate docs/openapi.json, sql/schema.sql and the tables in docs/*.md from the code
	@$(PY) -m tools.openapi
	@$(PY) -m tools.schema
	@$(PY) -m cogapp -r -I . docs/*.md

.PHONY: screenshot
screenshot: $(VENV)/dev ## retake the screenshot in README.md; needs Chromium: [PICTURE=docs/page.png]
	@$(PY) -m tools.screenshot $(PICTURE)

.PHONY: clean
clean: ## remove what these commands made: .venv and .local
	rm -rf $(VENV) .local

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, such as: make run PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/local: requirements-local.txt | $(VENV)/bin/python
	$(call install,$<)

$(VENV)/dev: requirements-dev.txt | $(VENV)/bin/python
	$(call install,$<)

define install
	@echo "Installing $(1) ..." >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(1)
	@touch $@ $(if $(filter %/dev,$@),$(VENV)/local)
endef
