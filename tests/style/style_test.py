# style_test: applies the rules of rules.py to the whole tree.
# Run: python3 style_test.py ROOT
import os
import sys

from rules import RULES, CPP

FOLDERS = ("codecs", "bus", "actors", "tools", "examples", "tests", "bench", "cmake", "docs",
           "scripts", ".ci")
TEXT = CPP + (".py", ".sh", ".md", ".cmake", ".in", ".txt")


def read(root):
    tree = {}
    names = [name for name in os.listdir(root) if os.path.isfile(os.path.join(root, name))]
    for start in FOLDERS:
        for where, folders, files in os.walk(os.path.join(root, start)):
            folders[:] = [f for f in folders if f not in ("__pycache__", "corpus")]
            names += [os.path.relpath(os.path.join(where, f), root) for f in files]
    for name in names:
        if name.endswith(TEXT) or name in ("Makefile", ".ci/run") or name.startswith("scripts/"):
            with open(os.path.join(root, name), encoding="utf-8") as file:
                tree[name] = file.read()
    return tree


def main():
    tree = read(sys.argv[1])
    if not any(path.startswith("codecs/") for path in tree):
        sys.exit(f"{sys.argv[1]} is not the root of the project")
    findings = [(path, line, rule.__name__, what)
                for rule in RULES for path, line, what in rule(tree)]
    for path, line, rule, what in sorted(findings):
        print(f"{path}:{line}: {rule}: {what}")
    print(f"{len(tree)} files, {len(RULES)} rules, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
