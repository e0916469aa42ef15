"""The interactive model, with prompts as each viewer sends them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoweak.dice import dice
from tests.server.clients import Ohif, Server, Slicer, put_image

SAGITTAL = "volume0"


@pytest.fixture
def truth(fresh: Server) -> np.ndarray:
    """The gold mask of one image (H, W) bool; the image itself is given to the model without its label."""
    with Image.open(fresh.studies / "labels" / "final" / "ultrasound_000.png") as picture:
        return np.asarray(picture) > 0


def _middle(mask: np.ndarray) -> list[int]:
    return [int(np.median(axis)) for axis in np.nonzero(mask)]


@pytest.fixture
def volume_truth(volumes: Server) -> np.ndarray:
    """(I, J, K) bool."""
    return np.load(volumes.studies.parent / f"{SAGITTAL}.npy") > 0


def _clicks(truth: np.ndarray) -> dict[str, object]:
    row, column = _middle(truth)
    return {"label": "lesion", "foreground": [[column, row, 0]], "background": [], "refine": False}


def test_slicer_and_ohif_click_the_same(fresh: Server, truth: np.ndarray) -> None:
    slicer, params = Slicer(fresh).infer("medsam", "ultrasound_000", _clicks(truth))
    without_label = {key: value for key, value in _clicks(truth).items() if key != "label"}
    _, ohif = Ohif(fresh).infer("medsam", "ultrasound_000", without_label)
    assert np.array_equal(slicer, ohif)
    assert params["label_names"] == {"lesion": 1}
    assert dice(slicer[:, :, 0].T > 0, truth) > 0.6


@pytest.mark.parametrize("reversed_axes", [(), (0,), (1,), (0, 1, 2)])
def test_roi_in_any_order_is_the_same_box(fresh: Server, truth: np.ndarray, reversed_axes: tuple[int, ...]) -> None:
    rows, columns = np.nonzero(truth)
    pairs = [[int(columns.min()), int(columns.max())], [int(rows.min()), int(rows.max())], [0, 0]]
    for axis in reversed_axes:
        pairs[axis].reverse()
    roi = [value for pair in pairs for value in pair]
    volume, _ = Slicer(fresh).infer("medsam", "ultrasound_000", {"label": "lesion", "roi": roi, "refine": False})
    assert dice(volume[:, :, 0].T > 0, truth) > 0.75


def test_without_clicks_the_label_that_is_there_comes_back(fresh: Server, truth: np.ndarray) -> None:
    volume, _ = Slicer(fresh).infer("medsam", "ultrasound_000", {"label": "lesion", "foreground": [], "background": []})
    assert np.array_equal(volume[:, :, 0].T > 0, truth)


def test_click_extends_the_label_that_is_there(fresh: Server, truth: np.ndarray, tmp_path: Path) -> None:
    _, column = _middle(truth)
    half = truth.copy()
    half[:, column:] = False
    missing_row, missing_column = _middle(truth & ~half)
    client = Slicer(fresh)
    # The same image under another id, so that the half label is what is there.
    with Image.open(fresh.studies / "ultrasound_000.png") as picture:
        picture.save(tmp_path / "again.png")
    assert put_image(fresh, "again", tmp_path / "again.png").json() == {"image": "again"}
    assert client.submit("again", half.T[..., None].astype(np.uint8), ["lesion"]).ok
    click = {"label": "lesion", "foreground": [[missing_column, missing_row, 0]], "background": []}
    refined, params = client.infer("medsam", "again", click)
    assert params["refined"] is True
    mask = refined[:, :, 0].T > 0
    assert mask[missing_row, missing_column]
    assert dice(mask, truth) > dice(half, truth)


@pytest.mark.parametrize(("label", "value"), [("anterior", 1), ("posterior", 2)])
def test_any_label_in_a_volume(volumes: Server, volume_truth: np.ndarray, label: str, value: int) -> None:
    i, j, k = _middle(volume_truth)
    click = {"label": label, "foreground": [[i, j, k]], "background": []}
    volume, params = Slicer(volumes).infer("medsam", SAGITTAL, click)
    assert volume.shape == volume_truth.shape
    assert set(np.unique(volume)) == {0, value}
    assert params["label_names"] == {label: value}
    # Slices are sagittal: only the one that was clicked is segmented.
    assert set(np.nonzero(volume)[0]) == {i}
    assert dice(volume[i] > 0, volume_truth[i]) > 0.6


def test_roi_segments_each_slice_it_meets(volumes: Server, volume_truth: np.ndarray) -> None:
    spans = [(int(axis.min()), int(axis.max())) for axis in np.nonzero(volume_truth)]
    roi = [value for low, high in spans for value in (high, low)]
    volume, _ = Slicer(volumes).infer("medsam", SAGITTAL, {"label": "anterior", "roi": roi})
    assert set(np.nonzero(volume)[0]) <= set(range(spans[0][0], spans[0][1] + 1))
    assert dice(volume > 0, volume_truth) > 0.5


def test_all_labels_at_once(volumes: Server, volume_truth: np.ndarray) -> None:
    i, j, k = _middle(volume_truth)
    points = {"anterior": [[i, j, k]], "posterior": [[i + 3, j, k]], "background": []}
    volume, _ = Slicer(volumes).infer("medsam", SAGITTAL, {**points, "label": "anterior"})
    assert set(np.unique(volume[i])) == {0, 1}
    assert set(np.unique(volume[i + 3])) == {0, 2}


def test_volume_keeps_its_geometry(volumes: Server) -> None:
    import nibabel

    header, voxels = Ohif(volumes).infer("medsam", SAGITTAL, {"foreground": [[20, 18, 14]], "background": []})
    affine = nibabel.load(volumes.studies / f"{SAGITTAL}.nii.gz").affine
    rows = [[float(word) for word in part.split(",")] for part in header["space directions"][1:-1].split(") (")]
    found = np.array(rows).T
    assert np.allclose(found, np.diag([-1, -1, 1]) @ affine[:3, :3], atol=1e-5)
    assert header["space"] == "left-posterior-superior"
    assert voxels.shape == (40, 36, 28)


def test_second_click_uses_the_embedding(fresh: Server, truth: np.ndarray) -> None:
    folder = fresh.studies / ".autoweak" / "embeddings"
    Slicer(fresh).infer("medsam", "ultrasound_001", _clicks(truth))
    entries = {path.name for path in folder.iterdir()}
    Slicer(fresh).infer("medsam", "ultrasound_001", {**_clicks(truth), "foreground": [[30, 30, 0]]})
    assert {path.name for path in folder.iterdir()} == entries


@pytest.mark.parametrize(
    "params",
    [
        {"foreground": [[500, 10, 0]]},
        {"foreground": [["a", 1, 2]]},
        {"foreground": [[1, 2, 3, 4]]},
        {"foreground": "10,10,0"},
        {"foreground": [[1, float("nan"), 0]]},
        {"foreground": [[1, 1, 0]] * 2000},
        {"label": "kidney", "foreground": [[1, 1, 0]]},
        {"roi": [1, 2, 3]},
        {"roi": [500, 600, 1, 2, 0, 0]},
    ],
)
def test_wrong_prompts_get_a_sentence(fresh: Server, params: dict[str, object]) -> None:
    answer = Slicer(fresh).raw("medsam", "ultrasound_001", params)
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith(".")
