"""The synthetic images that an experiment may label weakly: those alone that carry the mark."""

from __future__ import annotations

from collections.abc import Sequence

from autoweak.experiments.material import Known
from autoweak.loop.context import Context
from autoweak.progress import each
from autoweak.studies import Study
from autoweak.synthesis.marks import read_mark


def synthetic_images(context: Context, evaluation: Sequence[Known]) -> tuple[Known, ...]:
    """The marked images in the studies' synthetic folder, in order of id.

    Left out, each with a note: images without a mark, which anybody may have put there, and those whose generator has
    learned from an image that is evaluated on, or from nobody knows what.

    Args:
        context: of the studies; its workspace has the register of synthetic images.
        evaluation: images that nothing may be learned from.
    """
    context.progress.stage("Reading synthetic images")
    apart = {known.sha256 for known in evaluation}
    found = [_known(context, study, apart) for study in each(context.synthetic.studies, context.progress)]
    return tuple(known for known in found if known is not None)


def _known(context: Context, study: Study, apart: set[str]) -> Known | None:
    read = context.read(study)
    if read is None:
        return None
    register = context.synthetic.register
    mark = register.images.get(read[0].sha256) or read_mark(study.path)
    if mark is None:
        context.notes.append(f"{study.image_id} lies among the synthetic images without their mark, and is not used.")
        return None
    seen = register.learned_from(mark)
    if seen is None:
        context.notes.append(f"{study.image_id} is not used: what its generator learned from is not known here.")
        return None
    if apart & set(seen):
        context.notes.append(f"{study.image_id} is not used: its generator learned from an image that is evaluated on.")
        return None
    return Known(study, read[0].sha256, mark=mark)
