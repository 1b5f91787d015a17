"""Seconds from the command to the end of the first training step, by what they are spent on.

`python -m benchmarks.startup --first-step` makes a folder with a language model of Qwen3-0.6B's
shape (bfloat16, random), a tokenizer with as many tokens, an encoder of SigLIP so400m's shape
(float32, random) and a run over them that trains the projector, and starts `mmlite fit` for one
step of it. Its batch is one short caption of an image of 112 pixels, which has 64 tokens.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY = 151_936
ENCODER = "vit_so400m_patch14_siglip_384"
SIZE_PX = 112
LANGUAGE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "tie_word_embeddings": True,
}
RUN = """\
processor:
  class_path: mmlite.processor.Processor
  init_args:
    tokenizer:
      class_path: mmlite.tokenizers.pretrained_tokenizer
      init_args: {{name: {folder}/language}}
    chat: {{class_path: mmlite.chat.qwen_1_5}}
    image:
      class_path: mmlite.images.ImageTransform
      init_args: {{size_px: {size_px}, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}
    tokens_per_tile: 64
    max_tokens: 1024
model:
  class_path: mmlite.stages.CaptionAlignment
  init_args:
    language:
      class_path: mmlite.models.PretrainedLanguageModel
      init_args: {{name: {folder}/language, dtype: {dtype}}}
    vision:
      class_path: mmlite.models.TimmVision
      init_args:
        model_name: {encoder}
        weights: {folder}/encoder.safetensors
        feature_layer: -2
        model_args: {{img_size: {size_px}, act_layer: gelu_tanh}}
    projector: {{class_path: mmlite.models.MLPProjector}}
    optimizer: {{class_path: torch.optim.AdamW, init_args: {{lr: 0.001}}}}
data:
  class_path: data_modules.CaptionData
  init_args:
    train:
      - source:
          class_path: data_modules.sources.LLaVA
          init_args: {{image_root: {folder}, train: {folder}/captions.json}}
    budget: {{batch_size: 1}}
trainer: {{max_steps: 1, accelerator: cpu, limit_val_batches: 0}}
"""


def make_models(folder: Path) -> None:
    """Write language model, tokenizer, encoder and a caption; weights are small random numbers."""
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import save_file
    from torch import nn
    from transformers import Qwen3Config, Qwen3ForCausalLM

    numbers = 0.02 * torch.randn(1 << 28)

    def randomly(module: nn.Module) -> Any:
        for parameter in module.parameters():
            parameter.data.copy_(numbers[: parameter.numel()].view_as(parameter))
        return module

    with torch.device("meta"):
        language: Any = Qwen3ForCausalLM(Qwen3Config(**LANGUAGE))
        encoder = timm.create_model(ENCODER, num_classes=0, img_size=SIZE_PX)
    language.to(torch.bfloat16).to_empty(device="cpu").tie_weights()
    randomly(language).save_pretrained(folder / "language")
    del language
    save_file(randomly(encoder.to_empty(device="cpu")).state_dict(), folder / "encoder.safetensors")
    _tokenizer().save_pretrained(folder / "language")
    Image.new("RGB", (SIZE_PX, SIZE_PX)).save(folder / "image.png")
    words = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A square."}]
    rows = [{"id": "1", "image": "image.png", "conversations": words}]
    (folder / "captions.json").write_text(json.dumps(rows))


def _tokenizer() -> Any:
    """Return a byte-level tokenizer with as many tokens as Qwen's; which ones does not matter."""
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    letters = sorted(ByteLevel.alphabet())
    pairs = [(a, b) for a in letters for b in letters]
    triples = [(a + b, c) for a, b in pairs for c in letters[:2]]
    merges = (pairs + triples)[: VOCABULARY - 300 - len(letters)]
    vocabulary = {token: number for number, token in enumerate([*letters, *map("".join, merges)])}
    made = Tokenizer(BPE(vocabulary, merges))
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|im_start|>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special,
    )


def measure(dtype: str, threads: int) -> dict[str, tuple[float, float]]:
    """Return seconds and processor seconds of one start by phase.

    Models are made before and deleted after.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_models(folder)
        settings = {"folder": folder, "size_px": SIZE_PX, "encoder": ENCODER, "dtype": dtype}
        (folder / "run.yaml").write_text(RUN.format(**settings))
        files = [str(ROOT / "experiments" / "base.yaml"), str(folder / "run.yaml")]
        given = [part for file in files for part in ("-c", file)]
        command = [sys.executable, "-m", "benchmarks.first_step", str(folder / "seconds.json")]
        os.sync()  # what was written must not be on its way to the disk meanwhile
        subprocess.run(
            [*command, str(time.time()), "fit", *given, "--run", str(folder / "run")],
            check=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        return json.loads((folder / "seconds.json").read_text())


class Clock:
    """Seconds by phase; what a phase holds of others is counted for those alone."""

    def __init__(self, started: float) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.processor: dict[str, float] = defaultdict(float)
        self.before, self.used = started, 0.0
        self.phase = "Python and imports"

    def go_on(self, phase: str) -> str:
        """Begin another phase, and return the one that ends."""
        now, used, ended = time.time(), time.process_time(), self.phase
        self.seconds[ended] += now - self.before
        self.processor[ended] += used - self.used
        self.before, self.used, self.phase = now, used, phase
        return ended

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        """Count the time in a function for a phase."""
        call: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            outer = self.go_on(phase)
            try:
                return call(*args, **kwargs)
            finally:
                self.go_on(outer)

        setattr(owner, name, timed)


def main(out: Path, started: float, arguments: list[str]) -> None:
    """Train one step in this process and write the seconds."""
    clock = Clock(started)
    from mmlite.training.imports import imported_for_good

    with imported_for_good():  # as the command line does
        from mmlite.training import command
    from lightning import Callback
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import callbacks
    import data_modules
    from mmlite.models import vision

    assert callbacks, "imported before its YAML is parsed"
    assert data_modules, "imported before its YAML is parsed"

    class Marks(Callback):
        def on_train_start(self, *args: Any, **kwargs: Any) -> None:
            clock.go_on("data")

        def on_train_batch_start(self, *args: Any, **kwargs: Any) -> None:
            clock.go_on("first step")

        def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
            clock.go_on("the rest")
            found = {phase: (s, clock.processor[phase]) for phase, s in clock.seconds.items()}
            out.write_text(json.dumps(found))

    clock.go_on("parsing")
    clock.wrap(command.MMLiteCLI, "instantiate_classes", "building")
    clock.wrap(AutoTokenizer, "from_pretrained", "tokenizer")
    clock.wrap(vision, "loaded_without_drawing", "vision encoder")
    clock.wrap(AutoModelForCausalLM, "from_pretrained", "language model")
    clock.wrap(command.MMLiteCLI, "_run_subcommand", "the trainer's start")
    command.run(arguments, callbacks=[Marks()])


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
