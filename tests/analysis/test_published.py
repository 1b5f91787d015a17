"""Published models: compared with themselves as two systems, and left out over sizes."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_study import make_study_folder

from mmlite.analysis import make_report

SYSTEM_FINDINGS = {
    "extraction_beats_captioning",
    "thinking_helps",
    "extract_think_beats_end_to_end",
}


def report_of(folder: Path, sizes: dict[str, str]) -> tuple[Path, dict[str, Any]]:
    """Make the report of a made-up study some of whose sizes are published models instead."""
    make_study_folder(folder, per_kind=8)
    for path in (folder / "predictions").iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        kept = [p for p in lines if {p["perceiver_size"], p["reasoner_size"]} - {""} <= set(sizes)]
        for p in kept:
            for part in ("perceiver_size", "reasoner_size"):
                p[part] = p[part] and sizes[p[part]]
        path.write_text("".join(json.dumps(p) + "\n" for p in kept))
    about = json.loads((folder / "study.json").read_text())
    about["sizes"] = [size for size in about["sizes"] if sizes.get(size["name"]) == size["name"]]
    about["models"] = [{"name": new} for old, new in sizes.items() if new != old]
    (folder / "study.json").write_text(json.dumps({**about, "runs": []}))
    page = make_report(folder)
    return page, json.loads((folder / "comparisons.json").read_text())


@pytest.fixture(scope="module")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return report_of(tmp_path_factory.mktemp("model") / "study", {"l": "big-vlm"})


def test_two_systems_of_one_published_model_are_compared(
    one_model: tuple[Path, dict[str, Any]],
) -> None:
    compared = one_model[1]["comparisons"]
    pairs = {(row["first"], row["second"]) for row in compared}
    assert ("extract_think", "end_to_end") in pairs
    assert {row["size"] for row in compared} == {"big-vlm"}
    found = one_model[1]["findings"]
    assert {finding["finding"] for finding in found} == SYSTEM_FINDINGS
    assert {finding["size"] for finding in found} == {"big-vlm"}


def test_what_is_not_measured_says_what_it_needs(one_model: tuple[Path, dict[str, Any]]) -> None:
    page, content = one_model
    reasons = {entry["finding"]: entry["reason"] for entry in content["not_measured"]}
    assert not SYSTEM_FINDINGS & set(reasons)
    assert all("at two sizes" in reason for reason in reasons.values())
    assert "Perception itself falls (needs facts counted" in page.read_text()
    assert "were not all run" not in page.read_text()


def test_the_headline_is_of_the_published_model(one_model: tuple[Path, dict[str, Any]]) -> None:
    text = one_model[0].read_text()
    assert "With the published model big-vlm, Extract+Think" in text
    assert "at the largest size" not in text


def test_findings_over_sizes_are_of_sizes_alone(tmp_path: Path) -> None:
    page, content = report_of(tmp_path / "study", {"xs": "xs", "s": "s", "l": "big-vlm"})
    sizes = {(finding["finding"], finding["size"]) for finding in content["findings"]}
    for name in SYSTEM_FINDINGS:
        assert {size for finding, size in sizes if finding == name} == {"xs", "s", "big-vlm"}
    others = {size for finding, size in sizes if finding not in SYSTEM_FINDINGS}
    assert others == {"s to xs"}
    assert "With the largest language model (s, 42k parameters)" in page.read_text()
    main = page.read_text().split("At the other sizes")[0]
    assert '<td class="size">big-vlm</td>' in main
