# `make` lists what can be made. Each target works on a bare checkout of a fresh machine.
PORT ?= 8080
DATA_DIR ?= ./data
PYTHON ?= python3
export PORT DATA_DIR
# Many images set it. Each of the many processes that we start would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin

.PHONY: help run stack fleet test test-fast test-fleet containers host lint chaos cuts bench lock clean

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/run ## serve on PORT (8080) with no other service; files in DATA_DIR (./data)
	@$(BIN)/python manage.py runserver

stack: .venv/dev .venv/packages-stack ## serve on PORT with nginx, uWSGI, PostgreSQL, Redis and Celery, all in DATA_DIR
	@$(BIN)/python deploy/stack.py

fleet: .venv/dev .venv/packages-fleet ## serve on PORT with two web hosts, a worker host and an object store, as root, all in DATA_DIR
	@$(BIN)/python deploy/fleet.py

test: lint .venv/packages-test .venv/node ## lint, type-check and test everything
	$(BIN)/pytest -n 4 --durations=30

test-fast: .venv/dev ## ruff, mypy and the tests that start nothing, in about a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -m "not slow"

containers: .venv/dev .venv/packages-containers ## build the images of docker-compose.yml and test it, in a Docker of its own
	$(BIN)/python -m tests.deployments.isolation $(BIN)/pytest --durations=10 tests/deployments/containers.py

host: .venv/dev .venv/packages-host ## follow deploy/README.md on a fresh Debian in systemd-nspawn, and test it
	$(BIN)/python -m tests.deployments.isolation $(BIN)/pytest --durations=10 tests/deployments/host.py

test-fleet: .venv/dev .venv/packages-fleet ## test what `make fleet` serves, as root
	TEST_PROFILES=fleet $(BIN)/pytest --durations=10 -m dialects tests/surfaces
	$(BIN)/pytest --durations=10 tests/deployments/fleet.py

# In a mount namespace of its own where it may have one, so that no disk is left behind however it ends.
chaos: .venv/dev .venv/packages-$(if $(FLEET),fleet,stack) ## kill parts, fill disks and cut the power under load, audit, print figures; KILLS=200 CUTS=4 SEED= FLEET=
	$$(unshare --mount true 2>/dev/null && echo unshare --mount) $(BIN)/python -m tests.chaos \
		--kills $(or $(KILLS),200) --cuts $(or $(CUTS),4) $(if $(FLEET),--fleet) $(if $(SEED),--seed $(SEED))

cuts: .venv/dev .venv/packages-stack .venv/node ## let real clients resume over a line that breaks CUTS=100 times in each profile, while parts are killed; SEED=
	$(BIN)/python -m tests.surfaces.resumable.cuts --cuts $(or $(CUTS),100) $(if $(SEED),--seed $(SEED))

lint: .venv/dev ## ruff, mypy --strict, import directions, licences and known vulnerabilities of what we depend on
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pip-licenses
	$(BIN)/pip-audit --progress-spinner off --disable-pip --require-hashes -r requirements.txt

bench: .venv/dev .venv/packages-bench ## measure against others, into benchmarks/results; QUICK=1 takes minutes, not an hour
	$(BIN)/python -m benchmarks.copying $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.fetching $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.multipart $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.distance $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.serving $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.fleet $(if $(QUICK),--quick)

lock: .venv/base ## write requirements.txt and requirements-dev.txt anew from pyproject.toml
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --extra production pyproject.toml -o requirements.txt --upgrade
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --extra production --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt --upgrade

clean: ## remove what was installed here; files and database in DATA_DIR stay
	rm -rf .venv benchmarks/.peers

.venv/base:
	deploy/packages build
	$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/base requirements.txt
	$(BIN)/pip install -q --require-hashes -r requirements.txt
	@touch $@

.venv/dev: .venv/base requirements-dev.txt
	$(BIN)/pip install -q --require-hashes -r requirements-dev.txt
	@touch $@ .venv/run

# A client of another make, for tests of resumable uploads. They are skipped where its registry cannot be reached, but
# not in CI.
.venv/node: .venv/packages-test tests/surfaces/resumable/node/package-lock.json
	@mkdir -p $@
	cp tests/surfaces/resumable/node/package.json tests/surfaces/resumable/node/package-lock.json $@
	cd $@ && npm ci --ignore-scripts --no-audit --no-fund --loglevel error || { rm -rf node_modules; test -z "$$CI"; }
	@touch $@

.venv/packages-%: .venv/base deploy/packages
	deploy/packages $*
	@touch $@
