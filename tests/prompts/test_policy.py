"""Policies: names, options, and one sentence for each mistake."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from autoweak.errors import PromptError
from autoweak.prompts import POLICIES, Keep, Positive, PromptKind, PromptPolicy, get_policy


def test_policies_are_listed_under_their_names() -> None:
    assert {"default", "box", "points", "box_points", "two_pass", "s1_box_published", "s1_points_published"} <= set(
        POLICIES
    )
    assert all(policy.name == name for name, policy in POLICIES.items())


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_survives_the_way_through_json_values(name: str) -> None:
    assert PromptPolicy(**get_policy(name).to_dict()) == get_policy(name)


def test_overrides_replace_single_fields_and_accept_plain_values() -> None:
    policy = get_policy("points", components=3, thresholds=[0.9, 0.1], keep="probability", positive="median")
    assert (policy.name, policy.kind, policy.components) == ("points", PromptKind.POINTS, 3)
    assert (policy.thresholds, policy.keep, policy.positive) == ((0.9, 0.1), Keep.PROBABILITY, Positive.MEDIAN)


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        get_policy("box").margin = 1.0  # type: ignore[misc]


def test_an_unknown_policy_or_option_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PromptError, match=r"no prompt policy named 'boxx'.*two_pass"):
        get_policy("boxx")
    with pytest.raises(PromptError, match=r"no option 'threshold'.*thresholds"):
        get_policy("box", threshold=0.5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("kind", "circle"),
        ("kind", None),
        ("thresholds", ()),
        ("thresholds", "0.5"),
        ("thresholds", (0.0,)),
        ("thresholds", (1.5,)),
        ("thresholds", (float("nan"),)),
        ("thresholds", (True,)),
        ("peak", -0.1),
        ("peak", "high"),
        ("minimum_area", float("inf")),
        ("relative_area", 1.1),
        ("margin", -1),
        ("components", 0),
        ("components", 1.0),
        ("components", True),
        ("negatives", 17),
        ("passes", 3),
        ("connectivity", 6),
        ("fill_holes", 1),
        ("canvas", 0),
        ("keep", "best"),
        ("positive", "centre"),
    ],
)
def test_a_bad_value_is_refused_with_one_sentence_naming_field_and_value(option: str, value: Any) -> None:
    with pytest.raises(PromptError) as refusal:
        get_policy("box", **{option: value})
    sentence = str(refusal.value)
    assert option in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_two_passes_need_box_and_points() -> None:
    with pytest.raises(PromptError, match="box_points"):
        get_policy("box", passes=2)


def test_a_policy_needs_a_name() -> None:
    with pytest.raises(PromptError, match="needs a name"):
        PromptPolicy(name="")


def test_the_floor_is_the_stricter_of_peak_and_lowest_threshold() -> None:
    assert get_policy("box", thresholds=(0.5, 0.2), peak=0.35).floor == 0.35
    assert get_policy("box", thresholds=(0.5, 0.4), peak=0.35).floor == 0.4
