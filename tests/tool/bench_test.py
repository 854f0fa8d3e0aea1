# bench: that every benchmark runs, in seconds, and its table is whole. No figure is asserted: `make bench`
# measures, on a machine that does nothing else.
# ctest-timeout: 300
import json
import os
import re
import subprocess
import sys
import unittest

from _tool import Case, TOOL, main

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(TOOL))), "bench")
CACHE = os.path.join(os.path.dirname(PROGRAMS), "CMakeCache.txt")


def wanted():
    """Whether this build is one with benchmarks. Then they must be there, too."""
    if not os.path.exists(CACHE):
        return False
    with open(CACHE, encoding="utf-8") as lines:
        return any(line.strip() == "POSTBUS_BENCH:BOOL=ON" for line in lines)


@unittest.skipUnless(wanted(), "a build without benchmarks")
class Bench(Case):
    def start_bench(self, *options):
        return subprocess.run([sys.executable, os.path.join(ROOT, "bench", "run.py"), PROGRAMS, *options],
                              capture_output=True, text=True, timeout=280, check=False)

    def run_bench(self, *options):
        run = self.start_bench(*options)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run.stdout

    def test_every_task_runs_and_the_table_and_the_file_are_whole(self):
        file, document = self.path("figures.json"), self.path("table.md")
        with open(document, "w", encoding="utf-8") as out:
            out.write("before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n")
        text = self.run_bench("--quick", "--json", file, "--markdown", document)
        with open(file, encoding="utf-8") as found:
            tasks = json.load(found)["tasks"]
        self.assertGreaterEqual(len(tasks), 10)
        for task in tasks:
            self.assertIn(task["title"], text)
            for row in task["rows"]:
                self.assertIn(row["party"], text)
                if not row["party"].startswith("ZeroMQ"):
                    self.assertGreater(row["figure"], 0, row)
        self.assertRegex(text, r"\d+ of \d+ musts reached")
        with open(document, encoding="utf-8") as found:
            written = found.read()
        self.assertRegex(written, re.compile(r"\Abefore\n<!-- table: begin -->\n.*\| Postbus.*<!-- table: end -->\nafter\n\Z",
                                             re.S))
        self.assertNotIn("old", written)

    def test_strangers_disturb_the_one_and_not_the_other(self):
        file = self.path("figures.json")
        self.run_bench("--quick", "--only", "strangers", "--json", file)
        with open(file, encoding="utf-8") as found:
            quiet, disturbed = json.load(found)["tasks"][0]["rows"]
        self.assertEqual(quiet["strangers"], 0)
        self.assertGreater(disturbed["strangers"], 0)

    def test_a_task_can_be_chosen_and_a_wrong_name_is_refused(self):
        self.assertIn("round trip", self.run_bench("--quick", "--only", "ping"))
        refused = self.start_bench("--only", "nothing")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("no task of that name", refused.stderr)


if __name__ == "__main__":
    main()
