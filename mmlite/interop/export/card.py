"""The model card of an exported model, filled from the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from mmlite.interop.export.compare import Compared
from mmlite.interop.export.history import Score, StageRecord, config_of, scores_of, stages_of
from mmlite.models import VisionLanguageModel, count_parameters

UNKNOWN = "unknown"
"""Stands where nobody said; the card tells what to fill in."""

_USE = """\
```python
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

folder = "path/to/this/folder"
model = AutoModelForImageTextToText.from_pretrained(folder)
processor = AutoProcessor.from_pretrained(folder)
processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
content = [{"type": "image"}, {"type": "text", "text": "what is in the image ?"}]
text = processor.apply_chat_template(
    [{"role": "user", "content": content}], add_generation_prompt=True
)
inputs = processor(
    text=[text], images=[Image.open("image.png").convert("RGB")],
    return_tensors="pt", add_special_tokens=False,
)
output = model.generate(**inputs)
answer = processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
```"""


@dataclass(frozen=True)
class Labels:
    """What only a person knows of a model.

    Attributes:
        name: Title of the card; empty takes the run's folder.
        license: Of the weights, by its identifier on the hub, such as `apache-2.0`.
        data_license: Of the data it was trained on.
        language: Language of its texts.
    """

    name: str = ""
    license: str = UNKNOWN
    data_license: str = UNKNOWN
    language: str = "en"


def model_card(run: Path, model: VisionLanguageModel, labels: Labels, compared: Compared) -> str:
    """Return the card as Markdown with its head in YAML.

    Args:
        run: Folder of the run.
        model: The run's model.
        labels: What only a person knows.
        compared: How the folder was compared with the run's model.
    """
    stages, scores = stages_of(run), scores_of(run)
    config = config_of(run) or {}
    name = labels.name or run.resolve().name
    head = {
        "license": labels.license,
        "language": labels.language,
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "base_model": base_models(config) or None,
        "tags": ["mmlite", "vision-language"],
    }
    parts = [
        "---\n" + yaml.safe_dump({k: v for k, v in head.items() if v}, sort_keys=False) + "---",
        f"# {name}",
        f"A vision-language model trained with mmlite {version('mmlite')}, exported for "
        f"transformers {version('transformers')}.",
        "## Use\n\n" + _USE,
        "## Parts\n\n" + _table(("part", "parameters"), _parts(model)),
        "## Stages and data\n\n" + _stages(stages),
        "## Scores\n\n" + _scores(scores),
        "## Checked\n\n" + _checked(compared),
        "## Licenses\n\n" + _licenses(labels, base_models(config)),
    ]
    return "\n\n".join(parts) + "\n"


def base_models(config: dict[str, Any]) -> list[str]:
    """Return hub names of the published models that a run's configuration starts from."""
    arguments = config.get("model", {}).get("init_args", {})
    found = []
    for part, key in (("language", "name"), ("vision", "model_name")):
        given = (arguments.get(part) or {}).get("init_args") or {}
        name = str(given.get(key) or "")
        if name.startswith("hf-hub:"):
            name = name.removeprefix("hf-hub:").partition("@")[0]
        if given.get("pretrained"):
            name = _hub_name(name)
        is_hub = name.count("/") == 1 and not name.startswith((".", "/", "~"))
        if is_hub and not Path(name).exists():
            found.append(name)
    return found


def _hub_name(name: str) -> str:
    """Return where timm gets the weights of one of its models from, or the name as it is."""
    import timm

    if "/" in name or not timm.is_model(name):
        return name
    config = timm.get_pretrained_cfg(name)
    return str(getattr(config, "hf_hub_id", None) or name)


def _parts(model: VisionLanguageModel) -> list[tuple[str, str]]:
    return [
        (name, f"{count_parameters(part):,}")
        for name, part in model.named_children()
        if part is not None
    ]


def _stages(stages: Sequence[StageRecord]) -> str:
    rows = [
        (
            record.name,
            record.stage,
            ", ".join(record.trained) or "not stated",
            str(record.steps or "not stated"),
            "; ".join(record.data) or "not stated",
        )
        for record in stages
    ]
    return _table(("run", "stage", "trained", "steps", "data"), rows)


def _scores(scores: Sequence[Score]) -> str:
    if not scores:
        return "None were found beside the run. Answer a test split with `mmlite predict`."
    rows = [
        (
            score.system,
            score.group or "all",
            str(score.seed),
            f"{100 * score.correct / score.total:.1f} %",
            f"{100 * score.low:.1f} to {100 * score.high:.1f} %",
            str(score.total),
        )
        for score in scores
        if score.total
    ]
    head = ("system", "questions", "seed", "right", "95 % interval", "number")
    return _table(head, rows)


def _checked(compared: Compared) -> str:
    return (
        f"Loaded by plain transformers in float32 and compared with the run's model on "
        f"{compared.samples} conversations: the same token ids and greedy answers; logits within "
        f"{compared.logits:.1e} of the largest logit; pixels within {compared.pixels:.1e}. "
        'Pixels are those of `backend="pil"`; torchvision, transformers\' default, resizes with '
        "another rounding."
    )


def _licenses(labels: Labels, bases: Sequence[str]) -> str:
    lines = [
        f"- Weights: {labels.license}",
        f"- Data: {labels.data_license}",
        *(f"- Starts from {name}: see its own license" for name in bases),
    ]
    if UNKNOWN in (labels.license, labels.data_license):
        lines.append("\nFill in what is unknown before you share this model.")
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())
