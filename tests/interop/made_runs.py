"""Runs as a user leaves them, with tiny random models, made without training."""

from pathlib import Path
from typing import Any

import torch
import yaml
from real_folders import SIGLIP, SIGLIP_ARGS, save_qwen

from mmlite.runs import CONFIG_FILE, build_stage
from mmlite.stages.weights import WEIGHTS_FILE

FIXED = {"size_px": 42, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
PADDED = {**FIXED, "fit": "pad"}
ANYRES = {
    "class_path": "mmlite.images.AnyRes",
    "init_args": {"size_px": 42, "grid_rows": 3, "grid_columns": 3, "max_tiles": 2},
}
QWEN = {"class_path": "mmlite.chat.qwen_1_5"}
OWN = {"class_path": "mmlite.chat.TokenizerTemplate"}


def run_config(folder: Path, *, image: Any, chat: Any, **changes: Any) -> dict[str, Any]:
    """The composed configuration of a run; `changes` go into the stage's arguments."""
    qwen = folder.parent / "qwen"
    if not qwen.is_dir():
        save_qwen(qwen, tied=changes.pop("tied", True))
    return {
        "seed_everything": 0,
        "trainer": {"max_steps": 3},
        "processor": {
            "class_path": "mmlite.processor.Processor",
            "init_args": {
                "tokenizer": {
                    "class_path": "mmlite.tokenizers.pretrained_tokenizer",
                    "init_args": {"name": str(qwen)},
                },
                "chat": chat,
                "image": image,
                "tokens_per_tile": 9,
                "max_tokens": 2048,
            },
        },
        "model": {
            "class_path": "mmlite.stages.InstructionTuning",
            "init_args": {
                "language": {
                    "class_path": "mmlite.models.PretrainedLanguageModel",
                    "init_args": {"name": str(qwen)},
                },
                "vision": {
                    "class_path": "mmlite.models.TimmVision",
                    "init_args": {
                        "model_name": SIGLIP,
                        "feature_layer": -2,
                        "model_args": dict(SIGLIP_ARGS),
                    },
                },
                "projector": {"class_path": "mmlite.models.MLPProjector"},
                "trainable": ["vision", "projector", "language"],
                "decoding": {"max_new_tokens": 24},
                **changes,
            },
        },
        "data": {
            "class_path": "data_modules.QAData",
            "init_args": {
                "train": [
                    {
                        "source": {
                            "class_path": "data_modules.sources.LLaVA",
                            "init_args": {"train": "data/train.json"},
                        },
                        "limit": 100,
                    }
                ]
            },
        },
    }


def make_run(folder: Path, **choices: Any) -> Path:
    """Leave what a run leaves: its configuration and the weights it trained."""
    folder.mkdir(parents=True)
    config = run_config(folder, **choices)
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(config))
    torch.manual_seed(3)
    stage = build_stage(config)
    stage.configure_model()
    with torch.no_grad():
        for parameter in stage.built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    stage.save(folder / WEIGHTS_FILE)
    return folder
