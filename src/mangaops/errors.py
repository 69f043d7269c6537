"""Every error that mangaops raises on purpose, branched by who must act.

    MangaopsError                 exit 4
    ├── UsageError                exit 2   the caller: a flag, a word, an order of commands
    │   └── StackError            exit 2   the author of stack.yaml: every mistake, with its line
    ├── InputError                exit 4   the owner of the logs: a file, a column, a row
    │   └── LeakageError          exit 4   the owner of the logs: splits share what they must not
    ├── SetupError                exit 4   whoever installed this: a missing package, disk, database
    │   └── NoLedger              exit 4   the caller: nothing was ever kept at this address
    ├── RefusedError              exit 4   nobody yet: a rule of the ledger says no
    │   ├── IllegalMove           exit 4   the lifecycle table has no such arrow
    │   ├── RevisionConflict      exit 4   another verb appended first: read again, decide again
    │   ├── LeaseHeld             exit 4   another run of this unit is alive
    │   └── NotReviewable         exit 4   an answer that this stack does not accept
    ├── IntegrityError            exit 4   the engineer on call: stored facts do not add up
    │   ├── LedgerTampered        exit 4   a row was edited, lost, reordered, or the tail was cut
    │   ├── ArtifactTampered      exit 4   a sealed file is not what its manifest says
    │   ├── FingerprintMismatch   exit 4   tokenizer, preprocessing or labels are not those of training
    │   ├── VectorsMismatch       exit 4   vectors are not those of this adapter, catalogue or dimension
    │   └── Untracked             exit 4   the ledger lists no such model in a state that may serve
    └── TrainingError             exit 4   the owner of the recipe: export, parity, divergence

A message says what was refused, what was found, what would be accepted, and the next step. Foreign
errors are translated in one place a room.
"""

from __future__ import annotations

from collections.abc import Sequence


class MangaopsError(Exception):
    """Something was refused; the four parts are kept apart so that `--json` can show them."""

    exit_code = 4
    http_status = 500

    def __init__(self, refused: str, *, found: str = "", accepted: str = "", next_step: str = "") -> None:
        self.refused = refused
        self.found = found
        self.accepted = accepted
        self.next_step = next_step
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The four parts as one paragraph; empty parts are left out."""
        labelled = (("found", self.found), ("accepted", self.accepted), ("next", self.next_step))
        return "\n".join([self.refused, *(f"  {name}: {text}" for name, text in labelled if text)])

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.refused, self.found, self.accepted, self.next_step)


def _rebuild(
    kind: type[MangaopsError], refused: str, found: str, accepted: str, next_step: str
) -> MangaopsError:
    return kind(refused, found=found, accepted=accepted, next_step=next_step)


class UsageError(MangaopsError):
    """The caller asked for something that does not exist or in an order that cannot work."""

    exit_code = 2
    http_status = 400


class StackError(UsageError):
    """stack.yaml holds mistakes; `mistakes` has each as `line N: ...`."""

    def __init__(self, source: str, mistakes: Sequence[str]) -> None:
        self.source = source
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        super().__init__(
            f"{source} was refused: {count} mistake{'s' if count != 1 else ''}",
            found="\n    " + "\n    ".join(self.mistakes),
            next_step="mend these lines; `mangaops init` writes a commented stack.yaml to compare with",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return StackError, (self.source, self.mistakes)


class InputError(MangaopsError):
    """The logs cannot be read as rows, or the rows cannot be used."""

    http_status = 422


class LeakageError(InputError):
    """Splits share a conversation, a user or a distinctive text."""


class SetupError(MangaopsError):
    """The machine lacks something: a package, room on disk, a reachable database."""

    http_status = 503


class NoLedger(SetupError):
    """There is no ledger at this address yet, and what only reads makes none."""


class RefusedError(MangaopsError):
    """A rule of the ledger says no; nothing was changed."""

    http_status = 409


class IllegalMove(RefusedError):
    """The lifecycle table has no such arrow from the present state."""


class RevisionConflict(RefusedError):
    """Another verb appended first to a stream that this decision had read."""


class LeaseHeld(RefusedError):
    """Another run of this unit is alive."""


class NotReviewable(RefusedError):
    """A review, or an answer to one, that this stack does not accept."""


class IntegrityError(MangaopsError):
    """Stored facts do not add up."""


class LedgerTampered(IntegrityError):
    """A row was edited, lost or reordered, or the tail was cut."""


class ArtifactTampered(IntegrityError):
    """A sealed file is not what its manifest says."""


class FingerprintMismatch(IntegrityError):
    """Tokenizer, preprocessing, labels or probe outputs are not those that were sealed."""


class VectorsMismatch(IntegrityError):
    """Vectors are of another adapter, catalogue or dimension, or are no unit vectors at all."""


class Untracked(IntegrityError):
    """The ledger lists no such model in a state that may serve."""


class TrainingError(MangaopsError):
    """Training, export or parity did not give an artifact that may be sealed."""
