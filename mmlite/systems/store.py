"""The perception store: what a model wrote for an input is written once and found by content.

The key is made of the weights, the encoded prompt, the images' content and the decoding settings.
An edited image, prompt, weight or setting makes another key, so nothing stale is ever returned.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from mmlite.appended import AppendedLines
from mmlite.generation import Decoding, Generation, Request
from mmlite.records import content_key

_log = logging.getLogger(__name__)

_CUT = "cut"
"""Marks the line of a text that was cut at its budget."""


class TextEngine(Protocol):
    """What a system asks for text: our own `Engine`, or what stands for another model."""

    @property
    def model(self) -> nn.Module:
        """The model that writes."""
        ...

    @property
    def fingerprint(self) -> Any:  # a str; type checkers take no cached_property for one
        """Hash of what turns tokens into text."""
        ...

    def request_key(self, request: Request) -> str:
        """Hash all that decides what a model of given weights is shown."""
        ...

    def generate(
        self,
        requests: Sequence[Request],
        decoding: Decoding,
        *,
        keep: Callable[[Mapping[int, Generation]], None] | None = None,
    ) -> list[Generation]:
        """Answer requests, in order; `keep` is given each batch as soon as it is done."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote, now or before.

    Attributes:
        text: Without special tokens.
        finished: False when it was cut at `max_new_tokens`.
    """

    text: str
    finished: bool = True


class PerceptionStore:
    """Texts by content key, in memory and, with a folder, on disk.

    Several processes may use one folder: each appends to a file of its own, and `refresh` reads
    what the others wrote. A line that cannot be read, such as the torn last one of a killed
    process, is passed over: its text is made and written again.

    Args:
        folder: Where texts are kept; None keeps them in memory only.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._texts: dict[str, str] = {}
        self._cut: set[str] = set()
        self._lines = None if folder is None else AppendedLines(folder)
        self.refresh()

    def __len__(self) -> int:
        return len(self._texts)

    def get(self, key: str) -> str | None:
        """Return a text, or None."""
        return self._texts.get(key)

    def is_cut(self, key: str) -> bool:
        """Tell whether a text was cut at its budget; of one kept before that was noted, no."""
        return key in self._cut

    def put(self, texts: dict[str, str], cut: Collection[str] = ()) -> None:
        """Keep texts; those on their way to disk stay there when the process is killed.

        Args:
            texts: By key.
            cut: Keys of those that were cut at their budget.
        """
        new = {key: text for key, text in texts.items() if self._texts.get(key) != text}
        self._texts |= new
        self._cut.difference_update(new)
        self._cut.update(key for key in new if key in cut)
        if self._lines is not None and new:
            self._lines.append(
                [key, text, _CUT] if key in self._cut else [key, text] for key, text in new.items()
            )

    def refresh(self) -> None:
        """Read what other processes have written since."""
        unreadable: Counter[Path] = Counter()
        for path, entry in self._lines.read_new() if self._lines else ():
            if _is_text(entry):
                self._texts[entry[0]] = entry[1]
                self._cut.discard(entry[0])
                self._cut.update([entry[0]] if entry[2:] else [])
            else:
                unreadable[path] += 1
        for path, number in unreadable.items():
            _log.warning(
                "%s: passing over %d unreadable lines; their texts will be made again", path, number
            )


def _is_text(entry: Any) -> bool:
    """Tell a key with its text, and perhaps the mark of a cut one."""
    if not isinstance(entry, list) or not all(isinstance(part, str) for part in entry):
        return False
    return len(entry) == 2 or (len(entry) == 3 and entry[2] == _CUT)


class StoredEngine:
    """An engine that asks the store first: the one place where systems ask a model for text.

    Args:
        engine: Decodes what is not there.
        fingerprint: Hash of the engine's weights (`weights_fingerprint`).
        store: Where texts are kept; None decodes everything every time.

    Attributes:
        progress: Told, after each batch, how many of how many texts that were not in the store are
            written; None tells nobody.
    """

    def __init__(
        self, engine: TextEngine, *, fingerprint: str, store: PerceptionStore | None = None
    ) -> None:
        self.engine = engine
        self.fingerprint = fingerprint
        self.store = store
        self.progress: Callable[[int, int], None] | None = None

    def write(self, requests: Sequence[Request], decoding: Decoding) -> list[str]:
        """Return the text that the model writes for each request."""
        return [written.text for written in self.ask(requests, decoding)]

    def ask(self, requests: Sequence[Request], decoding: Decoding) -> list[Written]:
        """Return what the model writes for each request, and whether it came to an end.

        Each text is in the store as soon as its batch is done, so that a kill loses one batch at
        most.
        """
        store = PerceptionStore() if self.store is None else self.store
        store.refresh()
        keys = [self.key(request, decoding) for request in requests]
        missing = {
            key: request
            for key, request in zip(keys, requests, strict=True)
            if store.get(key) is None
        }
        names = list(missing)
        written = 0

        def keep(made: Mapping[int, Generation]) -> None:
            nonlocal written
            store.put(
                {names[place]: generation.text for place, generation in made.items()},
                cut={names[place] for place, generation in made.items() if not generation.finished},
            )
            written += len(made)
            if self.progress is not None:
                self.progress(written, len(names))

        self.engine.generate(list(missing.values()), decoding, keep=keep)
        return [Written(store.get(key) or "", not store.is_cut(key)) for key in keys]

    def key(self, request: Request, decoding: Decoding) -> str:
        """Hash all that decides what the model writes."""
        engine = self.engine
        return content_key(
            self.fingerprint, engine.fingerprint, engine.request_key(request), decoding.to_json()
        )
