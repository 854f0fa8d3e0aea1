# tables: from figures of rounds to medians, ratios and verdicts, and those as text or Markdown.
import math
import statistics

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def ratio(measured, one, other):
    """The median of one party's figure divided by another's, round by round."""
    if one not in measured or other not in measured:
        return None
    return statistics.median(a["figure"] / b["figure"] for a, b in zip(measured[one], measured[other]))


def whom(task, measured, name):
    """The party of that name, or the best of those whose names begin so."""
    if name in measured:
        return name
    fitting = [each for each in measured if each.startswith(name + ",")]
    best = min if task.smaller_is_better else max
    return best(fitting, key=lambda each: statistics.median(r["figure"] for r in measured[each]), default=None)


def evaluate(task, measured):
    rows = []
    for party in task.parties:
        row = {"party": party.name, "rounds": measured.get(party.name, [])}
        rows.append(row)
        if not row["rounds"]:
            row["missing"] = "not installed"
            continue
        for key in row["rounds"][0]:
            row[key] = statistics.median(each[key] for each in row["rounds"])
        row["least"] = min(each["figure"] for each in row["rounds"])
        row["most"] = max(each["figure"] for each in row["rounds"])
        row["ratios"] = {name: ratio(measured, party.name, whom(task, measured, name)) for name in task.beside}
    for must in task.musts:
        row = next(each for each in rows if each["party"] == must.party)
        found = {"relation": must.relation, "bound": must.bound, "of": must.of, "key": must.key}
        row.setdefault("musts", []).append(found)
        value = ratio(measured, must.party, whom(task, measured, must.of)) if must.of else row.get(must.key)
        if value is not None:
            found["is"] = value
            found["reached"] = value >= must.bound if must.relation == ">=" else value <= must.bound
    return {"name": task.name, "title": task.title, "unit": task.unit, "beside": list(task.beside),
            "also": task.also, "rows": rows}


# -- as text ------------------------------------------------------------------------------------


def short(value):
    """Three digits and a letter: 31.2 M."""
    if value is None:
        return ""
    for factor, letter in ((1e6, " M"), (1e3, " k")):
        if value >= 9.995 * factor / 10:
            value, tail = value / factor, letter
            break
    else:
        tail = ""
    digits = max(0, 2 - max(0, math.floor(math.log10(value)))) if value > 0 else 0
    return f"{value:.{digits}f}{tail}"


def cpu_text(nanoseconds):
    return f"{nanoseconds:,.0f} ns" if nanoseconds < 9999.5 else f"{nanoseconds / 1000:,.1f} µs"


def must_text(must, also):
    mark = {True: "reached", False: "MISSED", None: "not measured"}[must.get("reached")]
    sign = "≥" if must["relation"] == ">=" else "≤"
    which = also.get(must["key"], "")
    whose = f" × {brief(must['of'])}" if must["of"] else ""
    return f"{which} {sign} {must['bound']:,g}{whose}: {mark}".strip()


def brief(party):
    """For the head of a column."""
    if party.startswith("raw TCP"):
        return "raw"
    return {"Postbus, one connection": "one", "ZeroMQ, 1,000 connections": "ZeroMQ",
            "Postbus, undisturbed": "undisturbed"}.get(party, party)


def columns(task):
    found = next((row for row in task["rows"] if "figure" in row), {})
    return (["p50 / p99" if "p99" in found else "median", "least–most"]
            + ["× " + brief(name) for name in task["beside"]]
            + (["CPU"] if "cpu_ns" in found else []) + list(task["also"].values()) + ["must"])


def cells(row, task):
    if "missing" in row:
        return [row["missing"]]
    figure = short(row["figure"])
    if "p99" in row:
        figure += f" / {short(row['p99'])}"
    return ([figure, f"{short(row['least'])}–{short(row['most'])}"]
            + ["" if value is None else f"{value:.2f}" for value in row["ratios"].values()]
            + ([cpu_text(row["cpu_ns"])] if "cpu_ns" in row else [])
            + [short(row[key]) for key in task["also"]]
            + ["; ".join(must_text(each, task["also"]) for each in row.get("musts", []))])


def text(task):
    head = columns(task)
    lines = ["", f"{task['title']}, {task['unit']}"]
    table = [["", *head]] + [["  " + row["party"], *cells(row, task)] for row in task["rows"]]
    widths = [36, 14, 17] + [max(12, len(name) + 3) for name in head[2:-1]]
    for line in table:
        fields = [f"{line[0]:<{widths[0]}}"] + [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:])]
        lines.append("".join(fields) + ("   " + line[-1] if len(line) == len(head) + 1 else ""))
    return "\n".join(line.rstrip() for line in lines)


def headline(result):
    machine = result["machine"]
    return (f"{machine['cores']} cores, {machine['processor']}, Linux {machine['kernel']}; load before "
            f"{machine['load_before']}; {result['rounds']} interleaved rounds, {machine['when']}")


def verdict(result):
    musts = [must for task in result["tasks"] for row in task["rows"] for must in row.get("musts", [])]
    missed = sum(must.get("reached") is False for must in musts)
    unknown = sum("reached" not in must for must in musts)
    return (f"{len(musts) - missed - unknown} of {len(musts)} musts reached, {missed} missed"
            + (f", {unknown} not measured" if unknown else ""))


# -- as Markdown --------------------------------------------------------------------------------


def markdown(result):
    lines = [headline(result) + "."]
    for task in result["tasks"]:
        head = columns(task)
        lines += ["", "| " + " | ".join([f"**{task['title']}**, {task['unit']}", *head]) + " |",
                  "|---|" + "---:|" * (len(head) - 1) + "---|"]
        for row in task["rows"]:
            shown = cells(row, task)
            shown += [""] * (len(head) - len(shown))
            lines.append("| " + " | ".join([row["party"], *shown]) + " |")
    return "\n".join(lines + ["", verdict(result) + "."])


def replace_in(path, result):
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
        after = rest.split(END)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{markdown(result)}\n{END}{after}")
