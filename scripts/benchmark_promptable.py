"""Time our encoder and decoder against segment_anything's predictor and MedSAM's published procedure.

    python scripts/benchmark_promptable.py [--architecture vit_b] [--checkpoint FILE] [--repeats 3]

All have the same weights (random ones unless a checkpoint is given, which changes no time) and take turns in one
process on one drawn image, so that whatever else the machine does hits them alike. Prints the best time of each, the
ratio to the reference, the agreement of the masks (Dice), and the most memory the process had during each turn.
"""

from __future__ import annotations

import argparse
import copy
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from segment_anything import SamPredictor, sam_model_registry
from skimage import transform
from torch.nn import functional

from autoweak.phantoms.ultrasound import draw_ultrasound
from autoweak.promptable.checkpoints import load_weights
from autoweak.promptable.hardware import Precision, choose_dtype
from autoweak.promptable.model import Promptable
from autoweak.promptable.registry import MEDSAM_CONTRACT, SAM_CONTRACT, PreprocessingContract, get_entry

_SIZE = (512, 640)
_MANY = 32
Masks = NDArray[np.bool_]
Boxes = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass
class Arm:
    """One way to the masks of an image, and what was measured of it."""

    name: str
    encode: Callable[[Pixels], Any]
    decode: Callable[[Any, Boxes], Masks]
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"encode": [], "one": [], "many": []})
    peak: float = 0.0
    masks: Masks | None = None

    def turn(self, image: Pixels, boxes: Boxes) -> None:
        """Encode the image and decode one box and many, each timed."""
        with _Peak() as peak:
            state = self._timed("encode", lambda: self.encode(image))
            self._timed("one", lambda: self.decode(state, boxes[:1]))
            self.masks = self._timed("many", lambda: self.decode(state, boxes))
        self.peak = max(self.peak, peak.gigabytes)

    def _timed(self, what: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = call()
        self.seconds[what].append(time.perf_counter() - began)
        return result

    def best(self, what: str) -> float:
        """Shortest time in seconds; the others had company on the machine."""
        return min(self.seconds[what])


class _Peak:
    """The most memory this process has while the block runs, looked at every 5 ms."""

    def __enter__(self) -> _Peak:
        self.gigabytes = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.005):
            self.gigabytes = max(self.gigabytes, process.memory_info().rss / 1e9)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def sam_predictor(sam: Any) -> Arm:
    """segment_anything's own predictor."""
    predictor = SamPredictor(sam)

    def decode(_: None, boxes: Boxes) -> Masks:
        scaled = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes), predictor.original_size)
        masks, _, _ = predictor.predict_torch(None, None, boxes=scaled, multimask_output=False)
        return np.asarray(masks[:, 0].cpu())

    return Arm("segment_anything", predictor.set_image, decode)


