"""Random tiny checkpoints under the names of other programs, and their forward passes restated."""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, linear
from transformers import Qwen3Config, Qwen3ForCausalLM, SiglipVisionConfig, SiglipVisionModel

VOCABULARY = 24
TEXT_DIM = 16
VISION_DIM = 12
IMAGE_PX = 16
PATCH_PX = 4


def random_tower(*, layers: int = 2, head: bool = False) -> SiglipVisionModel:
    config = SiglipVisionConfig(
        hidden_size=VISION_DIM,
        intermediate_size=20,
        num_hidden_layers=layers,
        num_attention_heads=2,
        image_size=IMAGE_PX,
        patch_size=PATCH_PX,
        vision_use_head=head,
    )
    tower = SiglipVisionModel._from_config(config).eval()
    shaken(tower)
    return tower


def random_language(*, tied: bool, vocabulary: int = VOCABULARY) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=TEXT_DIM,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        tie_word_embeddings=tied,
    )
    language = Qwen3ForCausalLM(config).eval()
    shaken(language)
    return language


def shaken(module: nn.Module) -> None:
    """Give every weight a value of its own, norms and biases too."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)


class AuthorsModel:
    """The forward pass of `LlavaQwen3ForCausalLM`, told again from its parts (LLaVA-NeXT).

    Vision: all layers that are left of SigLIP, no norm after them. Projector: linear, GELU,
    linear. Language: Qwen3 over embeddings with the features where the image stands.
    """

    def __init__(self, *, tied: bool = False, vocabulary: int = VOCABULARY) -> None:
        torch.manual_seed(1)
        self.tower = random_tower()
        self.language = random_language(tied=tied, vocabulary=vocabulary)
        self.projector = {
            "0.weight": torch.randn(TEXT_DIM, VISION_DIM) * 0.3,
            "0.bias": torch.randn(TEXT_DIM) * 0.3,
            "2.weight": torch.randn(TEXT_DIM, TEXT_DIM) * 0.3,
            "2.bias": torch.randn(TEXT_DIM) * 0.3,
        }
        self.newline = torch.randn(TEXT_DIM)

    def state(self) -> dict[str, Tensor]:
        tower = {_tower_name(name): value for name, value in self.tower.state_dict().items()}
        prefix = "model.vision_tower.vision_tower.vision_model."
        state = {
            **self.language.state_dict(),
            **{prefix + name: value for name, value in tower.items()},
            **{f"model.mm_projector.{name}": value for name, value in self.projector.items()},
            "model.image_newline": self.newline,
        }
        if self.language.config.tie_word_embeddings:
            del state["lm_head.weight"]
        return {name: value.clone() for name, value in state.items()}

    @torch.no_grad()
    def project(self, pixels: Tensor) -> Tensor:
        features = self.tower(pixels, output_hidden_states=True).hidden_states[-1]
        first = linear(features, self.projector["0.weight"], self.projector["0.bias"])
        return linear(gelu(first), self.projector["2.weight"], self.projector["2.bias"])

    @torch.no_grad()
    def anyres(self, tiles: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
        """Embeddings of one image, as arXiv:2511.17487's code makes them (`anyres_max_2`).

        The whole image, then the grid's tiles as one map without the rows and columns of its
        border, made smaller where it is too large, each row ended by the newline.

        Args:
            tiles: Pixels, the whole image first.
            size: Height and width of the image.
            grid: Rows and columns of tiles.
        """
        base, *rest = self.project(tiles)
        side = IMAGE_PX // PATCH_PX
        rows = []
        for row in range(grid[0]):
            cells = [t.view(side, side, -1) for t in rest[row * grid[1] : (row + 1) * grid[1]]]
            rows.append(torch.cat(cells, dim=1))
        field = torch.cat(rows, dim=0).permute(2, 0, 1)
        height, width = field.shape[1:]
        if size[1] / size[0] > width / height:
            border = (height - int(size[0] * (width / size[1]))) // 2
            field = field[:, border : height - border]
        else:
            border = (width - int(size[1] * (height / size[0]))) // 2
            field = field[:, :, border : width - border]
        height, width = field.shape[1:]
        times = math.sqrt(height * width / (2 * side**2))
        if times > 1.1:
            new = int(height // times), int(width // times)
            field = interpolate(field[None], new, mode="bilinear")[0]
        ends = self.newline[:, None, None].expand(-1, field.shape[1], 1)
        return torch.cat([base, torch.cat([field, ends], dim=2).flatten(1).T])

    @torch.no_grad()
    def logits(self, before: list[int], image: Tensor | None, after: list[int]) -> Tensor:
        """Logits of one row: tokens, the embeddings of an image, tokens."""
        table = self.language.model.embed_tokens
        pieces = [table(torch.tensor(ids, dtype=torch.long)) for ids in (before, after)]
        if image is not None:
            pieces.insert(1, image)
        return self.language(inputs_embeds=torch.cat(pieces).unsqueeze(0)).logits[0]


def _tower_name(name: str) -> str:
    return name.removeprefix("vision_model.")


def save_whole(state: dict[str, Tensor], folder: Path) -> Path:
    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def save_spread(state: dict[str, Tensor], folder: Path, *, files: int = 3) -> Path:
    """Spread a checkpoint over several files with an index, as transformers does."""
    folder.mkdir(parents=True)
    names = sorted(state)
    where = {}
    for number in range(files):
        file = f"model-{number + 1:05d}-of-{files:05d}.safetensors"
        mine = names[number::files]
        save_file({name: state[name] for name in mine}, folder / file)
        where |= dict.fromkeys(mine, file)
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
