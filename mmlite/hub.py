"""Names of published models: a local folder, or a name on the Hugging Face hub."""

import logging
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RemoteEntryNotFoundError

_log = logging.getLogger(__name__)

SECONDS = 10
"""How long the hub may take to answer that it is there."""


class Published(NamedTuple):
    """Where a published model is read from.

    Attributes:
        name: Folder, or name on the hub, as libraries take it.
        is_local: Whether nothing is looked up on a network: it is a folder, or it is in the local
            cache and the hub cannot be reached or does not give it.
        why_cached: Why it is read from the cache; empty where it is not.
    """

    name: str
    is_local: bool
    why_cached: str = ""

    @property
    def note(self) -> str:
        """What to add to a message about files that are missing or damaged."""
        return self.why_cached and f"; it was read from the local cache, for {self.why_cached}"


def locate(
    name: str, *, key: str, files: tuple[str, ...] = ("config.json",), revision: str | None = None
) -> Published:
    """Find out where a model is read from; says at once where it cannot be.

    Libraries try a hub that cannot be reached again and again, once for each file.

    Args:
        name: Local folder or name on the hub.
        key: Where it was given, for the message.
        files: Files of which the model has one, or all; the first is asked for.
        revision: Commit, tag or branch on the hub; None: the newest.

    Raises:
        ValueError: If there is no such folder, or the model is neither cached nor given by the hub.
    """
    if folder := local_folder(name, key=key):
        return Published(str(folder), is_local=True)
    at = "" if revision is None else f" at revision {revision!r}"
    told, cached = f"{key}: got {name!r}{at}", None
    try:
        cached = _in_cache(name, files, revision)
        if huggingface_hub.constants.is_offline_mode():
            reason = "HF_HUB_OFFLINE is set"
        else:
            url = huggingface_hub.hf_hub_url(name, files[0], revision=revision)
            huggingface_hub.get_hf_file_metadata(url, timeout=SECONDS)
            return Published(name, is_local=False)
    except RemoteEntryNotFoundError:  # the model is there, and has other files
        return Published(name, is_local=False)
    except HFValidationError as error:
        raise ValueError(
            f"{told}, which is neither a folder nor a name on the Hugging Face hub, allowed: a "
            "local folder, or OWNER/NAME"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        reason = f"the Hugging Face hub answers {status} ({_first_line(error)})"
        refuses = status < 500 and status not in (408, 429)
        if refuses:
            reason += "; to be asked again, log in (hf auth login)"
        if refuses and cached is None:
            raise ValueError(
                f"{told}, which the Hugging Face hub does not give ({_first_line(error)}), "
                "allowed: a local folder, or the name of a model that is there and open to you; "
                "correct it, or log in (hf auth login)"
            ) from error
    except Exception as error:  # of whatever library the hub's own is made with
        reason = f"the Hugging Face hub cannot be reached ({_first_line(error)})"
    if cached is None:
        raise ValueError(
            f"{told}, which is no local folder and not in the local cache, and {reason}, allowed: "
            f"a local folder; or a name that is cached (hf download {name}, with a network)"
        )
    _log.info("%s: %s is read from the local cache: %s", key, name, reason)
    return Published(name, is_local=True, why_cached=reason)


def local_folder(name: str, *, key: str) -> Path | None:
    """Return the folder that a name means; None: it is a name on the hub.

    A name on the hub has at most one slash; and what stands before it is no folder here.

    Args:
        name: As given; `~` is the home folder.
        key: Where it was given, for the message.

    Raises:
        ValueError: If it can only be meant as a folder, and there is none.
    """
    folder = _folder(name)
    if folder.is_dir():
        return folder
    first, _, rest = name.partition("/")
    if not (name.startswith((".", "/", "~")) or "/" in rest or (rest and Path(first).is_dir())):
        return None
    there = folder
    while not there.is_dir():
        there = there.parent
    raise ValueError(
        f"{key}: got {name!r}, but there is no such folder (the last that exists is "
        f"{str(there)!r}), allowed: a local folder with the files of the model, or a Hugging "
        "Face name such as Qwen/Qwen3-0.6B; correct the path"
    )


def _in_cache(name: str, files: tuple[str, ...], revision: str | None) -> str | None:
    """Return where the local cache has one of the files; None: it has none of them."""
    found = (huggingface_hub.try_to_load_from_cache(name, f, revision=revision) for f in files)
    return next((file for file in found if isinstance(file, str)), None)


def _folder(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # of a user that does not exist
        return Path(name)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
