# One entry for everything. `make ci` is all that CI runs, except the README's test command.
PYTHON ?= python

.PHONY: check test slow fix golden schemas sample bench elsewhere ci

check: ## lint, types, layers
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	lint-imports

test: ## all tests except the slow ones
	$(PYTHON) -m pytest

slow: ## seeded simulations and soaks; files without one are not even imported
	$(PYTHON) -m pytest -m slow $$(grep -rl --include='*.py' 'mark\.slow' tests)

fix: ## correct what a tool can correct
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

golden: ## rewrite the expected command-line output; read the diff
	EVALH_GOLDEN=write $(PYTHON) -m pytest tests/cli tests/docs

schemas: ## rewrite schemas/ from the models that read the files
	EVALH_GOLDEN=write $(PYTHON) -m pytest -n 0 tests/unit/test_schemas.py tests/cli/test_document_schemas.py

sample: ## rewrite reports/sample.html from recorded answers
	PYTHONPATH=tests $(PYTHON) tests/sample.py

bench: ## speed and memory; prints, never fails
	$(PYTHON) benchmarks/throughput.py

elsewhere: ## nightly: MLflow, W&B and Inspect read what we export; makes an environment of 700 MB
	$(PYTHON) benchmarks/elsewhere.py

ci: check slow
	evalh check
