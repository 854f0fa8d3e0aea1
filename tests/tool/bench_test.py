# bench: that every benchmark runs, in seconds, and its table is whole. No figure is asserted: `make bench`
# measures, on a machine that does nothing else.
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
BUILT = os.path.exists(os.path.join(PROGRAMS, "bench_raw"))


@unittest.skipUnless(BUILT, "the benchmarks are not built here")
class Bench(Case):
    def run_bench(self, *options):
        run = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "run.py"), PROGRAMS, *options],
                             capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run.stdout

    def test_every_task_runs_and_the_table_and_the_file_are_whole(self):
        file, document = self.path("figures.json"), self.path("table.md")
        with open(document, "w", encoding="utf-8") as out:
            out.write("before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n")
        text = self.run_bench("--quick", "--json", file, "--markdown", document)
        with open(file, encoding="utf-8") as found:
            tasks = json.load(found)["tasks"]
        self.assertGreaterEqual(len(tasks), 9)
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

    def test_a_task_can_be_chosen_and_a_wrong_name_is_refused(self):
        self.assertIn("round trip", self.run_bench("--quick", "--only", "ping"))
        with self.assertRaises(AssertionError):
            self.run_bench("--only", "nothing")


if __name__ == "__main__":
    main()
