"""Processor: Examples to Batches."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mmlite.batch import IGNORE_INDEX, Batch
from mmlite.chat import Chat, ChatTemplate
from mmlite.errors import RowError
from mmlite.features import FeatureCache
from mmlite.images import ImageTransform, image_size
from mmlite.layout import Layout
from mmlite.processor.encoded import Encoded
from mmlite.processor.tiles import load_tiles
from mmlite.records import IMAGE_PLACEHOLDER, Example, ImageRef, Turn

CACHED_TEXTS = 200_000
"""Texts whose token ids are remembered; the same questions and answers come again and again."""


class Processor:
    """Turn Examples into Batches.

    Args:
        tokenizer: A Hugging Face tokenizer that knows `image_token` and has a padding and an
            end-of-sequence token.
        chat: How turns become text.
        image: How an image becomes tiles.
        image_token: The token whose embedding is replaced by image features.
        tokens_per_tile: Tokens one tile takes; must equal what the projector puts out, which a
            stage checks when it builds its model.
        max_tokens: Longest sequence that is allowed, in tokens.
        features: Cache of vision features, or null to encode every image every time.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        chat: Chat = ChatTemplate(),  # noqa: B008
        image: ImageTransform = ImageTransform(),  # noqa: B008
        image_token: str = IMAGE_PLACEHOLDER,
        tokens_per_tile: int = 9,
        max_tokens: int = 512,
        features: FeatureCache | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.chat = chat
        self.image = image
        self.tokens_per_tile = tokens_per_tile
        # Numbers that do not fit each other stop here, not at the first row.
        image.layout(image.size_px, image.size_px, num_images=1, tokens_per_tile=tokens_per_tile)
        self.max_tokens = max_tokens
        self.features = features
        token_id = tokenizer.convert_tokens_to_ids(image_token)
        if token_id is None or token_id == tokenizer.unk_token_id:
            raise ValueError(
                f"processor.image_token: got {image_token!r}, which the tokenizer does not know; "
                "allowed: one of its tokens, such as one of "
                f"{tokenizer.all_special_tokens}; add it to the tokenizer or name another"
            )
        assert isinstance(token_id, int), "one token has one id"
        self.image_token_id: int = token_id
        self.end_ids = self._tokens(chat.end(tokenizer)) or (tokenizer.eos_token_id,)
        pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_ids[0]
        assert isinstance(pad_id, int), "one token has one id"
        self.pad_id: int = pad_id
        special = {token for token in tokenizer.all_special_tokens if token != IMAGE_PLACEHOLDER}
        self._control = re.compile("|".join(map(re.escape, sorted(special))) or r"(?!)")
        self._text_ids = lru_cache(CACHED_TEXTS)(self._tokens)

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, added tokens included."""
        return len(self.tokenizer)

    def encode(
        self,
        turns: Sequence[Turn],
        images: Sequence[ImageRef] = (),
        *,
        answer: bool = False,
        example: Example | None = None,
    ) -> Encoded:
        """Turn a conversation into token ids and labels.

        Args:
            turns: The conversation; the text of trained turns and their end is learnt.
            images: One per `<image>` in the turns.
            answer: Whether the sequence ends where an assistant's answer begins.
            example: Kept with the result.

        Raises:
            ValueError: If placeholders and images differ in number, or the sequence is too long.
        """
        name = example.row_name if example else "conversation"
        self._check_placeholders(turns, images, name)
        if not answer:  # what a model wrote for another to go on from is no row of data
            self._check_control(turns, name)
        try:
            layouts = self._layouts(images)
            segments = self.chat.segments(turns, tokenizer=self.tokenizer, answer=answer)
        except ValueError as error:
            raise RowError.at(name, error) from error
        rooms = [layout.num_tokens for layout in layouts] or (
            [self.image.num_tiles * self.tokens_per_tile] * len(images)
        )
        left = iter(rooms)
        ids: list[int] = []
        labels: list[int] = []
        for text, learnt in segments:
            found = self._with_images(text, left)
            ids += found
            labels += found if learnt else [IGNORE_INDEX] * len(found)
        self._check(ids, sum(rooms), name)
        return Encoded(tuple(ids), tuple(labels), tuple(images), example, name, layouts)

    def encode_example(self, example: Example) -> Encoded:
        """Turn an Example's whole conversation into token ids and labels."""
        return self.encode(example.turns, example.images, example=example)

    def collate(
        self,
        rows: Sequence[Encoded],
        *,
        pad_left: bool = False,
        readers: int = 1,
        is_shared: bool = False,
    ) -> Batch:
        """Load the images of sequences and pad everything into one Batch.

        Args:
            rows: At least one sequence.
            pad_left: Whether padding comes first, as generation wants it.
            readers: Threads that read images.
            is_shared: Whether rows share the tiles of an image that several of them have.
        """
        lengths = torch.tensor([len(row.input_ids) for row in rows])
        longest = int(lengths.max())
        place = torch.arange(longest)
        mask = place >= longest - lengths[:, None] if pad_left else place < lengths[:, None]
        input_ids = _padded([row.input_ids for row in rows], longest, self.pad_id, left=pad_left)
        labels = _padded([row.labels for row in rows], longest, IGNORE_INDEX, left=pad_left)
        tiles = load_tiles(rows, self.image, self.features, readers=readers, is_shared=is_shared)
        return Batch(
            input_ids=input_ids,
            labels=labels,
            attention_mask=mask,
            pixels=tiles.pixels,
            features=tiles.features,
            tile_order=tiles.tile_order,
            pixel_keys=tiles.pixel_keys,
            examples=tuple(row.example for row in rows if row.example is not None),
            layouts=tiles.layouts,
            pads_left=pad_left,
            image_token_id=self.image_token_id,
        )

    def num_images(self, batch: Batch) -> int:
        """Return how many images a batch of its own shows, whatever their tiles."""
        if self.image.has_layouts:
            return len(batch.layouts)
        return len(batch.tile_order) // self.image.num_tiles

    def decode(self, token_ids: Sequence[int]) -> str:
        """Turn generated token ids into text, without special tokens."""
        text = self.tokenizer.decode(list(token_ids), skip_special_tokens=True)
        assert isinstance(text, str), "one sequence decodes to one text"
        return text.strip()

    def _tokens(self, text: str) -> tuple[int, ...]:
        if not text:
            return ()
        if self.tokenizer.is_fast:  # without the wrapper's bookkeeping: a third of the time
            backend: Any = self.tokenizer.backend_tokenizer
            encoded = backend.encode(text, add_special_tokens=False)
            return tuple(encoded.ids)
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _layouts(self, images: Sequence[ImageRef]) -> tuple[Layout, ...]:
        """Return how each image's tiles are put together; none where one follows the other."""
        if not self.image.has_layouts:
            return ()
        found = []
        for ref in images:
            height, width = image_size(ref)
            layout = self.image.layout(
                height, width, num_images=len(images), tokens_per_tile=self.tokens_per_tile
            )
            assert layout is not None, "has_layouts says so"
            found.append(layout)
        return tuple(found)

    def _with_images(self, text: str, rooms: Iterator[int]) -> tuple[int, ...]:
        """Return the tokens of a text; each `<image>` in it becomes as many as the next room."""
        if IMAGE_PLACEHOLDER not in text:
            return self._text_ids(text)
        first, *parts = text.split(IMAGE_PLACEHOLDER)
        ids = list(self._text_ids(first))
        for part in parts:
            ids += self._text_ids(self.chat.image_start)
            ids += [self.image_token_id] * next(rooms)
            ids += self._text_ids(self.chat.image_end)
            ids += self._text_ids(part)
        return tuple(ids)

    def _check_placeholders(
        self, turns: Sequence[Turn], images: Sequence[ImageRef], name: str
    ) -> None:
        placeholders = sum(turn.text.count(IMAGE_PLACEHOLDER) for turn in turns)
        if placeholders != len(images):
            raise RowError(
                f"{name}: got {placeholders} {IMAGE_PLACEHOLDER} placeholders in the turns and "
                f"{len(images)} images, allowed: as many placeholders as images",
                "wrong_placeholders",
            )

    def _check_control(self, turns: Sequence[Turn], name: str) -> None:
        """Refuse texts that spell out what ends a turn, or another token that steers a model."""
        for number, turn in enumerate(turns):
            if found := self._control.search(turn.text):
                raise RowError(
                    f"{name}: turn {number}: got {found.group()} in its text, which is a special "
                    "token of the tokenizer, allowed: text alone; remove it from the row",
                    "malformed",
                )

    def _check(self, ids: Sequence[int], room: int, name: str) -> None:
        if (found := ids.count(self.image_token_id)) != room:
            raise RowError(
                f"{name}: got {found - room} image tokens that its text spells out, allowed: none; "
                f"write {IMAGE_PLACEHOLDER} where an image goes, and nothing else",
                "wrong_placeholders",
            )
        if len(ids) > self.max_tokens:
            raise RowError(
                f"{name}: got {len(ids)} tokens, allowed: at most processor.max_tokens "
                f"{self.max_tokens}; raise it or shorten the row",
                "too_long",
            )


def _padded(rows: Sequence[tuple[int, ...]], longest: int, value: int, *, left: bool) -> Tensor:
    """Return rows of numbers as one tensor; NumPy reads them four times as fast as PyTorch."""
    rests = [(value,) * (longest - len(row)) for row in rows]
    whole = [rest + row if left else row + rest for row, rest in zip(rows, rests, strict=True)]
    return torch.from_numpy(np.array(whole, dtype=np.int64))
