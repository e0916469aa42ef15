"""Encode once, decode many: laws of every promptable model."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from autoweak.errors import PromptError
from autoweak.promptable.model import Promptable, load_promptable
from autoweak.promptable.registry import SAM_CONTRACT


def test_many_boxes_give_what_each_gives_alone(sam_model: Promptable, image: np.ndarray) -> None:
    embedding = sam_model.encode(image)
    boxes = np.array([[0, 0, 130, 89], [30, 10, 90, 70], [5, 5, 5, 5]], float)
    together = sam_model.decode(embedding, boxes=boxes)
    for index, box in enumerate(boxes):
        alone = sam_model.decode(embedding, boxes=box[None])
        np.testing.assert_allclose(together.logits[index], alone.logits[0], atol=1e-4)
        np.testing.assert_allclose(together.predicted_iou[index], alone.predicted_iou[0], atol=1e-4)


def test_prompts_with_different_numbers_of_points_keep_their_order(sam_model: Promptable, image: np.ndarray) -> None:
    embedding = sam_model.encode(image)
    points = [[(60, 40, True)], [(60, 40, True), (5, 5, False)], [(10, 80, True)]]
    together = sam_model.decode(embedding, points=points)
    for index, each in enumerate(points):
        alone = sam_model.decode(embedding, points=[each])
        np.testing.assert_allclose(together.logits[index], alone.logits[0], atol=1e-4)


def test_thirty_two_boxes_are_one_call_of_the_decoder(
    sam_model: Promptable, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = sam_model._network.mask_decoder
    calls = []
    original = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda **given: calls.append(1) or original(**given))
    result = sam_model.decode(sam_model.encode(image), boxes=[[0, 0, 50, 50]] * 32)
    assert len(calls) == 1
    assert len(result.masks) == 32


def test_result_has_the_promised_shapes_and_types(sam_model: Promptable, image: np.ndarray) -> None:
    result = sam_model.decode(sam_model.encode(image), boxes=[[1, 2, 3, 4], [0, 0, 130, 89]])
    assert result.logits.shape == result.masks.shape == (2, 90, 131)
    assert (result.logits.dtype, result.masks.dtype) == (np.float32, np.bool_)
    assert result.predicted_iou.shape == (2,)
    assert result.low_res_logits.shape == (2, 64, 64)


def test_no_boxes_give_no_masks(sam_model: Promptable, image: np.ndarray) -> None:
    result = sam_model.decode(sam_model.encode(image), boxes=np.zeros((0, 4)))
    assert result.masks.shape == (0, 90, 131)


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ({}, "No prompt was given"),
        ({"boxes": [[0, 0, 5, 5]], "points": [[(1, 1, True)], [(2, 2, True)]]}, "the same number of prompts"),
        ({"boxes": [0, 0, 5, 5]}, r"\(N, 4\)"),
        ({"boxes": [[0, 0, np.nan, 5]]}, "finite"),
        ({"boxes": [[9, 0, 5, 5]]}, "x0 <= x1"),
        ({"points": [[]]}, "one or more points"),
        ({"points": [[(np.inf, 0, True)]]}, "finite"),
        ({"masks": np.zeros((1, 3, 3))}, "low_res_logits of this model"),
    ],
)
def test_malformed_prompts_are_refused(sam_model: Promptable, image: np.ndarray, prompts: dict, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        sam_model.decode(sam_model.encode(image), **prompts)


def test_key_names_content_contract_and_weights(sam_model: Promptable, medsam_model: Promptable) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    other_weights = Promptable(sam_model._network, name="x", sha256="1" * 64, contract=sam_model.contract)
    keys = [
        sam_model.key_of(image),
        sam_model.key_of(image.reshape(4, 3)),
        sam_model.key_of(image + 1),
        medsam_model.key_of(image),
        other_weights.key_of(image),
    ]
    assert len(set(keys)) == len(keys)
    assert sam_model.key_of(image) == sam_model.key_of(image[..., None]) == sam_model.encode(image).key


def test_small_model_finds_a_disc_from_box_or_point(image: np.ndarray) -> None:
    model = load_promptable("small")
    rows, columns = np.mgrid[:90, :131]
    disc = np.hypot(rows - 40, columns - 60) < 25
    embedding = model.encode(image)
    box = model.decode(embedding, boxes=[[35, 15, 85, 65]])
    assert _dice(box.masks[0], disc) > 0.93
    assert box.predicted_iou[0] > 0.7
    point = model.decode(embedding, points=[[(60, 40, True), (5, 5, False)]])
    assert _dice(point.masks[0], disc) > 0.85
    again = model.decode(embedding, points=[[(60, 40, True), (5, 5, False)]], masks=box.low_res_logits)
    assert _dice(again.masks[0], disc) > 0.93


def test_using_a_model_changes_nothing_global_and_is_repeatable(image: np.ndarray) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second = (
        model.decode(model.encode(image), boxes=[[30, 10, 90, 70]])
        for model in (load_promptable("small"), load_promptable("small"))
    )
    assert np.array_equal(first.logits, second.logits)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


class Scarce:
    """A mask decoder with memory for a few prompts at a time."""

    def __init__(self, forward, room: int) -> None:
        self.forward, self.room, self.tried = forward, room, []

    def __call__(self, **given):
        count = len(given["sparse_prompt_embeddings"])
        self.tried.append(count)
        if count > self.room:
            raise torch.OutOfMemoryError
        return self.forward(**given)


@pytest.mark.parametrize("room", [1, 7, 16])
def test_out_of_memory_halves_the_prompts_decoded_at_once(
    sam_model: Promptable, image: np.ndarray, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = sam_model.encode(image)
    boxes = np.array([[n, 0, 60 + n, 50] for n in range(32)], float)
    wanted = sam_model.decode(embedding, boxes=boxes)
    scarce = Scarce(sam_model._network.mask_decoder.forward, room)
    monkeypatch.setattr(sam_model._network.mask_decoder, "forward", scarce)
    monkeypatch.setattr(sam_model, "_chunk", 32)
    found = sam_model.decode(embedding, boxes=boxes)
    np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-4)
    assert scarce.tried[:2] == [32, 16]
    tried = len(scarce.tried)
    sam_model.decode(embedding, boxes=boxes)
    assert max(scarce.tried[tried:]) <= room, "what did not fit once is not tried again"


def test_without_memory_on_the_cpu_there_is_one_sentence(
    sam_model: Promptable, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = sam_model.encode(image)
    monkeypatch.setattr(sam_model._network.mask_decoder, "forward", Scarce(None, 0))
    monkeypatch.setattr(sam_model, "_chunk", 32)
    with pytest.raises(PromptError, match="not enough memory"):
        sam_model.decode(embedding, boxes=[[0, 0, 9, 9]])


def test_bfloat16_masks_agree_with_float32_and_are_kept_apart(tiny_sam: Sam, image: np.ndarray) -> None:
    precise, fast = (
        Promptable(
            copy.deepcopy(tiny_sam), name="x", sha256="0" * 64, contract=SAM_CONTRACT, device="cpu", precision=precision
        )
        for precision in ("float32", "bfloat16")
    )
    boxes = [[0, 0, 130, 89], [30, 10, 90, 70]]
    wanted, found = (model.decode(model.encode(image), boxes=boxes) for model in (precise, fast))
    assert _dice(found.masks, wanted.masks) > 0.99
    assert (precise.precision, fast.precision) == ("float32", "bfloat16")
    assert precise.key_of(image) != fast.key_of(image)


@pytest.mark.gpu
def test_gpu_masks_agree_with_the_cpu(tiny_sam: Sam, image: np.ndarray) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here")
    on_cpu, on_gpu = (
        Promptable(
            copy.deepcopy(tiny_sam),
            name="x",
            sha256="0" * 64,
            contract=SAM_CONTRACT,
            device=device,
            precision="float32",
        )
        for device in ("cpu", "cuda")
    )
    wanted, found = (model.decode(model.encode(image), boxes=[[30, 10, 90, 70]]) for model in (on_cpu, on_gpu))
    np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-2)
