# errc_entry: the tables of errcs do not compile with an errc that has no entry, nor with an entry that says
# nothing; and do as they are, so that it is that what fails. Compiles for syntax only, in a folder of its own.
# Usage: errc_entry_test.py COMPILE_COMMANDS SOURCE...
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

WORDS = "an errc without a proof"
ENTRIES = {  # what stands for an entry, and why it is none
    "of nothing": "{}",
    "without words": '{"", [](witness&) {}, at_this_end{}, nobody}',
    "that provokes nothing": '{"words", nullptr, at_this_end{}, nobody}',
}


def command_for(commands, source):
    """How `source` is compiled, for syntax only."""
    entry = next(each for each in commands if pathlib.Path(each["file"]) == source)
    words = shlex.split(entry["command"])
    while words[0].endswith("ccache"):
        words.pop(0)
    for flag, values in (("-o", 1), ("-c", 1), ("-MF", 1), ("-MT", 1), ("-MD", 0)):
        while flag in words:
            at = words.index(flag)
            del words[at:at + 1 + values]
    return words + ["-fsyntax-only"], entry["directory"]


def compiles(command, source, directory, first=None):
    """Whether it does, with headers of `first` in front of others; and what was said."""
    front = ["-I", str(first)] if first else []
    done = subprocess.run(command[:1] + front + command[1:] + [str(source)], cwd=directory,
                          capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def with_another_errc(root, folder, number):
    """A folder with an errc.hpp of its own, which has one more."""
    text = (root / "codecs/errc.hpp").read_text(encoding="utf-8")
    text, times = re.subn(r"(enum class errc : std::uint16_t \{\n)", rf"\1  made_up = {number},\n", text)
    assert times == 1, "codecs/errc.hpp has another form"
    to = folder / str(number) / "postbus/codecs"
    to.mkdir(parents=True)
    (to / "errc.hpp").write_text(text, encoding="utf-8")
    return folder / str(number)


def main(commands, sources):
    failures = []
    root = sources[0].parents[2]

    def expect(what, good, said):
        print(("ok: " if good else "FAILED: ") + what)
        if not good:
            failures.append(what)
            print(said)

    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        # One number for each table; systems have theirs by name.
        for source, number in zip(sources, (65, 116)):
            command, directory = command_for(commands, source)
            if source == sources[0]:
                done, said = compiles(command, source, directory)
                expect(f"{source.name} compiles as it is", done, said)
            done, said = compiles(command, source, directory,
                                  with_another_errc(root, folder, number))
            expect(f"{source.name} does not with an errc {number} more",
                   not done and WORDS in said and "made_up" in said, said)
        command, directory = command_for(commands, sources[0])
        for name, entry in {"as it should be": '{"words", [](witness&) {}, at_this_end{}, nobody}',
                            **ENTRIES}.items():
            source = folder / "entry.cpp"
            source.write_text('#include "postbus/tests/support/errc_proof.hpp"\n'
                              "namespace postbus::test {\n"
                              f"template <> inline constexpr proof proof_of<errc::closed>{entry};\n"
                              "}\n", encoding="utf-8")
            done, said = compiles(command, source, directory)
            expect(f"an entry {name} " + ("does not compile" if name in ENTRIES else "compiles"),
                   done == (name not in ENTRIES), said)
    return len(failures)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.exit(main(json.load(file), [pathlib.Path(each).resolve() for each in sys.argv[2:]]))
