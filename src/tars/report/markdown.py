"""A results page in Markdown with its figures as SVG files beside it, for documentation that lives in git."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tars.analysis.frontier import Point, best, frontier
from tars.analysis.length import length_changes, of_arm
from tars.analysis.spread import Arm, Row, select, shown_split
from tars.report import statement, tables, under_attack
from tars.report.attack_figures import attacks_figure
from tars.report.comparison_figure import comparison_figure, crowded
from tars.report.curves import lambdas
from tars.report.figures import Look, frontier_figure, looks
from tars.report.runs import Run, is_synthetic, load_runs, methods_of, starts_of
from tars.report.sheets import course_sheet, learning_sheet, length_sheet
from tars.report.svg import file_svg, style
from tars.report.under_attack import Attacked, read_attacked

SYNTHETIC = "Every number on this page comes from a synthetic micro-world."
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$&])")


def write_results_page(run_dirs: list[Path], out_md: Path, title: str, command: str, *, brief: bool = False) -> None:
    """Write `out_md` and, where there is data, `<stem>-frontier.svg`, `-attacks.svg`, `-steps.svg` and so on.

    Args:
        run_dirs: The run folders to show on one page.
        out_md: The page; its folder is made if need be.
        title: The heading.
        command: What to type to get these numbers again.
        brief: Leave out the tables of form, categories and reasoning length.

    Raises:
        InputError: one of the folders is not a run; nothing is written.
    """
    runs = load_runs(run_dirs)
    rows, attacked = select(row for run in runs for row in run.rows), read_attacked(runs)
    with style():
        figures = _figures(runs, rows, attacked)
    out_md.parent.mkdir(parents=True, exist_ok=True)
    for name, (svg, _) in figures.items():
        (out_md.parent / f"{out_md.stem}-{name}.svg").write_text(svg, encoding="utf-8")
    captions = {f"{out_md.stem}-{name}.svg": caption for name, (_, caption) in figures.items()}
    out_md.write_text(_page(runs, rows, attacked, title, command, captions, brief), encoding="utf-8")


def escaped(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table_markdown(table: tables.Table) -> str:
    """A pipe table: names to the left, numbers to the right, intervals in brackets."""
    rules = ["---" if i < table.labels else "---:" for i in range(len(table.header))]
    lines = [_line(map(escaped, table.header)), _line(rules)]
    lines += [_line(_cell(cell) for cell in row) for row in table.rows]
    return "\n".join([*lines, *(["", escaped(table.caption)] if table.caption else [])])


def _page(
    runs: Sequence[Run],
    rows: Sequence[Row],
    attacked: Attacked,
    title: str,
    command: str,
    captions: Mapping[str, str],
    brief: bool,
) -> str:
    notes = [str(run.recipe["note"]) for run in runs if run.recipe.get("note")]
    plain = statement.lead(runs, rows, shown_split(rows)) if rows else ""
    parts = [f"# {escaped(title)}", escaped(under_attack.lead(plain, attacked))]
    parts += [f"**{SYNTHETIC}**"] if is_synthetic(runs) else []
    parts += [escaped(note) for note in dict.fromkeys(notes)]
    parts += [f"Made with\n\n```\n{command.replace('```', '')}\n```"] if command else []
    parts += [f"![{escaped(caption)}]({name})\n\n{escaped(caption)}" for name, caption in captions.items()]
    parts += [f"## {escaped(t.title)}\n\n{table_markdown(t)}" for t in _tables(runs, rows, attacked, brief) if t.rows]
    return "\n\n".join(parts) + "\n"


def _tables(runs: Sequence[Run], rows: Sequence[Row], attacked: Attacked, brief: bool) -> list[tables.Table]:
    points = frontier(rows)
    results = [tables.frontier_table(points), tables.difference_table(rows, points)]
    results += [tables.tag_table(rows), under_attack.attack_table(attacked)]
    if brief:
        return results
    lengths = tables.length_table(length_changes(rows, starts_of(runs)))
    return [*results, tables.form_table(rows), tables.category_table(rows), lengths]


def _figures(runs: Sequence[Run], rows: Sequence[Row], attacked: Attacked) -> dict[str, tuple[str, str]]:
    """Name to SVG and caption, for the first decoding; figures without data, or too crowded to read, are left out."""
    points, changes = frontier(rows), length_changes(rows, starts_of(runs))
    look = looks(methods_of(runs, [*rows, *(row for run in runs for row in run.rows)]))
    decoding = points[0].decoding if points else "greedy"
    here = [p for p in points if p.decoding == decoding and None not in (p.dsr.value, p.compliance.value)]
    found: dict[str, tuple[str, str]] = {}
    if here and not crowded(here):
        found["frontier"] = (file_svg(frontier_figure(here, look, legend=True)), _frontier_caption(here))
    if crowded(points):
        found["comparison"] = (file_svg(comparison_figure(points, look)), _comparison_caption(points))
    if attacked.each:
        found |= _attack_figures(attacked, [p.arm for p in best(here)], look)
    if lambdas(runs) and not crowded(here):
        found["learning"] = learning_sheet(runs, look)
    pairs = [(p.arm, of_arm(changes, p.arm, decoding)) for p in best(here)]
    pairs = [(arm, ours) for arm, ours in pairs if any(c.before.value is not None for c in ours)]
    if pairs and not crowded(here):
        found["length"] = (length_sheet(pairs, look), _length_caption(decoding))
    return found


def _frontier_caption(points: Sequence[Point]) -> str:
    note = tables.interval_note(points)
    return f"DSR against compliance, {points[0].decoding} decoding. {statement.sizes(points)}. {note}"


def _comparison_caption(points: Sequence[Point]) -> str:
    note = tables.interval_note(points)
    return f"Methods by score, {points[0].decoding} decoding. Hollow: the same behind a defence at inference. {note}"


def _length_caption(decoding: str) -> str:
    return (
        f"Reasoning tokens and share of short traces by category, {decoding} decoding. Hollow: before; "
        "filled: after, on its 95 % interval; upright stroke: the shortest chain that suffices."
    )


def _attack_figures(
    attacked: Attacked, preferred: Sequence[Arm], look: Mapping[str, Look]
) -> dict[str, tuple[str, str]]:
    arms, decoding = under_attack.shown_arms(attacked, preferred), attacked.decodings[0]
    shown = attacked.at(decoding, arms)
    text = f"Attack success, {decoding} decoding: left is safer. {under_attack.caption(shown)} {under_attack.MARKS}"
    found = {"attacks": (file_svg(attacks_figure(shown, look, legend=True)), text)}
    if courses := under_attack.drawn_courses(attacked, arms, decoding):
        found["steps"] = course_sheet(courses, look), f"{under_attack.COURSES} Decoding: {decoding}."
    return found


def _cell(cell: tables.Cell) -> str:
    return escaped(cell.text) + (f" [{escaped(cell.note).replace(' to ', ', ')}]" if cell.note else "")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
