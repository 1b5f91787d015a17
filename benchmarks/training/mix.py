"""Conversations with the length spread of LLaVA-1.5's 665K mix, generated, in LLaVA's format.

How many rows of each kind there are is published (arXiv:2310.03744, table 7, in thousands). How
long their turns are is this program's assumption, close to what a look at a few rows shows. So it
is of captions for alignment and of extractions, which have kinds of their own.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<|endoftext|>", "<unk>", "<|im_start|>", "<|im_end|>", "<image>")
ROLE_WORDS = ("user", "assistant")
ROWS_FILE = "rows.json"
NUM_IMAGES = 16


@dataclass(frozen=True)
class Kind:
    """Rows of one kind; ranges are inclusive, in tokens.

    Attributes:
        thousands: How many thousand rows the mix has of it.
        turns: Questions of a row.
        question: Tokens of a question.
        answer: Tokens of an answer.
        has_image: Whether rows have an image.
    """

    thousands: int
    turns: tuple[int, int]
    question: tuple[int, int]
    answer: tuple[int, int]
    has_image: bool = True


KINDS = {
    "conversation": Kind(58, (3, 5), (8, 16), (20, 80)),
    "detail": Kind(23, (1, 1), (10, 20), (80, 160)),
    "complex": Kind(77, (1, 1), (15, 30), (120, 240)),
    "text only (ShareGPT)": Kind(40, (2, 8), (20, 120), (100, 300), has_image=False),
    "short answers (VQAv2, GQA, OKVQA)": Kind(164, (3, 12), (6, 14), (1, 3)),
    "text in images (OCR-VQA)": Kind(80, (4, 6), (6, 14), (1, 12)),
    "choice (A-OKVQA)": Kind(66, (1, 1), (30, 60), (1, 1)),
    "caption (TextCaps)": Kind(22, (1, 1), (20, 60), (8, 20)),
    "regions (RefCOCO, VG)": Kind(134, (3, 10), (10, 30), (8, 20)),
}

CAPTIONS = {"caption (LCS-558K)": Kind(558, (1, 1), (4, 10), (6, 40))}
"""Alignment: stage S0 of arXiv:2511.17487."""

EXTRACTIONS = {
    "one question": Kind(228, (1, 1), (40, 70), (60, 180)),
    "several questions (VQAv2, GQA)": Kind(155, (2, 6), (40, 70), (60, 180)),
}
"""Extraction tuning: stage S3; its prompt with a question, and the details it asks for."""


def word_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer of so many tokens whose words are `w0`, `w1` and so on."""
    names = [*SPECIAL, *ROLE_WORDS]
    names += [f"w{number}" for number in range(vocabulary - len(names))]
    ids = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    marks = [AddedToken(name, special=True, normalized=False) for name in SPECIAL]
    tokenizer.add_special_tokens(marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        unk_token="<unk>",
        eos_token="<|im_end|>",
    )


def write_mix(
    folder: Path,
    *,
    rows: int,
    vocabulary: int,
    max_text_tokens: int,
    kinds: Mapping[str, Kind] = KINDS,
    picture_px: tuple[int, int] = (256, 256),
    images: int = NUM_IMAGES,
) -> None:
    """Write rows and images; the same arguments write the same files.

    Args:
        folder: Gets `rows.json` and `images/`.
        rows: How many.
        vocabulary: Tokens of the tokenizer whose words are drawn.
        max_text_tokens: Conversations end before they have more words; at least a turn is left.
        kinds: Of rows, each as often as it says.
        picture_px: Width and height of the images.
        images: How many there are; rows take turns.
    """
    rng = random.Random(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    for number in range(images):
        small = noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize(picture_px, Image.Resampling.BICUBIC)
        picture.save(folder / "images" / f"{number}.jpg")
    last_word = vocabulary - len(SPECIAL) - len(ROLE_WORDS) - 1

    def words(limits: tuple[int, int]) -> list[str]:
        return [f"w{rng.randint(0, last_word)}" for _ in range(rng.randint(*limits))]

    names = rng.choices(list(kinds), [kind.thousands for kind in kinds.values()], k=rows)
    records = []
    for number, name in enumerate(names):
        kind = kinds[name]
        conversation: list[dict[str, str]] = []
        left = max_text_tokens
        for turn in range(rng.randint(*kind.turns)):
            question, answer = words(kind.question), words(kind.answer)
            left -= len(question) + len(answer)
            if left < 0 and turn:
                break
            image = "<image>\n" if kind.has_image and not turn else ""
            conversation.append({"from": "human", "value": image + " ".join(question)})
            conversation.append({"from": "gpt", "value": " ".join(answer[:max_text_tokens])})
        record = {"id": str(number), "conversations": conversation}
        if kind.has_image:
            record["image"] = f"{number % images}.jpg"
        records.append(record)
    (folder / ROWS_FILE).write_text(json.dumps(records))
