"""The arithmetic of the benchmarks: what counts as met, what a slope is, what is written where."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from benchmarks import document as documents
from benchmarks.charts import Series, draw_log_log
from benchmarks.goals import Goal, judge
from benchmarks.growth import fit_slope
from benchmarks.measure import Row
from benchmarks.report import BEGIN, END, format_goals, format_report, write_section
from benchmarks.servers import EMBEDDED, SERVERS

RATIO = Goal("push", "first push", 0.8, ("L",), ("git, packed",))
MEMORY = Goal("peak", "", 256, figure="client_peak_mib", home="")


def row(system: str, number: int, wall_s: float, home: str = EMBEDDED, **details: Any) -> Row:
    return Row("L", "first push", system, home, number, wall_s, details)


def test_a_ratio_is_taken_round_by_round_and_its_median_counts() -> None:
    rows = [row("muse", n, wall_s) for n, wall_s in enumerate((1.0, 3.0, 2.0))]
    rows += [row("git, packed", n, wall_s) for n, wall_s in enumerate((2.0, 2.0, 4.0))]
    rows += [row("git, packed", 0, 0.1, SERVERS), row("git, loose", 0, 0.1)]
    [verdict] = judge(RATIO, rows)
    assert (verdict.value, verdict.low, verdict.high, verdict.rounds) == (0.5, 0.5, 1.5, 3)
    assert verdict.met
    [slower] = judge(RATIO._replace(limit=0.49), rows)
    assert not slower.met


def test_a_figure_without_a_peer_is_the_worst_of_all_and_says_where() -> None:
    rows = [row("muse", 0, 1.0, client_peak_mib=100), row("muse", 0, 1.0, SERVERS, client_peak_mib=300)]
    rows.append(row("git, packed", 0, 1.0, client_peak_mib=900))
    [verdict] = judge(MEMORY, rows)
    assert (verdict.value, verdict.history, verdict.met) == (300, "L first push", False)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert judge(RATIO, [row("muse", 0, 1.0)]) == []
    assert judge(MEMORY, [row("muse", 0, 1.0)]) == []
    assert "0 of 0 met" in format_goals([])


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_slope_of_a_power_is_its_exponent(power: float) -> None:
    assert fit_slope([(n, 7 * n**power) for n in (10, 100, 3000)]) == pytest.approx(power)


def test_a_run_survives_its_file_and_becomes_a_section(tmp_path: Path) -> None:
    document = documents.describe("make bench", memory_backed=True)
    document["rows"] = [row("muse", 0, 1.0, requests=2), row("git, packed", 0, 4.0)]
    documents.write(document, tmp_path / "run.json")
    assert documents.read(tmp_path / "run.json")["rows"] == document["rows"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\noutdated\n{END}\nafter\n")
    write_section(page, format_report(document))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "outdated" not in text
    assert "0.25" in text
    page.write_text("no markers")
    with pytest.raises(SystemExit):
        write_section(page, "report")


def test_a_chart_is_well_formed(tmp_path: Path) -> None:
    draw_log_log("a < b", "x", "y", [Series("one & two", [(10, 0.1), (1000, 3)])]).save(tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert len([part for part in root.iter() if part.tag.endswith("circle")]) == 3
