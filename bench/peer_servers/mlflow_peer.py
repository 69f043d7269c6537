"""MLflow: a pyfunc from code, so that nothing is pickled; `python mlflow_peer.py MODEL FOLDER` saves it."""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel, PythonModelContext

CODE = Path(__file__).resolve()


class Router(PythonModel):
    """The classifier as MLflow wants it."""

    def load_context(self, context: PythonModelContext) -> None:
        """The model is loaded, once a worker."""
        from model import Model

        self.model = Model(context.artifacts["model"])

    def predict(self, context: PythonModelContext, model_input: list[str]) -> list:  # noqa: ARG002 - its form
        """The answer to each text."""
        return [self.model.answer(text) for text in model_input]


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[2],
        python_model=str(CODE),
        artifacts={"model": sys.argv[1]},
        code_paths=[str(CODE.with_name("model.py"))],
        pip_requirements=["mlflow"],
    )
else:
    mlflow.models.set_model(Router())
