# rules: what every source of this project must obey, as functions from a tree to findings.
# A tree is a dict {path from the root: text}, so that rules_test.py can feed them made-up ones.
# Each rule yields (path, line number, what is wrong).
import re

CPP = (".cpp", ".hpp")
CODE = CPP + (".py", ".sh", ".cmake", "CMakeLists.txt")
LINES_MAX = 450
LONGER_ALLOWED = set()  # paths of files that are right to be longer, each with its reason

# The law of the house: what a folder may include of this project. Not listed: everything.
MAY_INCLUDE = {
    "codecs": ("codecs/",),
    "bus": ("codecs/", "bus/"),
    "actors": ("codecs/", "bus/", "actors/"),
    "tools": ("postbus.hpp", "codecs/", "bus/", "actors/", "tools/"),
    "examples": ("postbus.hpp", "codecs/", "bus/", "actors/"),
}

# What lies in the pure folders knows no operating system, thread or clock.
IMPURE_HEADERS = re.compile(
    r"(thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|stop_token"
    r"|sys/(socket|epoll|select|poll|uio|un|time)\.h|netinet/.*|arpa/.*|netdb\.h|poll\.h"
    r"|unistd\.h|fcntl\.h|pthread\.h|time\.h|asio.*|boost/asio.*|caf/.*)$")
IMPURE_TOKENS = re.compile(
    r"::now\s*\(|\bclock_gettime\b|\bgettimeofday\b|\btime\s*\(\s*(nullptr|NULL|0)\s*\)"
    r"|\bstd::(jthread|thread|mutex|timed_mutex|recursive_mutex|shared_mutex|condition_variable\w*"
    r"|lock_guard|unique_lock|scoped_lock|async|this_thread)\b"
    r"|(?<!\w)::(socket|connect|accept|bind|recv|send|poll)\s*\(")
LOCKS_ALLOWED = {"codecs/chunk_pool.cpp"}  # chunks are given back on any thread
LOCKS = re.compile(r"^mutex$|^std::(mutex|lock_guard|unique_lock|scoped_lock)$")

_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r'|R"(?P<tag>[^(\s"]*)\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def folder(path):
    return path.split("/")[0]


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def without(text, strings):
    """`text` with comments and raw strings, and other strings if asked to, made blank; every line
    stays where it is."""
    def blank(match):
        token = match.group()
        if not strings and token[0] in "\"'":
            return token
        return re.sub(r"[^\n]", " ", token)
    return _TOKEN.sub(blank, text)


def only(tree, endings, start=""):
    return ((p, t) for p, t in sorted(tree.items()) if p.endswith(endings) and p.startswith(start))


def includes(text):
    """Each included header: line, "<" or a quote, name."""
    code = without(text, strings=False)
    for match in _INCLUDE.finditer(code):
        yield line_of(code, match.start()), match.group(1), match.group(2)


def matches(pattern, text):
    return ((line_of(text, m.start()), m.group()) for m in re.finditer(pattern, text))


# -- rules --------------------------------------------------------------------------------------------


def include_law(tree):
    """A folder includes itself and folders to its left, always as postbus/<folder>/<file>."""
    for path, text in only(tree, CPP):
        for line, quote, name in includes(text):
            ours = name.startswith("postbus/")
            allowed = MAY_INCLUDE.get(folder(path))
            if allowed is not None and ours and not name[len("postbus/"):].startswith(allowed):
                yield path, line, f"{folder(path)}/ may not include {name}"
            elif name.startswith(".") or (quote == '"' and not ours):
                yield path, line, f'"{name}" does not begin with postbus/'


def third_parties(tree):
    """CAF is seen by one header, Asio by the sources of actors/, msgpack-c by codecs/."""
    for path, text in only(tree, CPP):
        free = folder(path) in ("tests", "bench")  # peers and measurements may use anything but CAF
        for line, _, name in includes(text):
            if name.startswith("caf/") and path != "actors/caf.hpp":
                yield path, line, f"<{name}> belongs in actors/caf.hpp"
            in_actors = folder(path) == "actors" and path.endswith(".cpp") or path == "actors/asio.hpp"
            if re.match(r"asio(/|\.hpp)", name) and not (free or in_actors):
                yield path, line, f"<{name}> belongs in actors/*.cpp and actors/asio.hpp"
            if re.match(r"msgpack(/|\.hpp)", name) and not (free or folder(path) == "codecs"):
                yield path, line, f"<{name}> belongs in codecs/"
        if path != "actors/caf.hpp":
            for line, token in matches(r"\bCAF_(MAJOR_|MINOR_|PATCH_)?VERSION\b", without(text, True)):
                yield path, line, f"{token} is asked for in actors/caf.hpp only"


