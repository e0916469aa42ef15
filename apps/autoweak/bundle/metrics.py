"""The metrics of the configs, as handlers of MONAI's engines."""

from __future__ import annotations

from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import DiceMetric


def mean_dice() -> IgniteMetricHandler:
    """Mean Dice over labels and images, 0 to 1, of one-hot `pred` and `label`.

    A label that is in neither counts 1, one that is in only one of them 0, as `autoweak evaluate` counts; MONAI's own
    `MeanDice` leaves out labels that the truth lacks.
    """
    metric = DiceMetric(include_background=False, ignore_empty=False)
    return IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(["pred", "label"]))
