"""The steps that recipes share, each by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mangaops.errors import SetupError, TrainingError
from mangaops.inference import answers
from mangaops.inference.manifest import file_digest
from mangaops.inference.predictor import softmax
from mangaops.inference.preprocessing import encoder
from mangaops.stack import Actions
from mangaops.training import IntentTraining, Trained, baseline
from mangaops.vocabulary import Action
from tiny import LABELS, tiny_rows


def _parity(rows: int, apart: int, wrong: int) -> dict[str, object]:
    return {
        "rows": rows,
        "accuracy": {"torch": 0.9, "int8": 0.9 - wrong / rows},
        "agreement": {"torch/int8": 1 - apart / rows},
    }


@pytest.mark.parametrize(
    ("rows", "apart", "wrong"), [(2000, 20, 6), (2000, 0, -6), (400, 8, 3), (50, 2, 1), (10, 0, 0)]
)
def test_parity_that_holds_is_let_through(rows: int, apart: int, wrong: int) -> None:
    from mangaops.training.steps import parity

    parity.require(_parity(rows, apart, wrong), 0.99)


@pytest.mark.parametrize(
    ("rows", "apart", "wrong", "says"),
    [
        (2000, 21, 0, "torch/int8 agree on 98.95% of 2000 rows"),
        (2000, 20, 7, "differ by 0.35 points"),
        (2000, 20, -7, "differ by 0.35 points"),
        (400, 9, 0, "agree on 97.75% of 400 rows"),
        (400, 4, 4, "differ by 1.00 points"),
        (50, 3, 3, "agree on 94.00% of 50 rows"),
    ],
)
def test_parity_that_is_broken_is_refused_with_its_figures(
    rows: int, apart: int, wrong: int, says: str
) -> None:
    from mangaops.training.steps import parity

    with pytest.raises(TrainingError, match="do not answer alike") as caught:
        parity.require(_parity(rows, apart, wrong), 0.99)
    assert says in caught.value.found


def test_a_runtime_that_gives_nan_agrees_with_nothing() -> None:
    from mangaops.training.steps import parity

    good = np.eye(3)
    found = parity.compare({"torch": good, "int8": np.full((3, 3), np.nan)}, np.arange(3))
    assert found["agreement"] == {"torch/int8": 0.0}
    assert found["accuracy"]["torch"] == 1.0


def test_parity_rows_are_spread_and_at_most_two_thousand() -> None:
    from mangaops.training.steps import parity

    assert parity.sample(5) == [0, 1, 2, 3, 4]
    chosen = parity.sample(31_000)
    assert (len(set(chosen)), chosen[0], chosen[-1]) == (2000, 0, 30_999)


@pytest.mark.parametrize("true", [0.3, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found_again(true: float) -> None:
    from mangaops.training.steps import calibrate

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 4))
    shares = softmax(logits / true)
    targets = (shares.cumsum(axis=1) > rng.random((len(shares), 1))).argmax(axis=1)
    found = calibrate.temperature(logits, targets)
    assert found == pytest.approx(true, rel=0.05)
    assert calibrate.calibration_error(logits, targets, found) < 0.02
    assert calibrate.log_loss(logits, targets, found) <= calibrate.log_loss(logits, targets, 1.0)


def test_where_every_answer_is_right_nothing_is_calibrated() -> None:
    from mangaops.training.steps import calibrate

    assert calibrate.temperature(np.eye(3) * 5, np.arange(3)) == 1.0


@pytest.mark.parametrize("kind", ["none", "sqrt", "balanced"])
def test_class_weights_have_mean_one_over_the_rows(kind: str) -> None:
    from mangaops.training.steps import losses

    targets = np.repeat([0, 1, 2], [80, 19, 1])
    weights = losses.class_weights(targets, 4, kind).numpy()
    assert weights[targets].mean() == pytest.approx(1.0)
    assert weights[3] == (0.0 if kind != "none" else weights[3])
    assert weights[2] / weights[0] == pytest.approx(80 ** {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[kind])


def test_focal_loss_is_cross_entropy_at_gamma_zero_and_less_for_easy_rows() -> None:
    import torch

    from mangaops.training.steps import losses

    logits, targets, even = torch.tensor([[4.0, 0.0], [0.5, 0.0]]), torch.tensor([0, 0]), torch.ones(2)
    plain = losses.loss(logits, targets, even, IntentTraining())
    flat = losses.loss(logits, targets, even, IntentTraining(loss="focal", focal_gamma=0.0))
    easy, hard = (
        losses.loss(logits[row : row + 1], targets[:1], even, IntentTraining(loss="focal")) for row in (0, 1)
    )
    assert float(flat) == pytest.approx(float(plain))
    assert float(easy) / float(hard) < float(
        torch.nn.functional.cross_entropy(logits[:1], targets[:1])
        / torch.nn.functional.cross_entropy(logits[1:], targets[:1])
    )


def test_every_row_is_in_one_batch_and_its_padding_counts_for_nothing(trained: Trained, base: Path) -> None:
    import torch

    from mangaops.training.steps import scoring
    from mangaops.training.steps.network import classifier
    from mangaops.training.steps.rows import Rows

    rows = Rows(tiny_rows(130), LABELS, encoder(trained.folder))
    batches = rows.shuffled(16, np.random.default_rng(0))
    assert sorted(row for batch in batches for row in batch) == list(range(130))
    torch.manual_seed(0)
    network = classifier(base, len(LABELS), IntentTraining())
    together = scoring.logits(network, rows, range(130), "fp32")
    alone = np.concatenate([scoring.logits(network, rows, [row], "fp32") for row in range(130)])
    assert np.abs(together - alone).max() < 1e-4


def test_weights_that_are_not_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    from mangaops.training.steps import bases

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(SetupError, match="not the pinned ones"):
        bases.pinned(tmp_path, bases.EMBEDDED_WEIGHTS)
    digest = file_digest(tmp_path / "model.safetensors")
    assert bases.pinned(tmp_path, digest).weights == digest


def test_the_embedded_base_is_the_pinned_one() -> None:
    from mangaops.training.steps import bases

    assert bases.find("minilm-l6").weights == bases.EMBEDDED_WEIGHTS


def test_libraries_are_quiet_and_their_errors_ours(capfd: pytest.CaptureFixture[str]) -> None:
    import logging
    import warnings

    from mangaops.training.foreign import translated

    with translated("training"):
        warnings.warn("noise", UserWarning, stacklevel=1)
        logging.getLogger("torch").error("noise")
    assert capfd.readouterr() == ("", "")
    for raised, ours in (
        (OSError(28, "No space left on device", "/full"), SetupError),
        (ModuleNotFoundError("no", name="torch"), SetupError),
        (RuntimeError("shape"), TrainingError),
    ):
        with pytest.raises(ours), translated("training"):
            raise raised


@pytest.mark.parametrize(
    "raised",
    [OSError(28, "No space left on device"), RuntimeError("Error: No space left on device (os error 28)")],
    ids=["disk", "library"],
)
def test_a_full_disk_is_named_by_the_folder_that_is_written_to(raised: Exception, tmp_path: Path) -> None:
    from mangaops.training.foreign import translated

    with pytest.raises(SetupError) as caught, translated("training intents", tmp_path):
        raise raised
    assert caught.value.found == f"the disk is full: {tmp_path}"


def test_the_baseline_answers_like_any_predictor() -> None:
    actions = Actions(clarify_below=0.4, offer_human=("escalation",))
    plain = baseline(tiny_rows(240), LABELS, actions)
    rows = tiny_rows(60, seed=5)
    given = answers(plain, rows["text"])
    assert np.mean([a.label == b for a, b in zip(given, rows["label"], strict=True)]) > 0.9
    assert all(answer.action is Action.OFFER_HUMAN for answer in given if answer.label == "escalation")
    assert plain.labels == LABELS
    for text in ("", "\0", "\ud800", "x" * 1_000_000):
        assert plain.answer(text).label in LABELS
    assert answers(baseline(tiny_rows(240), LABELS, actions), rows["text"]) == given


def test_a_baseline_of_one_label_is_refused() -> None:
    with pytest.raises(TrainingError, match="baseline was refused"):
        baseline(pl.DataFrame({"text": ["a", "b"], "label": ["faq", "faq"]}), ("faq",), Actions())


def test_naming_recipes_and_parameters_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import mangaops.training, sys; print({'torch', 'sklearn'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_only_the_tokens_in_use_are_trained_and_the_others_keep_their_vectors() -> None:
    import torch
    from transformers import BertConfig, BertModel

    from mangaops.training.steps.network import Classifier, used_tokens

    encoder = BertModel(
        BertConfig(
            vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
    )
    network = Classifier(encoder, 8, 2, 0.0).eval()
    ids = torch.tensor([[7, 3, 9, 0]])
    mask = torch.tensor([[1, 1, 1, 0]])
    before = encoder.get_input_embeddings().weight.detach().clone()
    answered = network(ids, mask)
    with used_tokens(encoder, [[3, 9], [7]]):
        assert torch.equal(network(ids, mask), answered)
        vectors = encoder.get_input_embeddings().weight
        assert vectors.shape == (4, 8)
        with torch.no_grad():
            vectors += 1.0
        with pytest.raises(IndexError):
            network(torch.tensor([[11]]), torch.tensor([[1]]))
    after = encoder.get_input_embeddings().weight.detach()
    moved = (after != before).any(dim=1).nonzero().flatten().tolist()
    assert moved == [0, 3, 7, 9]
