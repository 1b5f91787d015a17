import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_study import HOSTILE, KINDS, SIZES, make_study_folder

from mmlite.analysis import log_report, make_report
from mmlite.analysis.charts.training import training_curves
from mmlite.analysis.intervals import wilson

WRITTEN = ("results.json", "results.csv", "comparisons.json", "report.html")


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in (folder / "predictions").iterdir()
        for line in path.read_text().splitlines()
    ]


def test_results_equal_an_independent_recount(reported: Path) -> None:
    counts: Counter[tuple[Any, ...]] = Counter()
    for line in lines_of(reported):
        head = (line["system"], line["perceiver_size"], line["reasoner_size"], line["group"])
        for category in ("all", line["category"]):
            counts[(*head, category, "n")] += 1
            counts[(*head, category, "correct")] += line["correct"]
            counts[(*head, category, "unparsed")] += line["parsed"] is None
    rows = [row for row in read(reported, "results.json")["rows"] if row["seed"] == 0]
    assert len(rows) == len([key for key in counts if key[-1] == "n"])
    for row in rows:
        head = (row["system"], row["perceiver_size"], row["reasoner_size"], row["group"])
        for name in ("n", "correct", "unparsed"):
            assert row[name] == counts[(*head, row["category"], name)]
        assert row["accuracy"] == row["correct"] / row["n"]
        assert (row["ci_low"], row["ci_high"]) == wilson(row["correct"], row["n"])


