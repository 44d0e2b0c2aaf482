"""The report of the parts as Markdown, and in how many words it went well."""

from collections.abc import Iterator


def to_markdown(report: dict) -> str:
    """What ran and what did not, what must hold, and all figures."""
    parts = report["parts"]
    title = "# GPU benchmark" + (" (a rehearsal: the figures mean nothing)" if report["rehearsal"] else "")
    lines = [title, "", f"{report['date']}, {report['seconds']:.0f} s", "", "| part | | s | |", "|---|---|---|---|"]
    for name, result in parts.items():
        lines.append(f"| {name} | {result['status']} | {result['seconds']:.1f} | {_cell(result.get('reason', ''))} |")
    lines += ["", "| part | figure | |", "|---|---|---|"]
    for name, result in parts.items():
        lines += [f"| {name} | {figure} | {_cell(value)} |" for figure, value in _flat(result["figures"])]
    lines += ["", "| check | found | limit | |", "|---|---|---|---|"]
    for check in (check for result in parts.values() for check in result["checks"]):
        holds = "holds" if check["holds"] else "**fails**"
        lines.append(f"| {check['check']} | {_cell(check['value'])} | {check['limit']} | {holds} |")
    return "\n".join(lines) + "\n"


def _flat(figures: dict, before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}: ")
        else:
            yield before + name, value


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
