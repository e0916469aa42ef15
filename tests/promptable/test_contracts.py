"""Our masks against plain writings-down of the published procedures, on segment_anything's unmodified modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from skimage import transform

from autoweak.errors import ImageError
from autoweak.promptable import contracts
from autoweak.promptable.model import Promptable
from autoweak.promptable.registry import MEDSAM_CONTRACT, SAM_CONTRACT, SMALL_CONTRACT

SIZES = [(64, 64), (67, 101), (211, 97), (300, 33), (1, 5)]


def make_image(size: tuple[int, int], channels: int) -> np.ndarray:
    shape = size if channels == 1 else (*size, channels)
    return np.random.default_rng(size[0]).integers(0, 256, shape).astype(np.uint8)


def make_boxes(size: tuple[int, int], count: int) -> np.ndarray:
    height, width = size
    corners = np.random.default_rng(count).uniform(0, 1, (count, 2, 2)) * (width - 1, height - 1)
    boxes = np.sort(corners, axis=1).reshape(count, 4)
    boxes[0] = 0, 0, width - 1, height - 1
    return boxes


def rgb(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.stack([image] * 3, -1)


def sam_reference(sam: Sam, image: np.ndarray, boxes: np.ndarray) -> torch.Tensor:
    """SAM's own predictor: (N, H, W) logits."""
    predictor = SamPredictor(sam)
    predictor.set_image(rgb(image))
    scaled = predictor.transform.apply_boxes_torch(torch.as_tensor(boxes, dtype=torch.float), image.shape[:2])
    logits, _, _ = predictor.predict_torch(None, None, boxes=scaled, multimask_output=False, return_logits=True)
    return logits[:, 0]


@torch.no_grad()
def medsam_reference(sam: Sam, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """MedSAM's published inference for one box: (H, W) probabilities."""
    side = sam.image_encoder.img_size
    height, width = image.shape[:2]
    resized = transform.resize(rgb(image), (side, side), order=3, preserve_range=True, anti_aliasing=True)
    resized = resized.astype(np.uint8)
    scaled = (resized - resized.min()) / np.clip(resized.max() - resized.min(), a_min=1e-8, a_max=None)
    features = sam.image_encoder(torch.tensor(scaled).float().permute(2, 0, 1).unsqueeze(0))
    prompt = torch.as_tensor((box / np.array([width, height, width, height]) * side)[None, None], dtype=torch.float)
    sparse, dense = sam.prompt_encoder(points=None, boxes=prompt, masks=None)
    logits, _ = sam.mask_decoder(features, sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=False)
    probability = torch.nn.functional.interpolate(
        torch.sigmoid(logits), size=(height, width), mode="bilinear", align_corners=False
    )
    return probability.squeeze().numpy().reshape(height, width)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_sam_contract_is_sams_own_predictor(
    tiny_sam: Sam, sam_model: Promptable, size: tuple[int, int], channels: int
) -> None:
    image, boxes = make_image(size, channels), make_boxes(size, 3)
    result = sam_model.decode(sam_model.encode(image), boxes=boxes)
    wanted = sam_reference(tiny_sam, image, boxes).numpy()
    np.testing.assert_allclose(result.logits, wanted, atol=1e-3)
    assert np.array_equal(result.masks, result.logits > 0)


def test_sam_contract_holds_for_more_boxes_than_one_chunk(tiny_sam: Sam, sam_model: Promptable) -> None:
    image, boxes = make_image((50, 70), 3), make_boxes((50, 70), 35)
    result = sam_model.decode(sam_model.encode(image), boxes=boxes)
    np.testing.assert_allclose(result.logits, sam_reference(tiny_sam, image, boxes).numpy(), atol=1e-3)


def test_sam_contract_without_any_prompt(tiny_sam: Sam, sam_model: Promptable) -> None:
    image = make_image((67, 101), 3)
    predictor = SamPredictor(tiny_sam)
    predictor.set_image(image)
    wanted, iou, _ = predictor.predict_torch(None, None, multimask_output=False, return_logits=True)
    result = sam_model.decode_unprompted(sam_model.encode(image))
    assert result.masks.shape == (1, 67, 101)
    np.testing.assert_allclose(result.logits, wanted[:, 0].numpy(), atol=1e-3)
    np.testing.assert_allclose(result.predicted_iou, iou[:, 0].numpy(), atol=1e-3)


@pytest.mark.parametrize("with_box", [False, True])
def test_sam_contract_with_points_and_mask(tiny_sam: Sam, sam_model: Promptable, with_box: bool) -> None:
    image = make_image((67, 101), 1)
    box = np.array([10.5, 3, 100, 66]) if with_box else None
    points = [(0, 0, True), (100, 66, False), (50.25, 30, True)]
    predictor = SamPredictor(tiny_sam)
    predictor.set_image(rgb(image))
    coordinates, labels = np.array([point[:2] for point in points]), np.array([int(point[2]) for point in points])
    first, _, low_res = predictor.predict(coordinates, labels, box=box, multimask_output=False, return_logits=True)
    second, iou, _ = predictor.predict(
        coordinates, labels, box=box, mask_input=low_res, multimask_output=False, return_logits=True
    )
    embedding = sam_model.encode(image)
    boxes = None if box is None else box[None]
    ours = sam_model.decode(embedding, boxes=boxes, points=[points])
    again = sam_model.decode(embedding, boxes=boxes, points=[points], masks=ours.low_res_logits)
    np.testing.assert_allclose(ours.logits, first, atol=1e-3)
    np.testing.assert_allclose(again.logits, second, atol=1e-3)
    np.testing.assert_allclose(again.predicted_iou, iou, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_medsam_contract_is_the_published_procedure(
    tiny_sam: Sam, medsam_model: Promptable, size: tuple[int, int], channels: int
) -> None:
    image, boxes = make_image(size, channels), make_boxes(size, 2)
    result = medsam_model.decode(medsam_model.encode(image), boxes=boxes)
    for logits, mask, box in zip(result.logits, result.masks, boxes, strict=True):
        wanted = medsam_reference(tiny_sam, image, box)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), wanted, atol=1e-5)
        clear = np.abs(wanted - 0.5) > 1e-5
        assert np.array_equal(mask[clear], wanted[clear] > 0.5)


