# The commands people type. Each installs what is missing, builds what has changed, and runs.
# Builds lie in build/<preset>; CMakePresets.json says what each preset is.
#   JOBS=n          processes at a time (default: all cores)
#   WERROR=ON       warnings in our own code end the build
#   FUZZ_SECONDS=n  how long `make fuzz` runs each target
#   BENCH=options   for `make bench`: docs/BENCHMARKS.md
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
SOURCES = find codecs bus actors tools examples bench tests postbus.hpp \
          -name '*.cpp' -o -name '*.hpp'

configure = $(if $(WERROR),cmake --preset $(1) -DPOSTBUS_WERROR=$(WERROR),\
              test -e build/$(1)/build.ninja || cmake --preset $(1))

.DEFAULT_GOAL := help
.PHONY: demo test long asan tsan fuzz corpus format tidy bench install clean help

help: ## This list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: ## The main job, shown: two nodes, their events, a few messages, a measured burst.
	@scripts/install-deps build
	@$(call configure,release)
	@cmake --build build/release -j $(JOBS) --target postbus_tool
	@build/release/tools/postbus demo

test: ## Every test, on the Release build.
	@scripts/install-deps build
	@$(call configure,release)
	@cmake --build build/release -j $(JOBS)
	@ctest --preset release -j $(JOBS)

long: ## The tests of actors and tool with POSTBUS_LONG_TESTS=1: minutes.
	@scripts/install-deps build
	@$(call configure,release)
	@cmake --build build/release -j $(JOBS)
	@POSTBUS_LONG_TESTS=1 ctest --preset release -L "actors|tool" -j $(JOBS)

asan: ## Every test under AddressSanitizer and UndefinedBehaviorSanitizer.
	@scripts/install-deps build
	@$(call configure,asan)
	@cmake --build build/asan -j $(JOBS)
	@ctest --preset asan -j $(JOBS)

tsan: ## Every test that has threads under ThreadSanitizer, with a CAF that is built with it (or CAF_ROOT=...).
	@scripts/install-deps build check
	@caf=$${CAF_ROOT:-$$(scripts/tsan-caf)} && \
	  cmake --preset tsan -U 'CAF_*' -DCAF_ROOT="$$caf" $(if $(WERROR),-DPOSTBUS_WERROR=$(WERROR))
	@cmake --build build/tsan -j $(JOBS) --target codecs_test actors_test postbus_tool examples
	@ctest --preset tsan -j $(JOBS)

fuzz: ## Every fuzz target for FUZZ_SECONDS, starting from the corpus.
	@scripts/install-deps build check
	@cmake --preset fuzz -DPOSTBUS_FUZZ_SECONDS=$(FUZZ_SECONDS)
	@cmake --build build/fuzz -j $(JOBS)
	@ctest --preset fuzz -j $(JOBS)

corpus: ## Takes into tests/fuzz/corpus, minimised, what `make fuzz` found.
	@scripts/install-deps build check
	@$(call configure,fuzz)
	@cmake --build build/fuzz -j $(JOBS)
	@scripts/fuzz-corpus

format: ## Formats our sources in place.
	@scripts/install-deps check
	@$(SOURCES) | xargs clang-format -i

tidy: ## clang-tidy over our sources; findings are errors.
	@scripts/install-deps build check
	@$(call configure,clang)
	@scripts/tidy build/clang $(JOBS)

bench: ## Measures it beside raw TCP and ZeroMQ: one table, minutes. BENCH="--only ping" for less.
	@scripts/install-deps build bench
	@cmake --preset release $(if $(WERROR),-DPOSTBUS_WERROR=$(WERROR)) >/dev/null
	@cmake --build build/release -j $(JOBS) --target bench
	@python3 bench/run.py build/release/bench --json build/bench.json $(BENCH)

install: ## Installs libraries, headers, CMake package and tool into PREFIX.
	@scripts/install-deps build
	@$(call configure,release)
	@cmake --build build/release -j $(JOBS)
	@cmake --install build/release --prefix "$(PREFIX)"

clean: ## Removes every build.
	rm -rf build
