from __future__ import annotations

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser, verify_net_in_out

from autoweak.networks.large_kernel_net import LargeKernelNet
from autoweak.resources import resource_path

# The keys that MONAI's meta_schema_20240725 requires, and `changelog`, which the model zoo requires as well.
REQUIRED = {
    "schema",
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
}


@pytest.fixture
def bundle() -> Path:
    return resource_path("bundles") / "coarse_segmentation"


def test_the_metadata_say_what_a_bundle_must(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())

    assert set(metadata) >= REQUIRED
    assert metadata["version"] in metadata["changelog"]
    assert (bundle / "LICENSE").is_file()
    assert (bundle / "docs" / "README.md").is_file()


def test_the_network_fits_its_metadata(bundle: Path) -> None:
    configs = bundle / "configs"

    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
    )


def test_the_network_is_built_by_monai_from_the_config_alone(bundle: Path) -> None:
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")

    assert isinstance(parser.get_parsed_content("network_def"), LargeKernelNet)
