"""From quality to verdict."""

from __future__ import annotations

import pytest

from autoweak.errors import LabelError
from autoweak.weak_labels import Verdict, VerdictRule

RULE = VerdictRule()


def _judge(*qualities: float, calibrated: bool = True, share: float = 0.2, rule: VerdictRule = RULE) -> Verdict:
    return rule.judge(qualities, calibrated=calibrated, largest_share=share, foreground=share)


@pytest.mark.parametrize(
    ("quality", "verdict"),
    [
        (1.0, Verdict.ACCEPT),
        (0.8, Verdict.ACCEPT),
        (0.79, Verdict.REVIEW),
        (0.5, Verdict.REVIEW),
        (0.49, Verdict.REJECT),
        (0.0, Verdict.REJECT),
    ],
)
def test_the_verdict_follows_the_quality(quality: float, verdict: Verdict) -> None:
    assert _judge(quality) is verdict


def test_the_worst_class_decides() -> None:
    assert _judge(0.95, 0.6) is Verdict.REVIEW
    assert _judge(0.95, 0.3) is Verdict.REJECT


def test_without_calibration_nothing_is_accepted() -> None:
    assert _judge(1.0, calibrated=False) is Verdict.REVIEW
    assert _judge(0.1, calibrated=False) is Verdict.REJECT


def test_a_mask_of_almost_the_whole_image_is_rejected() -> None:
    assert _judge(0.95, share=0.98) is Verdict.REJECT
    assert _judge(0.95, share=0.97) is Verdict.ACCEPT
    assert _judge(0.95, share=1.0, rule=VerdictRule(most_foreground=1.0)) is Verdict.ACCEPT


def test_a_mask_of_almost_nothing_is_rejected_only_when_asked() -> None:
    assert _judge(0.95, share=0.001) is Verdict.ACCEPT
    assert _judge(0.95, share=0.001, rule=VerdictRule(least_foreground=0.03)) is Verdict.REJECT


@pytest.mark.parametrize(
    "limits", [{"accept": 0.4}, {"reject": -0.1}, {"accept": 1.1}, {"least_foreground": 0.98}, {"most_foreground": 0.0}]
)
def test_limits_that_contradict_each_other_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(LabelError, match="limits need"):
        VerdictRule(**limits)
