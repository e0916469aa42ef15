from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.networks.large_kernel_net import LargeKernelNet, standardise


def small(in_channels: int = 1, out_channels: int = 1) -> LargeKernelNet:
    torch.manual_seed(0)
    return LargeKernelNet(in_channels, out_channels, width=8, dilations=(1, 2), deep_width=12, deep_dilations=(1, 2))


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(16, 70), width=st.integers(16, 70), channels=st.sampled_from([1, 3]), labels=st.integers(1, 3)
)
def test_logits_have_the_size_of_the_image(height: int, width: int, channels: int, labels: int) -> None:
    logits = small(channels, labels).eval()(torch.rand(2, channels, height, width))

    assert logits.shape == (2, labels, height, width)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize(("factor", "offset"), [(255.0, 0.0), (1.0, -3.0), (0.5, 100.0)])
def test_a_linear_change_of_intensity_changes_nothing(factor: float, offset: float) -> None:
    network, image = small().eval(), torch.rand(1, 1, 32, 32, dtype=torch.float64)

    expected = network.double()(image)

    torch.testing.assert_close(network(image * factor + offset), expected, rtol=1e-6, atol=1e-6)


def test_a_constant_image_gives_finite_logits() -> None:
    assert bool(torch.isfinite(small().eval()(torch.full((1, 1, 32, 32), 7.0))).all())
    assert float(standardise(torch.full((1, 1, 4, 4), 7.0)).abs().max()) == 0.0


def test_an_image_alone_gives_what_it_gives_in_a_batch() -> None:
    network, images = small().eval(), torch.rand(3, 1, 48, 40)

    together = network(images)

    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_every_weight_learns() -> None:
    network = small().train()

    network(torch.rand(2, 1, 32, 32)).square().mean().backward()

    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def test_without_deep_blocks_there_is_no_deep_stage() -> None:
    shallow = LargeKernelNet(1, 1, width=8, dilations=(1,), deep_dilations=())

    assert not any(name.startswith("deep") for name in shallow.state_dict())
    assert shallow.eval()(torch.rand(1, 1, 20, 24)).shape == (1, 1, 20, 24)


def test_far_pixels_reach_each_other() -> None:
    """The point of large dilated kernels: at the default size one corner sees the other."""
    torch.manual_seed(0)
    network = LargeKernelNet(1, 1).eval()
    image = torch.rand(1, 1, 128, 128, requires_grad=True)

    # Past the standardisation, which makes every pixel depend on every other one.
    network.deep(network.blocks(network.down(network.stem(image))))[0, :, 0, 0].sum().backward()

    assert image.grad is not None
    assert float(image.grad[0, 0, -8:, -8:].abs().max()) > 0
