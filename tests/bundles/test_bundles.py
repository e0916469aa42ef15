"""What every bundle of the project is, by MONAI's own checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from jsonschema import ValidationError
from monai.bundle import ckpt_export, load, verify_metadata, verify_net_in_out

from autoweak.bundle.reading import network_of, read_config
from autoweak.bundle.shipped import weights_of
from autoweak.networks.ensemble import Ensemble
from autoweak.networks.medsam_from_coarse import MedsamFromCoarse
from autoweak.resources import resource_path
from autoweak.tasks import CoarseNetwork
from autoweak.training.network import network_definition
from tests.bundles.conftest import BUNDLES, Copy, workflow

RULES = Path(__file__).parent / "data" / "metadata_rules.json"
FILES = {
    "LICENSE",
    "configs/evaluate.json",
    "configs/inference.json",
    "configs/logging.conf",
    "configs/metadata.json",
    "configs/multi_gpu_train.json",
    "configs/train.json",
    "docs/README.md",
    "docs/data_license.txt",
    "models/model.pt",
}


def _bundle(name: str) -> Path:
    return resource_path("bundles") / name


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_has_all_its_files_and_none_is_large(name: str) -> None:
    present = {str(path.relative_to(_bundle(name))) for path in _bundle(name).rglob("*") if path.is_file()}
    assert present >= FILES
    assert max((_bundle(name) / file).stat().st_size for file in FILES) < 12_000_000


@pytest.mark.parametrize("name", BUNDLES)
def test_metadata_pass_the_check_offline(name: str, tmp_path: Path) -> None:
    rules = Path(shutil.copy(RULES, tmp_path / "schema.json"))
    metadata = _bundle(name) / "configs" / "metadata.json"
    verify_metadata(meta_file=str(metadata), filepath=str(rules))
    content = json.loads(metadata.read_text())
    assert content["version"] in content["changelog"]


def test_metadata_without_an_author_fail_the_check(tmp_path: Path) -> None:
    content = json.loads((_bundle(BUNDLES[0]) / "configs" / "metadata.json").read_text())
    del content["authors"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    rules = Path(shutil.copy(RULES, tmp_path / "schema.json"))
    with pytest.raises((ValueError, ValidationError), match="authors"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(rules))


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("factor", [1, 5])
def test_the_network_fits_its_metadata(name: str, factor: int) -> None:
    configs = _bundle(name) / "configs"
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
        n=factor,
    )


@pytest.mark.parametrize("name", BUNDLES)
def test_weights_are_what_the_script_makes_of_the_project_s_weights(name: str) -> None:
    stored = torch.load(_bundle(name) / "models" / "model.pt", weights_only=True)
    made = weights_of(name)
    assert list(stored) == list(made)
    assert all(torch.equal(stored[key], made[key]) and stored[key].dtype == made[key].dtype for key in made)


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize("workflow_type", ["inference", "train"])  # MONAI's default is train
def test_monai_loads_a_working_network(name: str, workflow_type: str) -> None:
    network = load(name, bundle_dir=str(_bundle(name).parent), workflow_type=workflow_type, device="cpu").eval()
    own = network_of(str(_bundle(name)))
    own.load_state_dict(weights_of(name))
    image = torch.rand(2, 1, 48, 56, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(image), own.eval()(image))
        assert network(image).shape == (2, 1, 48, 56)


def test_each_network_is_defined_in_one_place() -> None:
    coarse = read_config(str(_bundle("coarse_segmentation")))["network_def"]
    weak = read_config(str(_bundle("medsam_from_coarse")))["network_def"]
    assert weak["coarse"] == coarse
    assert network_definition(in_channels=1, out_channels=1)["width"] == coarse["member"]["width"]
    nested = read_config(str(_bundle("coarse_segmentation")))["other_members"]["unetplusplus"]
    found = network_definition(in_channels=1, out_channels=1, network=CoarseNetwork.UNETPLUSPLUS)
    assert found["features"] == nested["features"]
    for name in BUNDLES:
        other = [path for path in (_bundle(name) / "configs").glob("*.json") if path.name != "inference.json"]
        assert not any("autoweak.networks" in path.read_text() for path in other)
    assert isinstance(network_of(str(_bundle("coarse_segmentation"))), Ensemble)
    assert isinstance(network_of(str(_bundle("medsam_from_coarse"))), MedsamFromCoarse)


@pytest.mark.parametrize("name", BUNDLES)
@pytest.mark.parametrize(
    ("configs", "kind"), [(("inference",), "infer"), (("inference", "evaluate"), "eval"), (("train",), "train")]
)
def test_configs_have_every_property_that_monai_knows(
    name: str, configs: tuple[str, ...], kind: str, copy_of: Copy, tmp_path: Path
) -> None:
    from tests.bundles.conftest import write_studies

    studies = write_studies(tmp_path / "studies", "grey", gold=4, images=4)
    assert workflow(copy_of(name), *configs, kind=kind, dataset_dir=str(studies)).check_properties() == []


def test_the_coarse_network_becomes_torchscript_and_answers_alike(tmp_path: Path) -> None:
    bundle = _bundle("coarse_segmentation")
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
    )
    scripted = torch.jit.load(tmp_path / "model.ts").eval()
    network = network_of(str(bundle))
    network.load_state_dict(weights_of("coarse_segmentation"))
    image = torch.rand(3, 1, 70, 90, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(scripted(image), network.eval()(image))
