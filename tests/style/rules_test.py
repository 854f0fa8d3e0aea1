# rules_test: feeds each rule of rules.py what it must find and what it must leave alone.
# A rule that never fires proves nothing, so every one has to appear in BAD.
import sys

import rules

OPENING = "// thing: a thing.\n"
HEADER = OPENING + "#pragma once\n"
QUOTE = "<!-- example: examples/01_a.cpp [x] -->\n```cpp\n%s\n```\n"
WHOLE = "one();\n\nif (two)\n  three();"
EXAMPLE = "// a: an example.\nint main() {\n  // [x]\n  one();\n\n  if (two)\n    three();\n  // [x]\n}\n"


def cpp(body):
    return OPENING + body


# rule, tree with one fault, line of the fault
BAD = [
    (rules.include_law, {"codecs/a.cpp": cpp('#include "postbus/bus/time.hpp"\n')}, 2),
    (rules.include_law, {"bus/a.cpp": cpp("#include <postbus/actors/node.hpp>\n")}, 2),
    (rules.include_law, {"bus/a.cpp": cpp('#include "postbus/postbus.hpp"\n')}, 2),
    (rules.include_law, {"actors/a.cpp": cpp('#include "postbus/tools/options.hpp"\n')}, 2),
    (rules.include_law, {"actors/a.cpp": cpp('#include "node.hpp"\n')}, 2),
    (rules.include_law, {"examples/01_a.cpp": cpp("#include <../bus/time.hpp>\n")}, 2),
    (rules.include_law, {"examples/01_a.cpp": cpp("#include <postbus/tests/support/a.hpp>\n")}, 2),
    (rules.include_law, {"tools/a.cpp": cpp('/*\n#include "a.hpp" */\n#include "b.hpp"\n')}, 4),
    (rules.third_parties, {"actors/node.hpp": cpp("#include <caf/all.hpp>\n")}, 2),
    (rules.third_parties, {"tests/actors/a_test.cpp": cpp("#include <caf/all.hpp>\n")}, 2),
    (rules.third_parties, {"actors/a.cpp": cpp("#if CAF_MAJOR_VERSION > 0\n#endif\n")}, 2),
    (rules.third_parties, {"actors/a.cpp": cpp("#if CAF_VERSION > 1\n#endif\n")}, 2),
    (rules.third_parties, {"actors/loop.hpp": cpp("#include <asio/io_context.hpp>\n")}, 2),
    (rules.third_parties, {"tools/a.cpp": cpp("#include <asio.hpp>\n")}, 2),
    (rules.third_parties, {"bus/a.cpp": cpp("#include <msgpack.hpp>\n")}, 2),
    (rules.pure_core, {"bus/a.cpp": cpp("#include <thread>\n")}, 2),
    (rules.pure_core, {"bus/a.cpp": cpp("#include <mutex>\n")}, 2),
    (rules.pure_core, {"codecs/a.cpp": cpp("#include <sys/socket.h>\n")}, 2),
    (rules.pure_core, {"codecs/a.cpp": cpp("auto t = std::chrono::steady_clock::now();\n")}, 2),
    (rules.pure_core, {"bus/a.hpp": cpp("\nstd::lock_guard held(lock);\n")}, 3),
    (rules.pure_core, {"bus/a.cpp": cpp("auto s = ::socket(1, 2, 3);\n")}, 2),
    (rules.pure_core, {"codecs/chunk_pool.cpp": cpp("std::thread t;\n")}, 2),
    (rules.pure_core, {"codecs/a.cpp": cpp("auto n = 1'000; auto t = steady_clock::now(); auto m = 2'000;\n")}, 2),
    (rules.no_sleeping, {"tests/bus/a_test.cpp": cpp("std::this_thread::sleep_for(1s);\n")}, 2),
    (rules.no_sleeping, {"tests/bus/a_test.cpp": cpp("sleep_until(then);\n")}, 2),
    (rules.no_sleeping, {"tests/support/a.hpp": cpp("usleep (3);\n")}, 2),
    (rules.no_sleeping, {"tests/actors/a_test.cpp": cpp("::sleep(3);\n")}, 2),
    (rules.no_sleeping, {"tests/tool/a_test.py": "import time\ntime.sleep(1)\n"}, 2),
    (rules.no_sleeping, {"tests/tool/a_test.sh": "true\nsleep 1\n"}, 2),
    (rules.headers, {"bus/a.hpp": "#pragma once\n"}, 1),
    (rules.headers, {"bus/a.cpp": "#include <string>\n"}, 1),
    (rules.headers, {"bus/a.hpp": cpp("#include <string>\n#pragma once\n")}, 2),
    (rules.headers, {"bus/a.hpp": cpp("int a;\n")}, 2),
    (rules.headers, {"bus/a.hpp": cpp("// #pragma once\n")}, 1),
    (rules.headers, {"bus/a.hpp": HEADER + "using namespace std;\n"}, 3),
    (rules.quotes, {"README.md": "Look:\n\n```cpp\nint a;\n```\n"}, 3),
    (rules.quotes, {"README.md": "```cpp\nint a;\n```\n"}, 1),
    (rules.quotes, {"README.md": QUOTE % "one();"}, 2),
    (rules.quotes, {"README.md": QUOTE % "one();", "examples/01_a.cpp": EXAMPLE}, 2),
    (rules.quotes, {"docs/DESIGN.md": QUOTE % "one();", "examples/01_a.cpp": EXAMPLE}, 2),
    (rules.quotes, {"docs/DESIGN.md": QUOTE % "", "examples/01_a.cpp": EXAMPLE.replace("// [x]", "", 1)}, 2),
    (rules.quotes, {"docs/DESIGN.md": QUOTE % "one();" + "\n" + QUOTE % WHOLE, "examples/01_a.cpp": EXAMPLE}, 2),
    (rules.quotes, {"README.md": QUOTE % WHOLE + "```cpp\nint a;\n```\n" + QUOTE % WHOLE,
                    "examples/01_a.cpp": EXAMPLE}, 8),
    (rules.quotes, {"README.md": "<!-- example: bus/a.hpp -->\n```cpp\nint a;\n```\n", "bus/a.hpp": HEADER}, 2),
    (rules.tests_run, {"tests/bus/session.cpp": cpp('TEST_CASE("a thing is a thing") {\n}\n')}, 2),
    (rules.tests_run, {"tests/fuzz/frame.cpp": OPENING}, 1),
    (rules.short_files, {"bus/a.cpp": cpp("int a;\n" * 450)}, 451),
    (rules.short_files, {"tests/tool/a_test.py": "a = 1\n" * 451}, 451),
    (rules.nothing_left_undone, {"bus/a.cpp": cpp("int a; // TO" "DO(me): more\n")}, 2),
    (rules.nothing_left_undone, {"docs/DESIGN.md": "FIX" "ME\n"}, 1),
    (rules.nothing_left_undone, {"scripts/a": "# X" "XX\n"}, 1),
]

