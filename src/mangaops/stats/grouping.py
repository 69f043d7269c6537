"""Rows to groups: the group is the unit of resampling, so sums by group are all that intervals need."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mangaops.stats.interval import Undefined

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Groups = NDArray[np.generic] | Sequence[Hashable]


def column(values: ArrayLike, name: str, rows: int | None = None) -> Floats:
    """`values` as one row of finite floats, `rows` long where that is given.

    Raises:
        ValueError: another shape or length, NaN or infinity.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or (rows is not None and numbers.size != rows):
        expected = "one row" if rows is None else f"one row of {rows}"
        raise ValueError(f"{name} must be {expected} numbers, and its shape is {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return numbers


def group_codes(groups: Groups, rows: int) -> tuple[Codes, int]:
    """A number from 0 for each row's group, and how many groups there are.

    Groups may be integers, strings or any hashable; numbers are given in order of first appearance for
    objects and in sorted order for NumPy integers and strings.

    Raises:
        ValueError: not one group a row.
    """
    if len(groups) != rows:
        raise ValueError(f"one group a row is needed: {len(groups)} groups came with {rows} rows")
    if isinstance(groups, np.ndarray) and groups.dtype.kind in "iub":
        names, codes = np.unique(groups, return_inverse=True)
        return codes.astype(np.intp, copy=False), int(names.size)
    listed = groups.tolist() if isinstance(groups, np.ndarray) else groups
    known: dict[Hashable, int] = {}
    numbers = np.fromiter((known.setdefault(group, len(known)) for group in listed), np.intp, rows)
    return numbers, len(known)


def group_sums(columns: Sequence[Floats], codes: Codes, count: int) -> Floats:
    """Sums of each column by group: an array of shape (count, len(columns))."""
    return np.stack([np.bincount(codes, weights=each, minlength=count) for each in columns], axis=1)


def collapse(rows: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct rows of a table in sorted order, and how often each occurs.

    Raises:
        Undefined: there are no rows.
    """
    if rows.shape[0] == 0:
        raise Undefined("there are no rows to collapse")
    ordered = rows[np.lexsort(rows.T[::-1])]
    starts = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))
    first = np.flatnonzero(starts)
    return ordered[first], np.diff(np.append(first, rows.shape[0]))