def pure_core(tree):
    """codecs/ and bus/ know no socket, clock, thread or lock."""
    for path, text in only(tree, CPP, ("codecs/", "bus/")):
        found = [(line, name) for line, _, name in includes(text) if IMPURE_HEADERS.match(name)]
        found += matches(IMPURE_TOKENS, without(text, strings=True))
        for line, what in found:
            if not (path in LOCKS_ALLOWED and LOCKS.match(what)):
                yield path, line, f"{what.strip()} has no place in {folder(path)}/"


def no_sleeping(tree):
    """Tests wait for events with a deadline; they never sleep."""
    for path, text in only(tree, CPP, "tests/"):
        for line, what in matches(r"\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(",
                                  without(text, strings=True)):
            yield path, line, f"{what}) in a test"
    for path, text in only(tree, (".py", ".sh"), "tests/"):
        if folder(path[len("tests/"):]) != "style":  # where the word is written about
            pattern = r"\bsleep\s*\(" if path.endswith(".py") else r"(?m)^[^#\n]*\bsleep\s+[\d$\"]"
            for line, _ in matches(pattern, text):
                yield path, line, "sleeping in a test"


def headers(tree):
    """A file opens with a comment; a header's first directive is #pragma once, and it uses no namespace.

    A source that opens with its own header is described there."""
    for path, text in only(tree, CPP):
        own = '#include "postbus/' + re.sub(r"\.cpp$", ".hpp", path) + '"'
        if not text.startswith("// ") and not text.startswith(own):
            yield path, 1, "does not open with a // comment that says what it is"
        if path.endswith(".hpp"):
            code = without(text, strings=True)
            first = re.search(r"^[ \t]*(#.*\S|\S.*)", code, re.M)
            if not first or first.group(1) != "#pragma once":
                yield path, line_of(code, first.start()) if first else 1, "#pragma once does not come first"
            for line, _ in matches(r"(?m)^(?:inline )?\s{0,1}using namespace\b", code):
                yield path, line, "using namespace in a header"


# A quote in a document is the text between two equal marks of a compiled file,
#     // [hello]
#     ...
#     // [hello]
# or a whole file, named in a comment on the line before the block:
#     <!-- example: examples/01_hello.cpp [hello] -->      or      <!-- example: examples/01_hello.cpp -->
_BLOCK = re.compile(r"(?m)^(?P<fence>```+)cpp[^\n]*\n(?P<body>(?s:.*?))^(?P=fence)[ \t]*$")
_QUOTED = re.compile(r"^\s*<!-- example: (?P<path>\S+?)(?: \[(?P<mark>[^\]]+)\])? -->\s*$")


def quoted(tree, path, mark):
    """What a quote must say, or None."""
    text = tree.get(path)
    if text is None or mark is None:
        return text
    parts = re.split(rf"(?m)^[ \t]*// \[{re.escape(mark)}\][ \t]*\n", text)
    if len(parts) != 3:
        return None
    lines = parts[1].splitlines()
    indent = min((len(l) - len(l.lstrip()) for l in lines if l.strip()), default=0)
    return "".join(l[indent:] + "\n" for l in lines)


def quotes(tree):
    """Code in documents is code that is compiled and run."""
    for path, text in tree.items():
        if path != "README.md" and not re.fullmatch(r"docs/.*\.md", path):
            continue
        for match in _BLOCK.finditer(text):
            line = line_of(text, match.start())
            source = _QUOTED.match(text[:match.start()].removesuffix("\n").split("\n")[-1])
            if not source:
                if path == "README.md":
                    yield path, line, "a cpp block without <!-- example: path --> before it"
                continue
            expected = quoted(tree, source["path"], source["mark"])
            if expected is None:
                yield path, line, f"there is no {source['path']}, or no such region in it"
            elif expected.strip("\n") != match["body"].strip("\n"):
                yield path, line, f"differs from {source['path']}"


def tests_run(tree):
    """What is not called as tests/CMakeLists.txt expects would never be run."""
    for path, text in only(tree, CPP, "tests/"):
        if not path.endswith("_test.cpp"):
            for line, _ in matches(r"(?m)^[ \t]*(TEST_CASE|TEST_SUITE|SCENARIO)\w*\s*\(", without(text, True)):
                yield path, line, "a test in a file that is not called <name>_test.cpp"
    for path in tree:
        if re.fullmatch(r"tests/fuzz/[^/]+\.cpp", path) and not path.endswith("_fuzz.cpp"):
            yield path, 1, "a fuzz target is called <name>_fuzz.cpp"


def short_files(tree):
    for path, text in only(tree, CODE):
        lines = text.count("\n")
        if lines > LINES_MAX and path not in LONGER_ALLOWED:
            yield path, lines, f"{lines} lines; {LINES_MAX} is where a file is two things"


_LEFT_UNDONE = r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b"  # in pieces, or this file would be found


def nothing_left_undone(tree):
    for path, text in sorted(tree.items()):
        for line, what in matches(_LEFT_UNDONE, text):
            yield path, line, what


RULES = [include_law, third_parties, pure_core, no_sleeping, headers, quotes, tests_run,
         short_files, nothing_left_undone]
