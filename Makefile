# The commands people type. Each installs what is missing, builds what has changed, and runs.
# Builds lie in build/<preset>; CMakePresets.json says what each preset is.
#   JOBS=n          processes at a time (default: all cores)
#   WERROR=ON       warnings in our own code end the build
#   FUZZ_SECONDS=n  how long `make fuzz` runs each target
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
SOURCES = find codecs bus actors tools examples bench tests postbus.hpp \
          -name '*.cpp' -o -name '*.hpp'

configure = $(if $(WERROR),cmake --preset $(1) -DPOSTBUS_WERROR=$(WERROR),\
              test -e build/$(1)/build.ninja || cmake --preset $(1))

.DEFAULT_GOAL := help
.PHONY: demo test asan tsan fuzz format tidy bench install clean help

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

asan: ## Every test under AddressSanitizer and UndefinedBehaviorSanitizer.
	@scripts/install-deps build
	@$(call configure,asan)
	@cmake --build build/asan -j $(JOBS)
	@ctest --preset asan -j $(JOBS)

tsan: ## Every test under ThreadSanitizer; needs a CAF built with -fsanitize=thread (CAF_ROOT=...).
	@scripts/install-deps build
	@$(call configure,tsan)
	@cmake --build build/tsan -j $(JOBS)
	@ctest --preset tsan -j $(JOBS)

fuzz: ## Every fuzz target for FUZZ_SECONDS, starting from the corpus.
	@scripts/install-deps build check
	@cmake --preset fuzz -DPOSTBUS_FUZZ_SECONDS=$(FUZZ_SECONDS)
	@cmake --build build/fuzz -j $(JOBS)
	@ctest --preset fuzz -j $(JOBS)

format: ## Formats our sources in place.
	@scripts/install-deps check
	@$(SOURCES) | xargs clang-format -i

tidy: ## clang-tidy over our sources; findings are errors.
	@scripts/install-deps build check
	@$(call configure,clang)
	@scripts/tidy build/clang $(JOBS)

bench: ## Builds the benchmarks: build/release/bench/.
	@scripts/install-deps build
	@$(call configure,release)
	@cmake --build build/release -j $(JOBS)
	@ls build/release/bench/bench_*

install: ## Installs libraries, headers, CMake package and tool into PREFIX.
	@scripts/install-deps build
	@$(call configure,release)
	@cmake --build build/release -j $(JOBS)
	@cmake --install build/release --prefix "$(PREFIX)"

clean: ## Removes every build.
	rm -rf build
