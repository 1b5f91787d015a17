"""Reading language models of transformers; what is wrong with their files, in one sentence."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils.logging import get_verbosity, set_verbosity

from mmlite.hub import Published, locate

_log = logging.getLogger(__name__)

UNBUILDABLE = (
    *(OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError),
    *(ZeroDivisionError, AssertionError, SafetensorError, StrictDataclassError),
)
"""What transformers raises at files and configurations that it cannot build a model of."""


def read_language_model(
    name: str, *, dtype: str, attention: str, revision: str | None = None
) -> PreTrainedModel:
    """Read a published language model, whole; code from the checkpoint is never run.

    Args:
        name: Local folder or Hugging Face name.
        dtype: Type of the weights.
        attention: Attention implementation.
        revision: Commit, tag or branch on the hub; None: the newest.

    Raises:
        ValueError: If it is not there, or its files do not make a language model.
    """
    found = locate(name, key="language.name", revision=revision)
    config = _read_config(name, found, revision)
    try:
        with quiet():
            read: Any = AutoModelForCausalLM.from_pretrained(
                found.name,
                config=config,
                dtype=getattr(torch, dtype),
                attn_implementation=attention,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=found.is_local,
                revision=revision,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below; what transformers raises names none
            )
    except ImportError as error:
        raise _no_attention(attention, error) from error
    except UNBUILDABLE as error:
        file = _damaged(Path(found.name))
        what = f"which cannot be loaded ({told(error)}{found.note})"
        what = what if file is None else f"whose file {file} is damaged or cut off ({told(error)})"
        raise _unusable(name, what) from error
    model, info = read
    if mismatched := sorted(info["mismatched_keys"], key=str):
        key, given, wanted = (*mismatched[0], "", "")[:3]
        raise _unusable(
            name,
            f"of whose weights {len(mismatched)} have another shape than its config.json says, "
            f"such as {key}: {_shape(given)} in the files, {_shape(wanted)} by config.json",
        )
    if missing := sorted(info["missing_keys"]):
        raise _unusable(
            name,
            f"whose files lack {len(missing)} of the model's weights, such as "
            f"{', '.join(missing[:3])}",
        )
    if unexpected := sorted(info["unexpected_keys"]):
        names = ", ".join(unexpected[:4])
        _log.warning("language.name: %d weights of %s left out: %s", len(unexpected), name, names)
    return model


def shape_language_model(
    name: str, vocabulary_size: int, *, dtype: str, attention: str, revision: str | None = None
) -> PreTrainedModel:
    """Build a published model from its configuration alone, with room for a vocabulary."""
    found = locate(name, key="language.name", revision=revision)
    config: Any = _read_config(name, found, revision)
    config.vocab_size = max(config.vocab_size, vocabulary_size)
    try:
        return AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, dtype), attn_implementation=attention
        )
    except ImportError as error:
        raise _no_attention(attention, error) from error
    except UNBUILDABLE as error:
        raise _unusable(name, f"which cannot be built ({told(error)})") from error


def new_language_model(
    model_type: str, fields: Mapping[str, Any], *, vocabulary_size: int, attention: str
) -> PreTrainedModel:
    """Build a language model with fresh weights.

    Raises:
        ValueError: If the fields of its configuration do not make a language model.
    """
    try:
        config = AutoConfig.for_model(model_type, vocab_size=vocabulary_size, **fields)
        problem = _inconsistent(config)
        if not problem:
            return AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    except ImportError as error:
        raise _no_attention(attention, error) from error
    except UNBUILDABLE as error:
        raise _wrong_fields(model_type, fields, told(error)) from error
    raise _wrong_fields(model_type, fields, problem)


def published_dtype(name: str) -> str:
    """Return the type a model was published in; float32 where its configuration does not say."""
    config: Any = _read_config(name, locate(name, key="language.name"), None)
    return str(config.dtype or "float32").removeprefix("torch.")


def told(error: BaseException) -> str:
    """Return what a library says, as part of a sentence."""
    text = " ".join(str(error).split())
    text = f"{error.args[0]!r} is not known" if isinstance(error, KeyError) and error.args else text
    return text[:300] or type(error).__name__


def _read_config(name: str, found: Published, revision: str | None) -> PreTrainedConfig:
    settings = {"local_files_only": found.is_local, "revision": revision}
    try:
        fields, _ = PreTrainedConfig.get_config_dict(found.name, **settings)
        kind = fields.get("model_type") if isinstance(fields, Mapping) else None
        if kind not in CONFIG_MAPPING:
            given = f"model_type {kind!r}" if kind else "no model_type"
            raise _unusable(
                name,
                f"whose config.json has {given}, where the installed transformers needs one it "
                "knows, such as qwen3 or llama",
            )
        config = AutoConfig.from_pretrained(found.name, trust_remote_code=False, **settings)
    except ValueError as error:
        if str(error).startswith("language.name"):
            raise
        raise _unusable(name, f"whose config.json is wrong ({told(error)})") from error
    except UNBUILDABLE as error:
        raise _unusable(name, f"whose config.json is wrong ({told(error)})") from error
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise _unusable(name, f"which is a {config.model_type} and no causal language model")
    if problem := _inconsistent(config):
        raise _unusable(name, f"whose config.json is wrong ({problem})")
    return config


def _inconsistent(config: PreTrainedConfig) -> str:
    """Return which sizes do not go together; transformers notices when a text is read, if ever."""
    names = ("num_attention_heads", "num_key_value_heads", "hidden_size")
    sizes = {name: getattr(config, name, None) for name in names}
    for name, value in sizes.items():
        if isinstance(value, int) and value < 1:
            return f"{name} is {value}"
    heads, groups, size = sizes.values()
    if isinstance(heads, int) and isinstance(groups, int) and heads % groups:
        return f"num_attention_heads {heads} is no multiple of num_key_value_heads {groups}"
    splits_size = getattr(config, "head_dim", None) is None
    if splits_size and isinstance(heads, int) and isinstance(size, int) and size % heads:
        return f"hidden_size {size} is no multiple of num_attention_heads {heads}"
    return ""


def _damaged(folder: Path) -> Path | None:
    """Return the first file of weights that cannot be opened."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError):
            return file
    return None


def _unusable(name: str, what: str) -> ValueError:
    return ValueError(
        f"language.name: got {name!r}, {what}; allowed: a local folder with config.json and "
        "safetensors that belong together, or a Hugging Face name; get the model again"
    )


def _wrong_fields(model_type: str, fields: Mapping[str, Any], why: str) -> ValueError:
    return ValueError(
        f"language.config: {why}; got {dict(fields)}, allowed: values that make a {model_type} of "
        "transformers; correct them"
    )


def _no_attention(attention: str, error: ImportError) -> ValueError:
    return ValueError(
        f"language.attention: got {attention!r}, which cannot be used here ({told(error)}), "
        "allowed: sdpa and eager everywhere; or install what it needs"
    )


def _shape(size: Any) -> str:
    return " x ".join(map(str, size)) if size else "another shape"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing what is told in a sentence anyway."""
    before = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        set_verbosity(before)
