"""Conversations as data sets write them, read into turns; shared by the sources."""

from collections.abc import Mapping, Sequence
from typing import Any

from data_modules.sources.values import shown
from mmlite.errors import RowError
from mmlite.records import IMAGE_PLACEHOLDER, Role, Turn

ROLES: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
"""Role of each speaker that the formats know."""

FORMS = (("from", "value"), ("role", "content"))
"""Keys of speaker and text: LLaVA's and ShareGPT's, and those of chat templates."""


def read_turns(value: Any) -> list[Turn]:
    r"""Read a conversation; every turn of an assistant is trained.

    Any number of turns, user and assistant by turns, after at most one of the system, in one of
    three forms:

        {"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": "Two."}
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many?"}]}, ...
        {"user": "How many?", "assistant": "Two."}

    Raises:
        RowError: If it is none; the message says which turn.
    """
    if not isinstance(value, list) or not value:
        raise RowError(
            f"conversations: got {shown(value)}, allowed: a list with at least two turns"
        )
    turns = [turn for number, item in enumerate(value) for turn in _item(number, item)]
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[0] == "system" else roles
    if not spoken or len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise RowError(
            f"conversations: got turns of {', '.join(roles)}, allowed: user and assistant in "
            "turn, the assistant last, after at most one system turn",
            "wrong_turns",
        )
    return turns


def with_placeholders(turns: Sequence[Turn], num_images: int) -> tuple[Turn, ...]:
    """Check where images go, and put them first where nothing is said about it.

    Placeholders stay where they are. Without any, each image goes before the first user turn,
    with a line break, as LLaVA writes it.

    Raises:
        RowError: If there are placeholders, but not as many as images, or outside of user turns.
    """
    counts = [turn.text.count(IMAGE_PLACEHOLDER) for turn in turns]
    for number, (turn, count) in enumerate(zip(turns, counts, strict=True)):
        if count and turn.role != "user":
            raise RowError(
                f"conversations[{number}]: got {IMAGE_PLACEHOLDER} in what the {turn.role} says, "
                "allowed: in what the user says",
                "wrong_placeholders",
            )
    if sum(counts) == num_images:
        return tuple(turns)
    if sum(counts):
        raise RowError(
            f"conversations: got {sum(counts)} {IMAGE_PLACEHOLDER} placeholders for {num_images} "
            "images, allowed: as many as images, or none",
            "wrong_placeholders",
        )
    first = next(number for number, turn in enumerate(turns) if turn.role == "user")
    text = f"{IMAGE_PLACEHOLDER}\n" * num_images + turns[first].text
    return (*turns[:first], Turn("user", text), *turns[first + 1 :])


def first_words(turns: Sequence[Turn]) -> tuple[str, str]:
    """Return the first question, without placeholders, and its answer."""
    question, answer = [turn.text for turn in turns if turn.role != "system"][:2]
    return question.replace(IMAGE_PLACEHOLDER, "").strip(), answer


def _item(number: int, item: Any) -> list[Turn]:
    if isinstance(item, Mapping):
        for speaker, text in FORMS:
            if item.get(speaker) is not None and speaker in item:
                return [_turn(number, speaker, item[speaker], _text(item.get(text)))]
        pair = [item.get("user"), item.get("assistant")]
        if all(isinstance(part, str) for part in pair):
            return [Turn("user", str(pair[0])), Turn("assistant", str(pair[1]), trained=True)]
    raise RowError(
        f"conversations[{number}]: got {shown(item)}, allowed: an object with texts from, value, "
        "or role, content, or user, assistant"
    )


def _turn(number: int, key: str, speaker: Any, text: str | None) -> Turn:
    if not isinstance(speaker, str) or speaker not in ROLES:
        raise RowError(
            f"conversations[{number}].{key}: got {shown(speaker)}, allowed: {', '.join(ROLES)}"
        )
    if text is None:
        raise RowError(
            f"conversations[{number}]: got no text beside {key}, allowed: a text, or a list of "
            "parts of type text and image"
        )
    return Turn(ROLES[speaker], text, trained=ROLES[speaker] == "assistant")


def _text(content: Any) -> str | None:
    """Return a turn's text; parts of a chat become one, with a placeholder for each image."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("image", "image_url"):
            texts.append(IMAGE_PLACEHOLDER)
        elif kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            return None
    return "".join(texts)
