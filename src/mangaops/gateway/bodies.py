"""What clients send and get: the bodies of the HTTP interface, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from mangaops.gateway.units import Unit


def reply_model(unit: Unit) -> type[BaseModel]:
    """What the unit says, as its family does, and what gave it."""
    told: dict[str, Any] = {"request_id": (str, ...), "release": (str, ...), "generation": (int, ...)}
    return create_model(f"{unit.name.title()}Reply", __base__=unit.serving.saying, **told)


class Feedback(BaseModel):
    """What became of a request, or what its label should have been; one of the two at least."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    request_id: Annotated[str, Field(max_length=300)]
    outcome: Literal["helped", "not_helped", "asked_for_human"] | None = None
    label: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Feedback:
        if self.outcome is None and self.label is None:
            raise ValueError("outcome or label is needed")
        return self


class Accepted(BaseModel):
    """The feedback is kept; it counts for nothing before it is reviewed."""

    request_id: str
    kept: bool


class Refusal(BaseModel):
    """What was refused, what was found, what would be accepted, and the next step."""

    error: str
    kind: str
    found: str = ""
    accepted: str = ""
    next: str = ""


class Tensor(BaseModel):
    """A tensor of the Open Inference Protocol; `data` is absent where the bytes follow the JSON."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=8)]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = None


class WantedOutput(BaseModel):
    """An output that the client wants."""

    model_config = ConfigDict(extra="ignore")

    name: str
    parameters: dict[str, Any] = {}


class Inference(BaseModel):
    """An inference request of the Open Inference Protocol."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: Annotated[str, Field(max_length=200)] | None = None
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[Tensor], Field(min_length=1, max_length=1)]
    outputs: list[WantedOutput] | None = None


class Inferred(BaseModel):
    """An inference response of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Any]
    outputs: list[Tensor]
