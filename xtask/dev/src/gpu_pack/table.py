"""Sums up DIR/results.jsonl as DIR/table.txt and DIR/table.md. Exit code 0 where every part that must hold did."""
import json
import sys
from pathlib import Path

PARTS = ["load", "parity", "collectives", "speed", "peers", "profile", "training"]
HIDDEN = {"part", "check", "ok", "must", "exit", "top"}


def short(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else text[:157] + "..."


def row(line):
    details = ", ".join(f"{key} {short(value)}" for key, value in line.items() if key not in HIDDEN and value is not None)
    state = "skipped" if "skipped" in line else "ok" if line["ok"] else "FAILED"
    return [str(line["part"]), str(line["check"]), state, details]


def main():
    out = Path(sys.argv[1])
    lines, broken = [], 0
    for text in (out / "results.jsonl").read_text().splitlines():
        try:
            line = json.loads(text)
            lines.append(line | {"ok": bool(line["ok"]), "part": line["part"], "check": line["check"]})
        except (ValueError, KeyError, TypeError):
            broken += 1
    rows = [row(line) for line in lines]
    widths = [max((len(r[i]) for r in rows), default=0) for i in range(3)]
    plain = "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(r, widths)), r[3]]).rstrip() for r in rows)
    ends = {line["part"]: line for line in lines if line["check"] == "(part)"}
    held = all(part in ends for part in PARTS) and all(end["ok"] or not end["must"] for end in ends.values())
    failed = sum(not line["ok"] for line in lines)
    seconds = sum(end["seconds"] for end in ends.values())
    verdict = f"{'every part that must hold did' if held else 'NOT every part that must hold did'}; " \
              f"{len(lines)} lines, {failed} failed, {broken} unreadable; {seconds:.0f} s"
    (out / "table.txt").write_text(plain + "\n\n" + verdict + "\n")
    escaped = ["| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in rows]
    head = ["| part | check | result | details |", "|---|---|---|---|"]
    (out / "table.md").write_text("\n".join(head + escaped) + f"\n\n{verdict}\n")
    print(plain + "\n\n" + verdict)
    return 0 if held else 1


sys.exit(main())
