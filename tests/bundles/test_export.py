"""A workspace's models as bundles: the same masks, pixel for pixel, and no patient in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import verify_metadata, verify_net_in_out

from autoweak import cli
from autoweak.errors import WorkspaceError
from autoweak.loop.label import Labeller, label
from autoweak.loop.predict import predict
from autoweak.loop.retrain import current_coarse
from autoweak.workspace import ModelChoice
from tests.bundles.conftest import ALL, GOLD, KINDS, NESTED, Trained, mask_in, workflow
from tests.bundles.test_bundles import RULES

Train = Callable[[str], Trained]


def _export(trained: Trained, out: Path, model: str) -> Path:
    assert cli.main(["export", str(trained.studies), "--out", str(out), "--model", model]) == 0
    return out


def _run(bundle: Path, images: Path, out: Path) -> dict[str, np.ndarray]:
    made = workflow(bundle, "inference", kind="infer", dataset_dir=str(images), output_dir=str(out))
    assert made.check_properties() == []
    made.run()
    return {path.name: mask_in(path) for path in out.iterdir()}


@pytest.mark.parametrize("kind", [*KINDS, pytest.param(NESTED, marks=pytest.mark.slow)])
def test_the_exported_model_predicts_as_the_app_does(kind: str, trained: Train, tmp_path: Path) -> None:
    made = trained(kind)
    bundle = _export(made, tmp_path / "model", "final")
    found = _run(bundle, made.studies, tmp_path / "masks")
    workspace = made.context().workspace
    predict(made.studies, tmp_path / "own", workspace=workspace, task=made.task, choice=ModelChoice.FINAL)
    own = {path.name: mask_in(path) for path in (tmp_path / "own").iterdir()}
    assert len(own) == ALL
    assert own.keys() == found.keys()
    assert all(np.array_equal(own[name], found[name]) for name in own)
    assert any(mask.any() for mask in own.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_way_to_weak_labels_makes_the_same_ones(kind: str, trained: Train, tmp_path: Path) -> None:
    made = trained(kind)
    bundle = _export(made, tmp_path / "weak", "weak")
    found = _run(bundle, made.studies, tmp_path / "masks")
    context = made.context()
    label(Labeller.load(context, current_coarse(context)))
    own = {
        path.name: mask_in(path) for path in (made.studies / "labels" / "original").iterdir() if path.suffix != ".json"
    }
    assert own
    assert any(mask.any() for mask in own.values())
    assert all(np.array_equal(own[name], found[name]) for name in own)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["coarse", "weak"])
def test_the_exported_bundle_passes_monai_s_checks(kind: str, model: str, trained: Train, tmp_path: Path) -> None:
    made = trained(kind)
    configs = _export(made, tmp_path / "bundle", model) / "configs"
    rules = Path(shutil.copy(RULES, tmp_path / "schema.json"))
    verify_metadata(meta_file=str(configs / "metadata.json"), filepath=str(rules))
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
        n=4,
    )


def test_metadata_say_what_happened(trained: Train, tmp_path: Path) -> None:
    made = trained("volume")
    bundle = _export(made, tmp_path / "bundle", "coarse")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    record = made.context().workspace.record(current_coarse(made.context()))
    known = metadata["autoweak"]
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background",
        "1": "disc",
        "2": "ring",
    }
    assert (known["gold_labels"], known["weak_labels"]) == (GOLD, 0)
    assert known["held_out_gold_dice"] == record["mean_cv_dice"]
    assert metadata["eval_metrics"]["mean Dice on held-out gold"] == round(record["mean_cv_dice"], 4)
    assert known["weights_sha256"]["coarse model"] == record["sha256"]
    assert known["task"]["sha256"] == made.task.sha256
    assert known["plane"] == "sagittal"
    assert known["intensity"] == {"kind": "percentile", "lower": 0.5, "upper": 99.5}
    assert metadata["monai_version"]
    weak = json.loads((_export(made, tmp_path / "weak", "weak") / "configs" / "metadata.json").read_text())
    assert weak["eval_metrics"] == {}
    assert weak["autoweak"]["policy"]["thresholds"] == [0.3, 0.15]


@pytest.mark.parametrize("model", ["final", "weak"])
def test_no_image_and_no_name_of_one_leaves_the_workspace(model: str, trained: Train, tmp_path: Path) -> None:
    made = trained("grey")
    bundle = _export(made, tmp_path / "bundle", model)
    ids = [path.stem for path in made.studies.glob("*.png")]
    assert len(ids) == ALL
    for path in (path for path in bundle.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(image_id.encode() in content for image_id in ids), path
        assert str(made.studies).encode() not in content, path
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())


def test_all_members_are_in_one_state_dict(trained: Train, tmp_path: Path) -> None:
    bundle = _export(trained("grey"), tmp_path / "bundle", "coarse")
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert {name.split(".")[1] for name in state} == {"0", "1"}
    definition = json.loads((bundle / "configs" / "inference.json").read_text())["network_def"]
    assert (definition["count"], definition["mirror"]) == (2, ["horizontal"])


@pytest.mark.slow
def test_the_network_that_the_task_names_is_the_one_in_the_bundle(trained: Train, tmp_path: Path) -> None:
    bundle = _export(trained(NESTED), tmp_path / "bundle", "coarse")
    content = json.loads((bundle / "configs" / "inference.json").read_text())
    assert content["network_def"]["member"]["_target_"].endswith("UNetPlusPlus")
    assert content["task"]["coarse"]["network"] == "unetplusplus"
    weak = _export(trained(NESTED), tmp_path / "weak", "weak")
    assert "UNetPlusPlus" in (weak / "configs" / "inference.json").read_text()


def test_a_folder_with_anything_in_it_is_refused(
    trained: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = trained("grey")
    (tmp_path / "bundle").mkdir()
    _export(made, tmp_path / "bundle", "coarse")  # empty: taken
    capsys.readouterr()
    assert cli.main(["export", str(made.studies), "--out", str(tmp_path / "bundle")]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_a_failed_export_leaves_nothing(trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoweak.bundle import describe, export

    def fail(*args: object, **kwargs: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(describe, "readme", fail)
    made = trained("grey")
    source = export.trained_source(made.context().workspace, ModelChoice.COARSE)
    with pytest.raises(OSError, match="No space"):
        export.export(source, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_studies_without_the_model_are_one_sentence(trained: Train, tmp_path: Path) -> None:
    from autoweak.bundle.export import trained_source

    with pytest.raises(WorkspaceError, match="no retrained model"):
        trained_source(trained("grey").context().workspace, ModelChoice.RETRAINED)


def test_json_alone(trained: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = trained("grey")
    assert cli.main(["export", str(made.studies), "--out", str(tmp_path / "b"), "--model", "weak", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["model"] == "coarse/v001"
    assert printed["weights_bytes"] == (tmp_path / "b" / "models" / "model.pt").stat().st_size


def test_a_sam_model_in_the_bundle_makes_the_same_weak_labels(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoweak.loop.context import Context
    from autoweak.networks import medsam_from_coarse
    from autoweak.promptable import EmbeddingCache
    from autoweak.promptable.registry import MEDSAM_CONTRACT
    from tests.promptable.conftest import build_tiny_sam, plain

    tiny = build_tiny_sam(256)
    model = plain(tiny, name="medsam", contract=MEDSAM_CONTRACT)
    monkeypatch.setattr(medsam_from_coarse, "sam_model_registry", {"vit_b": lambda checkpoint: build_tiny_sam(256)})
    monkeypatch.setattr(Context, "load_promptable", lambda self: (model, EmbeddingCache(None)))
    made = trained("colour")
    found = _run(_export(made, tmp_path / "weak", "weak"), made.studies, tmp_path / "masks")

    context = made.context()
    labeller = Labeller.load(context, current_coarse(context))
    for study in context.studies.studies:
        _, view = context.read(study)
        mask = labeller.generate(view).weak.mask[0]
        assert np.array_equal(mask, found[f"{study.image_id}.png"])


@pytest.mark.parametrize("kind", ["colour", "volume"])
def test_dicom_images_get_the_app_s_masks_as_well(kind: str, trained: Train, tmp_path: Path, data_dir: Path) -> None:
    made = trained(kind)
    series = data_dir / "samples" / "dicom" / "dcmqi_segmentations" / "ct-3slice"
    (images := tmp_path / "images").mkdir()
    if kind == "volume":
        shutil.copytree(series, images / "series")
    else:
        shutil.copy(series / "02.dcm", images / "one.dcm")
    found = _run(_export(made, tmp_path / "model", "final"), images, tmp_path / "masks")
    workspace = made.context().workspace
    result = predict(images, tmp_path / "own", workspace=workspace, task=made.task, choice=ModelChoice.FINAL)
    assert result.problems == ()
    own = {path.name: mask_in(path) for path in result.written}
    assert own.keys() == found.keys()
    assert all(np.array_equal(own[name], found[name]) for name in own)
