"""Tokenizers: published ones, and word-level ones for small worlds."""

from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from mmlite.hub import locate
from mmlite.microworld.knowledge import Knowledge
from mmlite.microworld.vocabulary import PUNCTUATION, words
from mmlite.nlvr.vocabulary import VOCABULARY
from mmlite.records import IMAGE_PLACEHOLDER

SPECIAL = ("<pad>", "<unk>", "<user>", "<assistant>", "<end>", "<image>")


def word_tokenizer(
    vocabulary: Sequence[str], *, special: Sequence[str] = SPECIAL
) -> PreTrainedTokenizerFast:
    """Build a tokenizer whose tokens are words and punctuation.

    Args:
        vocabulary: The words, each once; unknown ones become `<unk>`.
        special: Special tokens, which come first; `<pad>`, `<unk>` and `<end>` must be there.
    """
    needed = ("<pad>", "<unk>", "<end>")
    if not set(needed) <= set(special):
        raise ValueError(
            f"special: got {', '.join(special)}, allowed: any that include {', '.join(needed)}; "
            "add the missing ones"
        )
    tokens = dict.fromkeys([*special, *vocabulary])
    ids = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split(Regex(r"<[a-z]+>|[\w-]+|[^\w\s]"), "removed", invert=True)
    # Words are joined by spaces, with none before punctuation.
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.WordPiece(cleanup=False),
            decoders.Fuse(),
            *(decoders.Replace(f" {mark}", mark) for mark in PUNCTUATION),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        additional_special_tokens=[token for token in special if token not in needed],
        clean_up_tokenization_spaces=False,
    )


def micro_tokenizer(num_beings: int = 300, seed: int = 0) -> PreTrainedTokenizerFast:
    """Build the tokenizer of the micro-world.

    Args:
        num_beings: Beings of the invented world, one word each.
        seed: Which invented world.
    """
    return word_tokenizer(words(Knowledge(num_beings, seed)))


def nlvr_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer of NLVR; words outside `mmlite.nlvr.vocabulary` become `<unk>`."""
    return word_tokenizer(VOCABULARY)


def pretrained_tokenizer(
    name: str, image_token: str = IMAGE_PLACEHOLDER, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """Load a published tokenizer; code from the checkpoint is never run.

    From a local folder, nothing is looked up on a network.

    Args:
        name: Local folder or Hugging Face name, such as `Qwen/Qwen3-0.6B`.
        image_token: Added as a special token where the tokenizer lacks it. Its id comes after all
            others; language models whose table has no row for it grow.
        revision: Commit, tag or branch on the hub; null: the newest.

    Raises:
        ValueError: If there is no tokenizer of that name.
    """
    allowed = "allowed: a local folder with the files of a tokenizer, or a Hugging Face name"
    files = ("tokenizer_config.json", "tokenizer.json", "tokenizer.model", "vocab.json")
    found = locate(name, key="tokenizer.name", files=files, revision=revision)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            found.name,
            trust_remote_code=False,
            local_files_only=found.is_local,
            revision=revision,
        )
    except (OSError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())
        raise ValueError(
            f"tokenizer.name: got {name!r}, which cannot be loaded ({text[:300]}{found.note}); "
            f"{allowed}"
        ) from error
    if not tokenizer("A picture of two.", add_special_tokens=False)["input_ids"]:
        # transformers makes an empty one where a folder has config.json alone.
        raise ValueError(
            f"tokenizer.name: got {name!r}, whose tokenizer makes no tokens of plain text: its "
            f"files are missing or empty; {allowed}"
        )
    if image_token not in tokenizer.get_vocab():
        tokenizer.add_tokens([AddedToken(image_token, special=True, normalized=False)])
    return tokenizer
