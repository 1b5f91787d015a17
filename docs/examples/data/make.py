"""Make a little data in every format of `docs/data.md`: python docs/examples/data/make.py my."""

import io
import json
import random
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

COLORS = ("red", "blue", "green", "yellow")


def picture(number: int) -> bytes:
    """Return a picture of one color, as a PNG file."""
    buffer = io.BytesIO()
    Image.new("RGB", (60, 60), COLORS[number % 4]).save(buffer, format="PNG")
    return buffer.getvalue()


def conversation(number: int, images: int = 1) -> dict[str, Any]:
    """Return a record in LLaVA's format: two questions about one or two pictures."""
    color = COLORS[number % 4]
    asked = "<image>\n" * images + "what color is it ?"
    return {
        "id": f"talk-{number}",
        "image": [f"{(number + n) % 8}.png" for n in range(images)],
        "conversations": [
            {"from": "human", "value": asked},
            {"from": "gpt", "value": f"{color} ."},
            {"from": "human", "value": "is it red ?"},
            {"from": "gpt", "value": "yes" if color == "red" else "no"},
        ],
    }


def choice(number: int) -> dict[str, Any]:
    """Return a row of a table of multiple-choice questions."""
    options = random.Random(number).sample(COLORS, 4)
    return {
        "index": number,
        "question": "what color is it ?",
        "A": options[0],
        "B": options[1],
        "C": options[2],
        "D": options[3],
        "answer": "ABCD"[options.index(COLORS[number % 4])],
        "image": {"bytes": picture(number), "path": None},
    }


def make(folder: Path) -> None:
    """Write all of it."""
    for name in ("images", "table", "shards"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(8):
        (folder / "images" / f"{number}.png").write_bytes(picture(number))
    talks = [conversation(number, 1 + number % 2) for number in range(40)]
    (folder / "train.json").write_text(json.dumps(talks))
    rows = [choice(number) for number in range(40)]
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table, folder / "table" / "train-00000.parquet", row_group_size=10)
    for shard in range(4):
        with tarfile.open(folder / "shards" / f"train-{shard:03d}.tar", "w") as archive:
            for number in range(10 * shard, 10 * shard + 10):
                record = json.dumps(conversation(number)).encode()
                for kind, content in (("png", picture(number)), ("json", record)):
                    member = tarfile.TarInfo(f"{number:06d}.{kind}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