def test_facts_equal_an_independent_recount(reported: Path) -> None:
    rows = read(reported, "results.json")["rows"]
    (row,) = [
        row
        for row in rows
        if (row["system"], row["seed"], row["category"], row["group"])
        == ("extract_answer", "all", "all", "vision")
        and row["perceiver_size"] == "m"
    ]
    facts = [
        line["facts"]
        for line in lines_of(reported)
        if (line["system"], line["perceiver_size"], line["group"])
        == ("extract_answer", "m", "vision")
    ]
    total = {name: sum(fact[name] for fact in facts) for name in facts[0]}
    precision = total["true"] / (total["true"] + total["invented"])
    recall = total["found"] / (total["found"] + total["missed"])
    assert row["fact_precision"] == pytest.approx(precision)
    assert row["fact_recall"] == pytest.approx(recall)
    assert row["fact_f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    exact = sum(fact["missed"] == fact["invented"] == 0 for fact in facts)
    assert row["extraction_exact"] == exact / len(facts)


def test_systems_without_perceiver_have_no_facts(reported: Path) -> None:
    rows = read(reported, "results.json")["rows"]
    assert {r["fact_f1"] for r in rows if r["system"] == "end_to_end"} == {None}


def test_csv_has_the_rows_of_json(reported: Path) -> None:
    rows = read(reported, "results.json")["rows"]
    with (reported / "results.csv").open() as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    assert list(found[0]) == list(rows[0])
    assert [row["correct"] for row in found] == [str(row["correct"]) for row in rows]


def test_fidelity_counts_a_text_once_for_all_reasoners(reported: Path) -> None:
    rows = read(reported, "results.json")["fidelity"]
    ns = {row["n"] for row in rows if row["perceiver"] == "extract" and row["group"] == "all"}
    assert ns == {12 * sum(len(kinds) for kinds in KINDS.values())}


def test_same_files_in_same_bytes_out(reported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(reported, copy)
    (copy / "predictions" / "grid-0.jsonl").rename(copy / "predictions" / "a.jsonl")
    for name in WRITTEN:
        (copy / name).unlink()
    make_report(copy)
    for name in WRITTEN:
        assert (copy / name).read_bytes() == (reported / name).read_bytes(), name
    assert not list(copy.rglob("*.part"))


def test_several_seeds_pool_and_keep_their_own_rows(reported_seeds: Path) -> None:
    rows = [
        row
        for row in read(reported_seeds, "results.json")["rows"]
        if (row["system"], row["reasoner_size"], row["group"], row["category"])
        == ("end_to_end", "l", "vision", "all")
    ]
    by_seed = {row["seed"]: row for row in rows}
    assert set(by_seed) == {0, 1, "all"}
    assert by_seed["all"]["n"] == by_seed[0]["n"] + by_seed[1]["n"]
    assert by_seed["all"]["correct"] == by_seed[0]["correct"] + by_seed[1]["correct"]
    assert [by_seed[seed]["interval"] for seed in (0, 1, "all")] == [
        "wilson",
        "wilson",
        "bootstrap",
    ]


class Tags(HTMLParser):
    """Collects tags, their sources and links."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.addresses += [v or "" for n, v in attrs if n in ("src", "href", "action", "data")]


def test_what_models_wrote_is_escaped(reported: Path) -> None:
    page = (reported / "report.html").read_text()
    parsed = Tags()
    parsed.feed(page)
    assert parsed.tags["script"] == 0
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(" in page


def test_hostile_names_are_escaped_everywhere(tmp_path: Path) -> None:
    folder = make_study_folder(tmp_path / "study", per_kind=2, title="<script>1</script>")
    for path in (folder / "predictions").iterdir():
        text = path.read_text().replace('"system": "end_to_end"', '"system": "<script>e"')
        path.write_text(text.replace('"vision"', '"<script>v"').replace('"l"', '"<script>l"'))
    parsed = Tags()
    parsed.feed(make_report(folder).read_text())
    assert parsed.tags["script"] == 0


def test_page_needs_no_network(reported: Path) -> None:
    page = (reported / "report.html").read_text()
    parsed = Tags()
    parsed.feed(page)
    assert all(a.startswith(("#", "data:image/png;base64,")) for a in parsed.addresses)
    assert not re.search(r"@import|url\(|https?://", page)


def test_page_has_its_sections_in_order(reported: Path) -> None:
    page = (reported / "report.html").read_text()
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == [
        "size",
        "need",
        "grid",
        "fidelity",
        "findings",
        "systems",
        "gallery",
        "runs",
        "limits",
    ]
    assert "Numbers from the micro-world are about the micro-world." in page
    assert "NOT flattened" in page
    assert page.count("<caption>") == page.count("<table")


def test_each_tick_box_hides_its_own_line(reported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(reported, folder)
    for path in (folder / "predictions").iterdir():
        text = path.read_text().replace('"system": "blind_think"', '"system": "of_my_own"')
        path.write_text(text)
    page = make_report(folder).read_text()
    boxes = re.findall(r'type="checkbox" id="show-(\d+)"', page)
    assert len(boxes) == len(set(boxes)) == 10
    for number in boxes:
        assert f"#show-{number}:not(:checked)) .line-{number} {{" in page
        assert len(re.findall(rf'class="series st\d+ line-{number}"', page)) >= len(KINDS)


def test_headline_has_its_interval(reported: Path) -> None:
    sentence = read(reported, "results.json")["meta"]["headline"]
    (row,) = [
        row
        for row in read(reported, "comparisons.json")["comparisons"]
        if (row["first"], row["second"], row["size"], row["group"], row["seed"])
        == ("extract_think", "end_to_end", "l", "vision", "all")
    ]
    assert sentence.startswith("With the largest language model (l, 420k parameters)")
    assert (
        f"beats end-to-end by {100 * row['difference']:.1f} points (95% interval "
        f"{100 * row['ci_low']:.1f} to {100 * row['ci_high']:.1f}) on vision-heavy" in sentence
    )
    assert sentence.count(".") - len(re.findall(r"\d\.\d", sentence)) == 1


def test_plots_are_png(reported: Path) -> None:
    paths = sorted((reported / "plots").iterdir())
    assert [path.stem for path in paths] == [
        "accuracy_against_size",
        "drop_against_need",
        "extraction_fidelity",
        "perception_by_reasoning",
        "training_curves",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def keep(folder: Path, wanted: Any) -> None:
    """Keep only the predictions that are wanted."""
    for path in (folder / "predictions").iterdir():
        kept = [line for line in path.read_text().splitlines() if wanted(json.loads(line))]
        path.write_text("".join(f"{line}\n" for line in kept))


@pytest.mark.parametrize(
    "wanted",
    [
        lambda p: p["system"] == "end_to_end",
        lambda p: p["system"] == "extract_think",
        lambda p: p["reasoner_size"] == "s",
        lambda p: p["group"] == "language",
        lambda p: p["system"] == "oracle_question_think" and p["reasoner_size"] == "xs",
        lambda p: p["id"] == "count-1",
    ],
)
def test_parts_may_be_absent(tmp_path: Path, wanted: Any) -> None:
    folder = make_study_folder(tmp_path / "study", per_kind=3)
    keep(folder, wanted)
    (folder / "gallery.json").unlink()
    (folder / "study.json").write_text("{}")
    page = make_report(folder).read_text()
    assert "No examples were saved" in page
    assert read(folder, "comparisons.json")["not_measured"]


def test_another_group_goes_through_the_same_door(tmp_path: Path) -> None:
    folder = make_study_folder(tmp_path / "study", per_kind=8)
    keep(folder, lambda p: p["group"] == "vision" and p["reasoner_size"] in ("l", ""))
    for path in (folder / "predictions").iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        text = "".join(json.dumps({**p, "group": "nlvr", "category": "nlvr"}) + "\n" for p in lines)
        path.write_text(text)
    about = read(folder, "study.json")
    about |= {"groups": {"nlvr": ["nlvr"]}, "chance": {"nlvr": 0.553}, "runs": []}
    (folder / "study.json").write_text(json.dumps(about))
    page = make_report(folder).read_text()
    assert "on nlvr questions" in page
    assert "best constant guess: 55.3%" in page


def test_sizes_without_parameters_are_spaced_evenly(tmp_path: Path) -> None:
    folder = make_study_folder(tmp_path / "study", per_kind=2)
    about = read(folder, "study.json")
    about["sizes"] = [{"name": name} for name in SIZES]
    (folder / "study.json").write_text(json.dumps(about))
    assert "sizes are evenly spaced" in make_report(folder).read_text()


def test_analysis_needs_no_torch() -> None:
    code = "import sys, mmlite.analysis; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tensorboard_gets_plots_and_numbers(reported: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_report(reported, tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "report/perception_by_reasoning" in events.Tags()["images"]
    points = events.Scalars("report_accuracy/vision/extract_think")
    assert [point.step for point in points] == [0, 1, 2, 3]


def test_tensorboard_wants_a_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"results\.json: not there; allowed: .*; make the report"):
        log_report(tmp_path, tmp_path / "logs")


def test_a_run_whose_loss_was_no_number_has_a_curve_of_the_rest() -> None:
    curve = [[0, 4.0], [5, 3.0], [10, None], [15, None]]
    runs = [{"name": "seed0/a", "stage": "a", "curve": curve, "final_loss": None}]
    (drawn,) = training_curves(runs, ())
    assert (drawn.lines, drawn.final) == ((((0.0, 4.0), (5.0, 3.0)),), "no number")
    lost = [{"name": "seed0/b", "stage": "b", "curve": [[0, None], [5, None]], "final_loss": None}]
    assert training_curves([*runs, *lost], ()) == (drawn,)
