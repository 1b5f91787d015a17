"""Train over a mixture of streamed shards and a JSON file, packed, with workers; and be killed.

Started by test_kill.py: kill_run.py FOLDER. One process trains without interruption. Another is
killed with SIGKILL twice, at moments that the clock decides, and each time started again from its
newest checkpoint. Every process writes what it trained on, step by step.
"""

import hashlib
import io
import json
import logging
import os
import random
import signal
import sys
import tarfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from tiny import WORDS, png, tiny_stage, tiny_trainer

from data_modules import BadRows, Mixed, TextData
from data_modules.batching import BatchBudget
from data_modules.sources import LLaVA, WebDataset
from data_modules.sources.tar_index import write_index
from mmlite.muon import MuonAdamW
from mmlite.stages import ExtractionTuning

FILE = "file" + "://"
"""Scheme of shards that are read as if they were remote."""

STEPS = 40
KILLS = (7, 21)
"""A victim is killed soon after it has done so many steps."""


def talk(number: int, image: str) -> dict:
    words = random.Random(number).choices(WORDS[2:8], k=1 + number % 5)
    question = {"from": "human", "value": f"{image}what is ?"}
    return {"conversations": [question, {"from": "gpt", "value": " ".join(words) + " ."}]}


def write_data(folder: Path) -> None:
    """Write five shards of eight samples, one of them with a broken image, and a JSON file."""
    names = [str(folder / f"train-{shard}.tar") for shard in range(5)]
    for shard, name in enumerate(names):
        with tarfile.open(name, "w") as archive:
            for row in range(shard * 8, shard * 8 + 8):
                image = png(row)[:90] if row == 19 else png(row)
                text = json.dumps(talk(row, "<image>")).encode()
                for kind, content in (("png", image), ("json", text)):
                    member = tarfile.TarInfo(f"{row:03d}.{kind}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    write_index(names, folder / "index.json")
    (folder / "text.json").write_text(json.dumps([talk(row, "") for row in range(30)]))


def module(folder: Path, processor, cache: Path) -> TextData:
    shards = WebDataset(
        train=f"{FILE}{folder}/train-{{0..4}}.tar",
        index=str(folder / "index.json"),
        cache_folder=str(cache),
        cache_shards=2,
        shards_at_once=2,
    )
    text = LLaVA(str(folder), train=str(folder / "text.json"), name="text")
    return TextData(
        processor,
        train=[Mixed(shards), Mixed(text, limit=20, weight=0.5)],
        budget=BatchBudget(1, pack_tokens=64, window_batches=4),
        seed=3,
        num_workers=2,
        bad_rows=BadRows(unreadable_image="skip", max_skipped=1),
    )


class Journal(Callback):
    """Writes what each step saw and what came of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer, pl_module, outputs: Any, batch, batch_idx):
        digest = hashlib.sha256()
        for tensor in (batch.input_ids, batch.labels, batch.position_ids, batch.pixels):
            digest.update(repr(tensor.tolist()).encode())
        row = [trainer.global_step, digest.hexdigest(), outputs["loss"].item()]
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def train(data: Path, run: Path, seed: int) -> None:
    """Train, from the newest whole checkpoint if there is one."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    seed_everything(seed)  # weights and order must not hang on it when a run is resumed
    stage = tiny_stage(ExtractionTuning, optimizer=MuonAdamW)
    kept = run / "checkpoints"
    keep = ModelCheckpoint(kept, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    trainer = tiny_trainer(
        run,
        max_steps=STEPS,
        max_epochs=-1,
        callbacks=[keep, Journal(run / "journal.jsonl")],
        enable_checkpointing=True,
    )
    found = sorted(kept.glob("*.ckpt"), key=lambda path: int(path.stem.partition("=")[2]))
    whole = [path for path in found if zipfile.is_zipfile(path)]
    newest = whole[-1] if whole else None
    with (run / "starts.txt").open("a") as starts:
        starts.write(f"{newest}\n")
    made = module(data, stage.processor, run / "cache")
    trainer.fit(stage, made, ckpt_path=newest, weights_only=True)


def forked(data: Path, run: Path, seed: int) -> int:
    """Train in a process of its own, and return its number."""
    child = os.fork()
    if child == 0:
        try:
            train(data, run, seed)
            os._exit(0)
        except BaseException:
            logging.disable(logging.NOTSET)
            logging.exception("training failed")
            os._exit(1)
    return child


def killed(child: int, journal: Path, steps: int) -> None:
    """Kill a process without warning, some time after it has written so many steps."""
    deadline = time.monotonic() + 120
    while not journal.exists() or len(journal.read_text().splitlines()) < steps:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{journal} has not reached {steps} steps")
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(folder: Path) -> int:
    data, whole, victim = folder / "data", folder / "whole", folder / "victim"
    for path in (data, whole, victim):
        path.mkdir()
    write_data(data)
    codes = [os.waitpid(forked(data, whole, seed=0), 0)[1]]
    for number, steps in enumerate(KILLS):
        child = forked(data, victim, seed=number)
        killed(child, victim / "journal.jsonl", steps)
    codes.append(os.waitpid(forked(data, victim, seed=9), 0)[1])
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
