"""labels.json: what the columns of the logits mean, how sure they are, and what follows from an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mangaops.inference.foreign import translated
from mangaops.stack import Actions

LABELS: Final = "labels.json"


class LabelMap(BaseModel):
    """Column i of the logits is `labels[i]`; logits are divided by `temperature` before the softmax."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[str, ...] = Field(min_length=2)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    clarify_below: float = Field(default=0.0, ge=0, le=1)
    offer_human: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> LabelMap:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label stands twice")
        if unknown := sorted(set(self.offer_human) - set(self.labels)):
            raise ValueError(f"offer_human names unknown labels: {', '.join(unknown)}")
        return self

    @property
    def actions(self) -> Actions:
        """The sealed thresholds."""
        return Actions(clarify_below=self.clarify_below, offer_human=self.offer_human)

    def save(self, folder: Path) -> None:
        """labels.json stands in `folder`."""
        (folder / LABELS).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def label_map(folder: Path) -> LabelMap:
    """The label map that is sealed in `folder`.

    Raises:
        ArtifactTampered: labels.json is missing or is not one.
    """
    with translated(folder, f"reading {LABELS}"):
        return LabelMap.model_validate_json((folder / LABELS).read_bytes())
