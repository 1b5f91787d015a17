"""Names of published models: missing folders, hubs that do not answer, the cache."""

import time
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

from mmlite.hub import local_folder, locate
from mmlite.models.timm_encoder import create_encoder


@pytest.fixture
def hub(monkeypatch):
    """A hub that answers as a test says, and a cache that holds one model."""
    answers = {}

    def ask(url, **settings):
        assert settings["timeout"] <= 10
        if isinstance(answers.get("error"), BaseException):
            raise answers["error"]

    def cached(name, file, *, revision):
        held = file in answers.get("cached_files", (file,))
        return f"/cache/{name}/{file}" if name == "owner/cached" and held and not revision else None

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", ask)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    return answers


def answer(status) -> Any:
    return SimpleNamespace(status_code=status, headers={}, request=None)


@pytest.mark.parametrize(
    "name", ["./gone", "../gone", "/gone/model", "~/gone", "models/deep/gone", "there/gone"]
)
def test_what_can_only_be_a_path_is_refused_at_once(name, tmp_path, monkeypatch, hub):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    hub["error"] = AssertionError("nobody is asked")
    with pytest.raises(ValueError, match=r"language\.name: got '.*gone.*no such folder \(the last"):
        locate(name, key="language.name")
    with pytest.raises(ValueError, match="correct the path"):
        local_folder(name, key="name")


def test_a_folder_is_local_and_may_begin_at_home(tmp_path, monkeypatch, hub):
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    hub["error"] = AssertionError("nobody is asked")
    assert locate("~/there", key="k") == (str(tmp_path / "there"), True, "")
    assert locate(str(tmp_path / "there"), key="k").note == ""


def test_a_hub_that_cannot_be_reached_is_told_at_once(hub, caplog):
    hub["error"] = ConnectionError("no route")
    with pytest.raises(ValueError, match=r"not in the local cache, and .*reached \(no route\)"):
        locate("owner/model", key="language.name")
    with caplog.at_level("INFO"):
        assert locate("owner/cached", key="language.name")[:2] == ("owner/cached", True)
    assert "owner/cached is read from the local cache" in caplog.text


def test_offline_mode_is_respected(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub["error"] = AssertionError("nobody is asked")
    with pytest.raises(ValueError, match="not in the local cache, and HF_HUB_OFFLINE is set"):
        locate("owner/model", key="language.name")
    assert locate("owner/cached", key="language.name").is_local


def test_what_the_hub_answers(hub):
    assert locate("owner/model", key="k") == ("owner/model", False, "")
    hub["error"] = RemoteEntryNotFoundError("no such file", response=answer(404))
    assert not locate("owner/model", key="k").is_local
    hub["error"] = RepositoryNotFoundError("no such model", response=answer(401))
    with pytest.raises(ValueError, match=r"hub does not give \(no such model\).*hf auth login"):
        locate("owner/model", key="k")


def test_a_cached_model_that_the_hub_no_longer_gives_is_read_from_the_cache(hub, caplog):
    hub["error"] = RepositoryNotFoundError("the token has expired", response=answer(401))
    with caplog.at_level("INFO"):
        found = locate("owner/cached", key="k")
    assert found[:2] == ("owner/cached", True)
    assert "for the Hugging Face hub answers 401 (the token has expired); to be" in found.note
    assert "log in (hf auth login)" in found.note
    assert "read from the local cache: the Hugging Face hub answers 401 (the token" in caplog.text


def test_a_model_is_looked_up_at_its_revision(hub):
    hub["error"] = ConnectionError("no route")
    with pytest.raises(ValueError, match=r"got 'owner/cached' at revision 'v2', which is no local"):
        locate("owner/cached", key="k", revision="v2")
    with pytest.raises(ValueError, match=r"vision.model_name: got 'owner/cached' at revision 'v2'"):
        create_encoder("hf-hub:owner/cached@v2", pretrained=True, model_args={})


@pytest.mark.parametrize("name", ["hf-hub:owner/cached@", "hf-hub:owner/cached@a@b"])
def test_what_is_no_revision_is_refused(hub, name):
    hub["error"] = AssertionError("nobody is asked")
    with pytest.raises(ValueError, match=rf"got '{name}', allowed: hf-hub:OWNER/NAME, or .*one @"):
        create_encoder(name, pretrained=True, model_args={})


def test_one_of_several_files_is_enough_for_the_cache(hub):
    hub["cached_files"] = ("tokenizer.json",)
    hub["error"] = ConnectionError("no route")
    both = ("tokenizer_config.json", "tokenizer.json")
    assert locate("owner/cached", key="k", files=both).is_local
    with pytest.raises(ValueError, match="not in the local cache"):
        locate("owner/cached", key="k", files=both[:1])


def test_what_is_no_name_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"k: got 'a b', which is neither a folder nor a name"):
        locate("a b", key="k")


def test_without_a_network_nothing_is_tried_again(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    start = time.monotonic()
    with pytest.raises(ValueError, match="the Hugging Face hub cannot be reached"):
        locate("owner/model", key="k")
    assert time.monotonic() - start < 5
