"""MLServer: a custom runtime, named in model-settings.json; the model's folder is its uri."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from model import Model


class Router(MLModel):
    """The classifier as MLServer wants it."""

    async def load(self) -> bool:
        """The model is loaded, once a worker."""
        self.model = Model(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The label of the first text."""
        (text,) = StringCodec.decode_input(payload.inputs[0])
        said = [str(self.model.answer(text)["intent"])]
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("intent", said)])
