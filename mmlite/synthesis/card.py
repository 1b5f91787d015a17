"""The data card of synthesised data: what it is made of, by whom, and how to train on it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

_ROLES = {
    "statements": "questions and answers to statements, without the image",
    "describe": "the description, with image and statements",
    "info": "what each question is about, without image and answer",
}


def data_card(summary: Mapping[str, Any]) -> str:
    """Return the card as Markdown.

    Args:
        summary: What `synthesis.json` holds.
    """
    source = summary["source"]
    root = summary["image_root"]
    parts = [
        f"# {summary['name']}",
        "Visual-extraction-tuning data: each record asks for what of its images some questions are "
        "about, and the answer is a description that a model has written, given the right answers "
        "(arXiv:2511.17487, sec. 5). Made by `mmlite synthesize`; `synthesis.json` holds all "
        "settings.",
        f"- Records: {summary['records']:,} of {summary['rows']:,} rows, about "
        f"{summary['questions']:,} questions and {summary['images']:,} images\n"
        f"- Left out: {_counted(summary['left_out'])} (`left_out.jsonl` lists them)\n"
        f"- Kept, but counted: {_counted(summary['kept_but_counted'])}\n"
        f"- Mean words: {_counted(summary['mean_words'])}",
        "## Made of",
        f"- Source data: `{source['class_path']}`, split {source['split']}: "
        f"{_listed({**(source.get('init_args') or {}), **source['describe']})}",
        *(
            f"- Teacher, {told}: `{summary['teachers'][role]['name']}`"
            for role, told in _ROLES.items()
        ),
        f"- Prompts: {summary['prompts']['name']} ({summary['prompts']['source']})",
        "## Licences",
        "The images, questions and answers are the source's, and the texts were written by the "
        "teachers: the licences of the source data and of each teacher both apply. Nobody but you "
        "has looked at whether they allow what you plan. Descriptions may say what is not in an "
        "image: nobody has read them.",
        "## Training on it",
        "FOLDER is this folder.",
        "```yaml\n"
        "data:\n"
        "  class_path: data_modules.ExtractionData\n"
        "  init_args:\n"
        "    train:\n"
        "      - source:\n"
        "          class_path: data_modules.sources.LLaVA\n"
        "          init_args:\n"
        "            train: FOLDER/extraction.jsonl\n"
        f"            image_root: {'FOLDER' if root == '.' else root}\n"
        "```",
    ]
    return _joined(parts)


def _joined(parts: list[str]) -> str:
    """Join paragraphs; the items of a list stay together."""
    text = parts[0]
    for before, part in pairwise(parts):
        is_list = before.startswith("- ") and part.startswith("- ")
        text += ("\n" if is_list else "\n\n") + part
    return text + "\n"


def _counted(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in counts.items()) or (
        "none"
    )


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} `{value}`" for key, value in values.items() if value is not None)