# What lies close to a fault and is none, for every rule.
GOOD = [
    {"codecs/a.hpp": HEADER + '#include "postbus/codecs/b.hpp"\n#include <msgpack.hpp>\n#include <string>\n'},
    {"codecs/chunk_pool.cpp": cpp("#include <mutex>\nstd::mutex lock;\nstd::lock_guard held(lock);\n")},
    {"bus/a.cpp": cpp('// std::mutex, steady_clock::now() and #include <thread> are not for us\nauto s = "::now()";\n')},
    {"bus/a.cpp": cpp('auto s = R"(\n#include "x.hpp"\nstd::thread)"; char c = \'"\'; // "\nauto t = now(); a.send(b); x::send(c);\n')},
    {"bus/a.hpp": HEADER + "#include <chrono>\nusing time_point = std::chrono::steady_clock::time_point;\n"},
    {"actors/caf.hpp": HEADER + "#include <caf/all.hpp>\n#if CAF_MAJOR_VERSION > 0\n#endif\n"},
    {"actors/asio.hpp": HEADER + "#include <asio/io_context.hpp>\n"},
    {"actors/a.cpp": cpp('#include "postbus/actors/a.hpp"\n\n#include <asio.hpp>\n#include <thread>\n')},
    {"actors/a.cpp": cpp("void f() {\n  using namespace std::chrono_literals;\n  clock::now();\n}\n")},
    {"actors/a.hpp": HEADER + "inline void f() {\n  using namespace std::chrono_literals;\n}\n"},
    {"tools/a.cpp": cpp('#include "postbus/tools/options.hpp"\n#include <postbus/postbus.hpp>\n#include <CLI/CLI.hpp>\n')},
    {"tests/bus/a_test.cpp": cpp("// never sleep_for(1s)\nsleeper.wake(); asleep(3);\n#include <asio.hpp>\n")},
    {"tests/bus/a_test.cpp": cpp('TEST_CASE("b") {\n}\n'), "tests/bus/b.cpp": cpp("// TEST_CASE()\n")},
    {"tests/tool/a_test.py": "event.wait(5)\nsleeping = 1\n"},
    {"actors/a.cpp": cpp("std::this_thread::sleep_for(1s);\n")},
    {"README.md": QUOTE % WHOLE + QUOTE % WHOLE, "examples/01_a.cpp": EXAMPLE},
    {"README.md": "<!-- example: bus/a.hpp -->\n```cpp\n" + HEADER + "```\n\n```sh\nmake\n```\n", "bus/a.hpp": HEADER},
    {"docs/DESIGN.md": "```cpp\nphase next;\n```\n"},
    {"bus/a.cpp": cpp("int a;\n" * 449), "docs/PROTOCOL.md": "a\n" * 900},
    {"tests/tool/a_test.sh": 'mktemp -d "${TMPDIR:-/tmp}/XXXXXX"\n'},
]


def main():
    wrong = []
    for rule, tree, line in BAD:
        found = list(rule(tree))
        if len(found) != 1 or found[0][1] != line:
            wrong.append(f"{rule.__name__} should find line {line} alone of {tree}, but found {found}")
    for tree in GOOD:
        for rule in rules.RULES:
            found = list(rule(tree))
            if found:
                wrong.append(f"{rule.__name__} should leave {tree} alone, but found {found}")
    for rule in rules.RULES:
        if not any(rule is bad for bad, _, _ in BAD):
            wrong.append(f"{rule.__name__} has never been seen to fire")
    for text in wrong:
        print(text)
    print(f"{len(BAD)} faults, {len(GOOD)} sound trees, {len(wrong)} wrong answers")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
