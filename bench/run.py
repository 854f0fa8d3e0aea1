# run: measures what tasks.py lists and prints one table. Every round runs each party of a task once, so
# that all of them meet the same weather; figures are medians over the rounds, ratios are taken within
# each round. Each party is a process of its own for either end.
# Run: python3 bench/run.py FOLDER_OF_PROGRAMS [--rounds 5] [--quick] [--only NAME] [--json FILE] [--markdown FILE]
import argparse
import datetime
import json
import os
import platform
import resource
import sys

import tables
from tasks import TASKS


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    return {"processor": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "load_before": round(os.getloadavg()[0], 2),
            "when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def measure(task, how):
    """All rounds of one task: for each party a list of figures, one for each round."""
    parties = [party for party in task.parties if party.installed(how)]
    sizes = {party.name: party.calibrate(how) for party in parties}
    rounds = {party.name: [] for party in parties}
    for number in range(min(how.rounds, task.rounds_max)):
        for party in parties[number % len(parties):] + parties[:number % len(parties)]:
            rounds[party.name].append(party.run(how, sizes[party.name]))
            if how.verbose:
                print(task.name, party.name, rounds[party.name][-1], file=sys.stderr, flush=True)
    return rounds


def main():
    options = argparse.ArgumentParser(description="Measures Postbus beside raw TCP and ZeroMQ.")
    options.add_argument("programs", help="where bench_raw and the others are: build/release/bench")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--quick", action="store_true", help="one short round; the figures mean nothing")
    options.add_argument("--only", action="append", metavar="NAME",
                         help="only tasks whose name begins so: " + ", ".join(t.name for t in TASKS))
    options.add_argument("--json", metavar="FILE", help="write every figure of every round")
    options.add_argument("--markdown", metavar="FILE", help="replace the table in this document")
    options.add_argument("--verbose", action="store_true", help="every run on stderr")
    how = options.parse_args()
    if how.quick:
        how.rounds = 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = [t for t in TASKS if not how.only or any(t.name.startswith(name) for name in how.only)]
    if not chosen:
        sys.exit("no task of that name")

    result = {"machine": machine(), "rounds": how.rounds, "tasks": []}
    print(tables.headline(result), flush=True)
    for task in chosen:
        measured = tables.evaluate(task, measure(task, how))
        result["tasks"].append(measured)
        print(tables.text(measured), flush=True)
    print("\n" + tables.verdict(result))
    if how.json:
        with open(how.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    if how.markdown:
        tables.replace_in(how.markdown, result)


if __name__ == "__main__":
    main()