def medsam_procedure(sam: Any) -> Arm:
    """MedSAM's inference as published: square of cubic splines, min-max, one box after another."""
    side = sam.image_encoder.img_size

    @torch.no_grad()
    def encode(image: Pixels) -> tuple[torch.Tensor, tuple[int, int]]:
        resized = transform.resize(image, (side, side), order=3, preserve_range=True, anti_aliasing=True)
        resized = resized.astype(np.uint8)
        scaled = (resized - resized.min()) / max(int(resized.max()) - int(resized.min()), 1e-8)
        pixels = torch.tensor(scaled).float().permute(2, 0, 1)[None]
        return sam.image_encoder(pixels), (image.shape[0], image.shape[1])

    @torch.no_grad()
    def decode(state: tuple[torch.Tensor, tuple[int, int]], boxes: Boxes) -> Masks:
        features, (height, width) = state
        masks = []
        for box in boxes / np.array([width, height, width, height]) * side:
            prompt = torch.as_tensor(box[None, None], dtype=torch.float)
            sparse, dense = sam.prompt_encoder(points=None, boxes=prompt, masks=None)
            logits, _ = sam.mask_decoder(
                image_embeddings=features,
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            full = functional.interpolate(logits.sigmoid(), size=(height, width), mode="bilinear", align_corners=False)
            masks.append(np.asarray(full[0, 0]) > 0.5)
        return np.stack(masks)

    return Arm("MedSAM as published", encode, decode)


def ours(sam: Any, contract: PreprocessingContract, precision: Precision) -> Arm:
    """The same weights in `Promptable`."""
    network = copy.deepcopy(sam)
    model = Promptable(network, name="benchmark", sha256="0" * 64, contract=contract, device="cpu", precision=precision)
    return Arm(
        f"autoweak, {precision.value}", model.encode, lambda state, boxes: model.decode(state, boxes=boxes).masks
    )


def build(architecture: str, checkpoint: Path | None) -> Any:
    """segment_anything's own model, with a checkpoint's weights or random ones that leave no term out."""
    torch.manual_seed(0)
    sam = sam_model_registry[architecture]().eval()
    if checkpoint is not None:
        entry = get_entry({"vit_b": "sam-vit-b", "vit_l": "sam-vit-l", "vit_h": "sam-vit-h"}[architecture])
        del sam.pixel_mean, sam.pixel_std
        load_weights(sam, checkpoint, entry=entry)
        fresh = sam_model_registry[architecture]().eval()
        sam.register_buffer("pixel_mean", fresh.pixel_mean, False)
        sam.register_buffer("pixel_std", fresh.pixel_std, False)
        return sam
    with torch.no_grad():
        for parameter in sam.parameters():
            # A fresh network has zeros, which would hide what depends on them.
            parameter += torch.randn_like(parameter) * 0.02
    return sam


def make_boxes(count: int) -> Boxes:
    """Boxes (count, 4) of all sizes, the first around the middle."""
    corners = np.random.default_rng(0).uniform(0, 1, (count, 2, 2)) * (_SIZE[1] - 1, _SIZE[0] - 1)
    boxes = np.sort(corners, axis=1).reshape(count, 4).astype(np.float32)
    boxes[0] = _SIZE[1] / 4, _SIZE[0] / 4, _SIZE[1] * 3 / 4, _SIZE[0] * 3 / 4
    return boxes


def agreement(found: Masks, wanted: Masks) -> float:
    """Mean Dice of the masks of each box; 1 where both are empty."""
    both, total = (found & wanted).sum((1, 2)), found.sum((1, 2)) + wanted.sum((1, 2))
    return float(np.where(total == 0, 1.0, 2 * both / np.maximum(total, 1)).mean())


def rows(arms: Sequence[Arm]) -> list[str]:
    """Markdown rows of a reference and what is compared with it."""
    reference = arms[0]
    made = []
    for arm in arms:
        cells = [arm.name]
        for what in ("encode", "one", "many"):
            ratio = reference.best(what) / arm.best(what)
            cells.append(f"{arm.best(what):.3f}" + ("" if arm is reference else f" ({ratio:.1f} x)"))
        first = arm.best("encode") + arm.best("one")
        cells += [f"{first / arm.best('one'):.0f} x", f"{arm.peak:.1f}"]
        cells.append("" if arm is reference else f"{agreement(_masks(arm), _masks(reference)):.4f}")
        made.append("| " + " | ".join(cells) + " |")
    return made


def _masks(arm: Arm) -> Masks:
    if arm.masks is None:
        msg = f"{arm.name} had no turn yet."
        raise RuntimeError(msg)
    return arm.masks


def main() -> None:
    """Read the options, take turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="vit_b", choices=["vit_b", "vit_l", "vit_h"])
    parser.add_argument("--checkpoint", type=Path, help="weights of that architecture; random without")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="torch's own choice without")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    sam = build(options.architecture, options.checkpoint)
    precisions = [Precision.FLOAT32]
    if choose_dtype(Precision.AUTO, torch.device("cpu")) == torch.bfloat16:
        precisions.append(Precision.BFLOAT16)
    groups = [
        [reference(sam), *(ours(sam, contract, precision) for precision in precisions)]
        for reference, contract in ((sam_predictor, SAM_CONTRACT), (medsam_procedure, MEDSAM_CONTRACT))
    ]
    view, _ = draw_ultrasound(np.random.default_rng(0), size=_SIZE)
    image = np.ascontiguousarray(np.broadcast_to(np.atleast_3d(view), (*_SIZE, 3)))
    boxes = make_boxes(_MANY)
    for _ in range(options.repeats):
        for group in groups:
            for arm in group:
                arm.turn(image, boxes)
    print(
        f"{options.architecture}, {options.checkpoint or 'random weights'}, image {_SIZE[0]} x {_SIZE[1]}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, best of {options.repeats}"
    )
    print(f"| | encode, s | one box, s | {_MANY} boxes, s | first : second prompt | peak, GB | Dice with reference |")
    print("|---|---|---|---|---|---|---|")
    for group in groups:
        print("\n".join(rows(group)))


if __name__ == "__main__":
    main()
