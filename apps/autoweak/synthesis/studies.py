"""The synthetic images of a studies folder: `<studies>/synthetic`, a folder of their own with weak labels of its own.

Any image there is taken for synthetic, whoever drew it. They are unlabelled images to the loop, and never gold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from autoweak.studies import StudiesFolder, Study, StudyImage, open_studies
from autoweak.studies.names import kind_of
from autoweak.synthesis.marks import FOLDER_NAME, Register, is_marked, read_mark, read_register

LABELLED_BY_A_PERSON = (
    "it is synthetic, so the label that a person saved for it is kept and not counted as gold: what is held out to "
    "judge a model must be of patients."
)


@dataclass(frozen=True)
class SyntheticStudies:
    """Synthetic images beside those of patients.

    Attributes:
        root: their folder, there or not.
        studies: in order of id, none with a gold label.
        register: what the workspace knows of them.
        notes: on what was left aside.
    """

    root: Path
    studies: tuple[Study, ...]
    register: Register
    notes: tuple[str, ...] = ()

    def may_hold(self, study: Study) -> bool:
        """Whether a study could be synthetic, without reading its image; see `holds`."""
        return study.synthetic or bool(self.register.images) or is_marked(study.path)

    def holds(self, image: StudyImage) -> bool:
        """Whether an image is synthetic: by its folder, by its name or mark, or by the register."""
        return (
            image.path.resolve().parent == self.root.resolve()
            or is_marked(image.path)
            or image.sha256 in self.register.images
        )

    def learned_from(self, image: StudyImage) -> Mapping[str, str] | None:
        """What the generator of a synthetic image has seen, SHA-256 to image id; None where that is not known."""
        return self.register.learned_from(self.register.images.get(image.sha256) or read_mark(image.path))


def synthetic_studies(studies: StudiesFolder, workspace: Path) -> SyntheticStudies:
    """List the synthetic images that lie beside these studies.

    Args:
        studies: the images of patients.
        workspace: their workspace, which has the register.

    Raises:
        StudiesError: two of them have one id, or the folder cannot be listed.
    """
    root, register = studies.root / FOLDER_NAME, read_register(workspace)
    if not root.is_dir() or not any(kind_of(entry) for entry in root.iterdir() if entry.is_file()):
        return SyntheticStudies(root, (), register)
    found = open_studies(root)
    taken = {study.image_id for study in studies.studies}
    notes = [f"synthetic: {note}" for note in found.notes]
    notes += [
        f"{study.image_id}: the synthetic image has the id of a patient's and is left aside; rename it."
        for study in found.studies
        if study.image_id in taken
    ]
    notes += [f"{study.image_id}: {LABELLED_BY_A_PERSON}" for study in found.gold]
    kept = tuple(replace(study, gold=None, synthetic=True) for study in found.studies if study.image_id not in taken)
    return SyntheticStudies(root, kept, register, tuple(notes))
