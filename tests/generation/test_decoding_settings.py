"""Decoding settings: what is refused, and what decides an outcome."""

import pytest

from mmlite.generation import Decoding


def test_wrong_settings_are_all_named():
    with pytest.raises(ValueError, match=r"max_new_tokens: got 0, allowed: 1 or more.*temperature"):
        Decoding(max_new_tokens=0, temperature=-0.5)
    with pytest.raises(ValueError, match=r"top_p: got 0.0, allowed: above 0.*top_k: got -1"):
        Decoding(top_p=0.0, top_k=-1)
    with pytest.raises(ValueError, match=r"temperature: got nan, allowed: 0, or 0.001 or more"):
        Decoding(temperature=float("nan"))


def test_settings_of_sampling_do_not_distinguish_greedy_decoding():
    assert Decoding(seed=1, top_k=3).to_json() == Decoding().to_json()
    sampled = Decoding(temperature=1.0)
    assert sampled.to_json() != Decoding(temperature=1.0, seed=1).to_json()
    assert sampled.to_json() != Decoding(temperature=0.5).to_json()
    assert Decoding(max_new_tokens=3).to_json() != Decoding().to_json()
