#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables and a chart of what run.sh and daemon.sh measured, next to the targets in targets.json.

  report.py RESULT.json...           prints the tables
  report.py --docs RESULT.json...    writes docs/performance.md, between its markers, and docs/performance.svg
"""
import json
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
TARGETS = json.loads((HERE / "targets.json").read_text())
CASES = [case for section in TARGETS["sections"] for case in section["cases"]]
SCALE = {"s": 1, "ms": 1e3, "us": 1e6, "calls": 1, "MiB": 1}
UNITS = {"us": "µs"}
CONTESTANTS = ["docker", "plugin", "overlayd", "floor"]
COLUMNS = ["", "Docker", "Go plugin", "overlayd", "floor", "plugin / overlayd", "Docker / overlayd",
           "overlayd / floor", "target", ""]


def number(value):
    """Three digits, or all before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Result:
    """One file system's medians."""

    def __init__(self, path):
        self.data = json.loads(pathlib.Path(path).read_text())
        self.fs = self.data["FS"]

    def median(self, case, contestant):
        samples = self.data["Samples"].get(case, {}).get(contestant)
        return statistics.median(samples) if samples else None

    def ratio(self, case, slow, fast):
        slow, fast = self.median(case, slow), self.median(case, fast)
        return slow / fast if slow and fast else None

    def target(self, case):
        """What is wanted of overlayd, and whether it is so: True, False, or None where nothing is."""
        name, ours = case["case"], self.median(case["case"], "overlayd")
        if "faster_than" in case:
            wanted = f"{case['times']}x {'Docker' if case['faster_than'] == 'docker' else 'plugin'}"
            return wanted, self.ratio(name, case["faster_than"], "overlayd") >= case["times"]
        if "at_most" in case:
            return f"≤ {case['at_most']} {unit(case)}", ours * SCALE[case["unit"]] <= case["at_most"]
        if "at_most_times" in case:
            other = self.median(case["at_most_times"], "overlayd")
            return f"≤ {case['times']}x {case['of']}", other is not None and ours <= other * case["times"]
        return "", None

    def row(self, case):
        name = case["case"]
        values = [self.median(name, contestant) for contestant in CONTESTANTS]
        ratios = [self.ratio(name, "plugin", "overlayd"), self.ratio(name, "docker", "overlayd"),
                  self.ratio(name, "overlayd", "floor")]
        wanted, met = self.target(case)
        return ([case["what"]] +
                ["" if v is None else f"{number(v * SCALE[case['unit']])} {unit(case)}" for v in values] +
                ["" if r is None else f"{number(r)}x" for r in ratios] +
                [wanted, {True: "met", False: "not met", None: ""}[met]])

    def tables(self):
        for section in TARGETS["sections"]:
            rows = [self.row(case) for case in section["cases"] if self.median(case["case"], "overlayd") is not None]
            if rows:
                yield section["title"], rows

    def summary(self):
        verdicts = [self.target(case)[1] for case in CASES if self.median(case["case"], "overlayd") is not None]
        wanted = len(verdicts) - verdicts.count(None)
        return f"; {verdicts.count(True)} of {wanted} targets met" if wanted else ""


def unit(case):
    return UNITS.get(case["unit"], case["unit"])


def heading(result):
    data = result.data
    return (f"{result.fs}, Linux {data['Kernel']}, {data['Processors']} processors, load {data['Load']} at the start, "
            f"{data['Date']}, medians of {data['Rounds']} rounds{result.summary()}")


def print_tables(results):
    for result in results:
        print(f"\n=== {heading(result)}")
        for title, rows in result.tables():
            # Columns nobody has a value for are left out.
            used = [i for i in range(len(COLUMNS)) if i == 0 or any(row[i] for row in rows)]
            lines = [[(COLUMNS[i] if i else title) for i in used]] + [[row[i] for i in used] for row in rows]
            widths = [max(len(line[i]) for line in lines) for i in range(len(used))]
            print()
            for line in lines:
                print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                                for i, (cell, width) in enumerate(zip(line, widths))).rstrip())


def markdown(results):
    lines = []
    for result in results:
        lines += [f"### {result.fs}", "", heading(result) + ".", ""]
        for title, rows in result.tables():
            used = [i for i in range(len(COLUMNS)) if i == 0 or any(row[i] for row in rows)]
            lines.append("| " + " | ".join(COLUMNS[i] or (title if i == 0 else "") for i in used) + " |")
            lines.append("|---" + "|---:" * (len(used) - 1) + "|")
            lines += ["| " + " | ".join(row[i] for i in used) + " |" for row in rows]
            lines.append("")
    return "\n".join(lines)


def chart(results):
    """Bars: how many times faster than Docker's driver in its own process, targets as ticks."""
    cases = [c for c in CASES if c.get("faster_than") == "docker" or c["case"].startswith("engine-")]
    left, width, bar, gap, most = 330, 430, 9, 9, 12.0
    colours = ["#2f6f9f", "#d08a2e", "#5a9a5a"]
    scale = lambda ratio: left + min(ratio, most) / most * width
    body, y = [], 55
    for case in cases:
        bars = [(colours[i % 3], r.ratio(case["case"], "docker", "overlayd")) for i, r in enumerate(results)]
        bars = [(colour, ratio) for colour, ratio in bars if ratio]
        if not bars:
            continue
        what = case["what"].split(":")[0]
        if case["case"].endswith(("-10k", "-32k")):
            what += f" ({case['case'][-3:]})"
        end = y + bar * len(bars)
        body.append(f'<text x="{left - 8}" y="{(y + end) / 2 + 4:.1f}" text-anchor="end">{what}</text>')
        at = scale(case["times"]) if "times" in case else None
        for i, (colour, ratio) in enumerate(bars):
            top, right = y + i * bar, scale(ratio)
            label = at if at and right <= at < right + 30 else right  # not under the tick
            body.append(f'<rect x="{left}" y="{top}" width="{right - left:.1f}" height="{bar - 1}" '
                        f'fill="{colour}"/>'
                        f'<text x="{label + 4:.1f}" y="{top + bar - 1}" font-size="9">{number(ratio)}</text>')
        if at:
            body.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 3}" y2="{end + 2}" '
                        'stroke="black" stroke-width="2"/>')
        y = end + gap
    body.append(f'<line x1="{scale(1):.1f}" x2="{scale(1):.1f}" y1="50" y2="{y}" '
                'stroke="#999" stroke-dasharray="3,3"/>')
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 50}" height="{y + 10}" '
            'font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            '<text x="10" y="20" font-size="14">Times faster than Docker\'s overlay2 in its own process '
            '(dashed: as fast; black: target)</text>']
    for i, result in enumerate(results):
        head.append(f'<rect x="{10 + 70 * i}" y="30" width="10" height="10" fill="{colours[i % 3]}"/>'
                    f'<text x="{25 + 70 * i}" y="39">{result.fs}</text>')
    return "\n".join(head + body + ["</svg>", ""])


def write_docs(results):
    page = DOCS / "performance.md"
    begin, end = "<!-- generated by tests/bench/run.sh --docs -->", "<!-- end of what is generated -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n\n{markdown(results)}\n{end}{after}")
    (DOCS / "performance.svg").write_text(chart(results))


def main(arguments):
    docs = "--docs" in arguments
    results = [Result(path) for path in arguments if path != "--docs"]
    if not results:
        sys.exit(__doc__)
    (write_docs if docs else print_tables)(results)


if __name__ == "__main__":
    main(sys.argv[1:])
