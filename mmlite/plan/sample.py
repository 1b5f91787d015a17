"""Sample: what the batches of a run are like, read from its data or assumed."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lightning import LightningDataModule
from PIL import Image

from mmlite.batch import IGNORE_INDEX, Batch, places_of
from mmlite.packing import pack, pad_to, padded_length
from mmlite.processor import Encoded, Processor
from mmlite.records import IMAGE_PLACEHOLDER, ImageRef, Turn

COUNTED = (
    "rows",
    "examples",
    "tokens",
    "padded_tokens",
    "squared",
    "pairs",
    "supervised_tokens",
    "images",
    "tiles",
)


@dataclass(frozen=True)  # no slots: the command line reads defaults with vars()
class Assumption:
    """One example as it is assumed to be where no data can be read.

    Its row has its text tokens, those that the chat template writes around its turns, and those of
    its images. A template that leaves a user's words out leaves supervised tokens and images.

    Attributes:
        examples: Examples of an epoch; null: unknown.
        text_tokens: Tokens of its texts, its answer included; its images and template are not.
        supervised_tokens: Tokens of its answer, with what ends it.
        images: Images of it.
        image_px: Width and height of an image, in pixels.
    """

    examples: int | None = None
    text_tokens: int = 256
    supervised_tokens: int = 128
    images: int = 1
    image_px: int = 384

    def __post_init__(self) -> None:
        least = {"examples": 1, "text_tokens": 2, "supervised_tokens": 1, "images": 0}
        problems = [
            f"assumed.{name}: got {value}, allowed: {lowest} or more"
            for name, lowest in {**least, "image_px": 1}.items()
            if (value := getattr(self, name)) is not None and value < lowest
        ]
        if not problems and self.supervised_tokens >= self.text_tokens:
            problems.append(
                f"assumed.supervised_tokens: got {self.supervised_tokens}, allowed: less than "
                f"assumed.text_tokens {self.text_tokens}"
            )
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True)
class Sample:
    """The mean and the largest batch of one process.

    Attributes:
        origin: `data`, or `assumed`.
        note: How it came about, for people.
        num_batches: Batches looked at.
        mean: Of each count over the batches: `rows`, `examples` (more than rows where they are
            packed), `tokens`, `padded_tokens`, `squared` (the sum over rows of the padded length
            squared), `pairs` (the same over examples, and over what fills packed rows up),
            `supervised_tokens`, `images`, `tiles`.
        largest: The batch with the most padded tokens.
        batches_per_epoch: For one process that has all the data; None where that is unknown.
    """

    origin: str
    note: str
    num_batches: int
    mean: Mapping[str, float]
    largest: Batch
    batches_per_epoch: float | None


def read_sample(data: LightningDataModule, processor: Processor, *, num_batches: int) -> Sample:
    """Look at the first batches of a run's own loader.

    Raises:
        ValueError: If rows or images cannot be read.
    """
    loader: Any = data.train_dataloader()
    batches = list(islice(loader, num_batches))
    if not batches:
        raise ValueError("data.train: got no batch, allowed: at least one")
    try:
        per_epoch: float | None = len(loader)
    except TypeError:
        per_epoch = None
    return _summary(
        batches, processor, origin="data", note=f"first {len(batches)} batches", per_epoch=per_epoch
    )


def assumed_sample(
    processor: Processor, assumption: Assumption, budget: Mapping[str, Any], *, reason: str
) -> Sample:
    """Make a batch of equal examples.

    Args:
        processor: Makes it.
        assumption: What an example is like.
        budget: `batch_size`, `max_batch_tokens`, `pack_tokens` and `pad_multiple`, where the run
            says so.
        reason: Why no data was read.

    Raises:
        ValueError: If such an example does not fit the processor.
    """
    picture = io.BytesIO()
    Image.new("RGB", (assumption.image_px, assumption.image_px)).save(picture, format="PNG")
    images = (ImageRef(data=picture.getvalue()),) * assumption.images
    row = _row(processor, assumption, images)
    rows, multiple = int(budget.get("batch_size") or 1), int(budget.get("pad_multiple") or 1)
    if limit := budget.get("max_batch_tokens"):
        rows = max(1, min(rows, int(limit) // padded_length(len(row.input_ids), multiple)))
    capacity = budget.get("pack_tokens")
    in_row = max(1, int(capacity) // len(row.input_ids)) if capacity else 1
    sizes, rows = [in_row] * rows, in_row * rows
    batch = processor.collate([row] * rows)
    if capacity:
        batch = pack(batch, sizes, pad_id=processor.pad_id)
    batch = pad_to(batch, multiple, pad_id=processor.pad_id)
    examples = assumption.examples
    return _summary(
        [batch],
        processor,
        origin="assumed",
        note=f"{rows} equal examples a batch ({reason})",
        per_epoch=None if examples is None else examples / rows,
    )


def _row(processor: Processor, assumption: Assumption, images: Sequence[ImageRef]) -> Encoded:
    """Return an example with the tokens that are assumed, as far as its template takes them.

    How many tokens a word has, and how many end an answer, is asked of rows of few words.
    """

    def row(asked: int, answered: int) -> Encoded:
        user = IMAGE_PLACEHOLDER * len(images) + _words(asked)
        turns = (Turn("user", user), Turn("assistant", _words(answered), trained=True))
        return processor.encode(turns, images)

    one, two = row(1, 1), row(2, 2)
    supervised = _num_supervised(one)
    in_answer = max(1, _num_supervised(two) - supervised)
    # A template without a user's words has none, however many there are.
    in_question = max(1, len(two.input_ids) - len(one.input_ids) - in_answer)
    return row(
        (assumption.text_tokens - assumption.supervised_tokens) // in_question,
        1 + (assumption.supervised_tokens - supervised) // in_answer,
    )


def _words(number: int) -> str:
    return " ".join(["a"] * number)


def _num_supervised(row: Encoded) -> int:
    """Return how many tokens are learnt; nothing stands before a row's first."""
    return sum(label != IGNORE_INDEX for label in row.labels[1:])


def _summary(
    batches: Sequence[Batch],
    processor: Processor,
    *,
    origin: str,
    note: str,
    per_epoch: float | None,
) -> Sample:
    counts = [count(batch, processor) for batch in batches]
    mean = {name: sum(c[name] for c in counts) / len(counts) for name in COUNTED}
    largest = max(batches, key=lambda batch: batch.input_ids.numel())
    return Sample(origin, note, len(batches), mean, largest, per_epoch)


def count(batch: Batch, processor: Processor) -> dict[str, float]:
    """Count what costs in a batch."""
    rows, length = batch.input_ids.shape
    return {
        "rows": rows,
        "examples": _num_examples(batch),
        "tokens": batch.num_tokens,
        "padded_tokens": rows * length,
        "squared": rows * length**2,
        "pairs": _num_pairs(batch),
        "supervised_tokens": batch.num_supervised,
        "images": processor.num_images(batch),
        "tiles": len(batch.tile_order),
    }


def _num_examples(batch: Batch) -> int:
    """Return how many examples a batch holds: of packed rows, as many as positions start again."""
    if batch.position_ids is None:
        return len(batch.input_ids)
    return int(((batch.position_ids == 0) & batch.attention_mask).sum())


def _num_pairs(batch: Batch) -> int:
    """Return how many pairs of tokens share an example; what fills a packed row up makes some."""
    rows, length = batch.input_ids.shape
    if batch.position_ids is None:
        return rows * length**2
    starts = places_of(batch.position_ids == 0)
    sizes = starts.diff(append=starts.new_tensor([rows * length]))
    return int((sizes**2).sum())