def test_medsam_resizes_probabilities_not_logits() -> None:
    low_res = torch.tensor([[[20.0, -4.0], [-4.0, -4.0]]])
    place = {"image_size": (8, 8), "size": 8}
    by_probability = contracts.restore(low_res, MEDSAM_CONTRACT, **place) > 0
    by_logit = contracts.restore(low_res, SMALL_CONTRACT, **place) > 0
    assert by_probability.sum() < by_logit.sum()


@pytest.mark.parametrize("contract", [SAM_CONTRACT, MEDSAM_CONTRACT, SMALL_CONTRACT])
@pytest.mark.parametrize("size", SIZES)
def test_shapes_and_type_of_what_goes_in_and_comes_out(contract, size: tuple[int, int]) -> None:
    prepared = contracts.prepare(contracts.to_rgb_uint8(make_image(size, 1)), contract, size=64)
    assert prepared.shape == (1, 3, 64, 64)
    assert prepared.dtype == torch.float32
    assert torch.isfinite(prepared).all()
    assert contracts.restore(torch.zeros(2, 16, 16), contract, image_size=size, size=64).shape == (2, *size)


def test_sam_pads_with_zeros_after_scaling() -> None:
    prepared = contracts.prepare(np.zeros((10, 20, 3), np.uint8), SAM_CONTRACT, size=64)
    assert (prepared[..., 32:, :] == 0).all()
    assert (prepared[..., :32, :] < -1).all()


def test_small_boxes_map_the_whole_image_onto_the_whole_input() -> None:
    box = torch.tensor([[0.0, 0.0, 99.0, 49.0]])
    mapped = contracts.scale_boxes(box, SMALL_CONTRACT, image_size=(50, 100), size=192)
    torch.testing.assert_close(mapped, torch.tensor([[0.0, 0.0, 191.0, 191.0]]))
    beyond = contracts.scale_boxes(box + torch.tensor([-9, -9, 9, 9]), SMALL_CONTRACT, image_size=(50, 100), size=192)
    torch.testing.assert_close(beyond, mapped)
    centre = contracts.scale_points(torch.tensor([[49.5, 24.5]]), SMALL_CONTRACT, image_size=(50, 100), size=192)
    torch.testing.assert_close(centre, torch.tensor([[95.5, 95.5]]))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64, np.int8])
def test_other_dtypes_use_the_whole_range(dtype: type) -> None:
    image = np.array([[-3, 0], [1, 5]]).clip(min=0 if np.dtype(dtype).kind == "u" else -3).astype(dtype)
    converted = contracts.to_rgb_uint8(image)
    assert converted.dtype == np.uint8
    assert (converted.min(), converted.max()) == (0, 255)


def test_uint8_and_bool_are_taken_as_they_are() -> None:
    dim = np.full((3, 4), 7, np.uint8)
    assert (contracts.to_rgb_uint8(dim) == 7).all()
    assert set(np.unique(contracts.to_rgb_uint8(np.eye(3, dtype=bool)))) == {0, 255}


@pytest.mark.parametrize(
    "image",
    [np.zeros((2, 3, 4)), np.zeros((4,)), np.zeros((0, 5)), np.full((3, 3), np.nan), np.zeros((3, 3), complex)],
)
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ImageError, match="An image must"):
        contracts.to_rgb_uint8(image)
