# `make up` runs the server, `make test` passes every test. Python 3.11 with venv and pip is all they need.

PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: up test check fmt lock install

up: .venv/installed-runtime
	@exec $(BIN)/python manage.py up

test: .venv/installed-dev check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Everything that is not a test: lint, types, layers, migrations, the OpenAPI file, production's settings.
check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=janserver.settings.test $(BIN)/python manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=janserver.settings.test $(BIN)/python manage.py spectacular --validate --fail-on-warn --format openapi-json --file docs/openapi.json
	@git diff --exit-code -- docs/openapi.json || (echo "docs/openapi.json was not current: commit it."; exit 1)

fmt: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/installed-dev
	for name in requirements requirements-dev requirements-saml; do \
	  $(BIN)/uv pip compile -q $$name.in -o $$name.txt --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header; \
	done

.venv/bin/uv: deploy/uv.txt
	@echo "Making a virtual environment …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/uv.txt
	@touch $@

# uv is quick; where it cannot reach what pip is set up for, pip does the same more slowly.
.venv/installed-%: .venv/bin/uv requirements.txt requirements-dev.txt
	@echo "Installing what Jan Server needs (once, about a minute) …"
	@$(BIN)/uv pip install --require-hashes -r $(if $(filter dev,$*),requirements-dev.txt,requirements.txt) \
	  || $(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r $(if $(filter dev,$*),requirements-dev.txt,requirements.txt)
	@touch $@
