"""Isolation trees as plain arrays, and the one walk through them: for one machine and for thousands.

A tree is laid out as a full binary tree: the children of node i are 2i + 1 and 2i + 2, so none are stored.
A leaf that comes early is repeated to the full depth, below splits that always go to the lower side.
Every split is turned so that its lower side is the one most training rows went to, by storing the negative
of a feature where need be. A missing value (NaN compares false) then goes with most.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from detector.rows import Floats

Features32 = NDArray[np.float32]
DEPTH_MOST = 11
"""Codes of leaves are 16 bit."""
FEATURES_MOST = 2**15
WALKS_AT_ONCE = 8192
"""Walks through one tree each: what is worked on then stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Trees:
    """`feature` and `threshold` are (…, trees, 2^depth - 1), `leaf` is (…, trees, 2^depth).

    `feature` counts the features twice, the second time for their negatives. `leaf` is a code, see
    `leaf_lengths`. The leading dimension, where there is one, is the machine's slot.
    """

    feature: NDArray[np.uint8 | np.uint16]
    threshold: Features32
    leaf: NDArray[np.int16]

    @property
    def depth(self) -> int:
        """Return the number of splits from the root to a leaf."""
        return int(self.leaf.shape[-1]).bit_length() - 1


def average_path_length(rows: Floats) -> Floats:
    """Return the mean length of an unsuccessful search in a binary tree of so many rows (n).

    Liu, Ting and Zhou, Isolation Forest, 2008, equation 1, with the limits 0 and 1 for one and two rows.
    """
    many = np.maximum(rows, 3.0)
    length = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(rows <= 1.0, 0.0, np.where(rows == 2.0, 1.0, length))  # noqa: PLR2004


@lru_cache(maxsize=DEPTH_MOST + 1)
def leaf_lengths(depth: int) -> Floats:
    """Return the path length by leaf code: splits passed, plus the length the rows in the leaf stand for.

    The code of a leaf at depth d with n training rows is d (2^depth + 1) + n.
    """
    rows = np.arange(2**depth + 1, dtype=np.float64)
    return (np.arange(depth + 1)[:, None] + average_path_length(rows)[None, :]).ravel()


def rounded_down(thresholds: Floats) -> Features32:
    """Return the greatest 32 bit numbers that are not above; 32 bit numbers compare with them as before."""
    near = thresholds.astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def flattened(forest: IsolationForest, depth: int) -> Trees:
    """Lay out a fitted forest; `depth` is that of its deepest leaf or more."""
    width = int(forest.n_features_in_)
    count = len(forest.estimators_)
    feature = np.zeros((count, 2**depth - 1), np.uint8 if 2 * width <= 2**8 else np.uint16)
    threshold = np.full(feature.shape, np.inf, np.float32)
    leaf = np.zeros((count, 2**depth), np.int16)
    for number, fitted in enumerate(forest.estimators_):
        tree = fitted.tree_
        down, up = rounded_down(tree.threshold), rounded_down(-tree.threshold)
        # x > t is -x < -t, which for 32 bit numbers is -x <= the number before -t, where -t is one itself.
        up = np.where(up == -tree.threshold, np.nextafter(up, np.float32(-np.inf)), up)
        ends: list[tuple[int, int, int]] = [(0, 0, 0)]
        while ends:
            node, place, level = ends.pop()
            left, right = int(tree.children_left[node]), int(tree.children_right[node])
            if left < 0:
                first = (place + 1) * 2 ** (depth - level) - 2**depth
                code = level * (2**depth + 1) + int(tree.n_node_samples[node])
                leaf[number, first : first + 2 ** (depth - level)] = code
                continue
            turned = tree.n_node_samples[right] > tree.n_node_samples[left]
            feature[number, place] = tree.feature[node] + (width if turned else 0)
            threshold[number, place] = (up if turned else down)[node]
            lower, upper = (right, left) if turned else (left, right)
            ends += [(lower, 2 * place + 1, level + 1), (upper, 2 * place + 2, level + 1)]
    return Trees(feature, threshold, leaf)


def mean_lengths(trees: Trees, features: Features32, slots: NDArray[np.int64]) -> Floats:
    """Return the mean path length of each row (n) through the trees of its slot.

    `features` is (n, width), NaN where missing; `slots` (n) are places in the leading dimension of `trees`.
    """
    count = trees.leaf.shape[-2]
    both = np.concatenate([features, -features], axis=1)
    found = np.empty(len(features))
    step = max(1, WALKS_AT_ONCE // count)
    for first in range(0, len(features), step):
        part = slice(first, first + step)
        codes = _leaves(trees, both[part], slots[part])
        found[part] = leaf_lengths(trees.depth).take(codes).reshape(-1, count).mean(axis=1)
    return found


def _leaves(trees: Trees, both: Features32, slots: NDArray[np.int64]) -> NDArray[np.int16]:
    """Return the code of the leaf each row reaches in each tree of its slot (n x trees)."""
    count, splits = trees.feature.shape[-2:]
    feature, threshold, flat = trees.feature.ravel(), trees.threshold.ravel(), both.ravel()
    tree = (slots[:, None] * count + np.arange(count)).ravel()
    row = np.repeat(np.arange(len(both)) * both.shape[1], count)
    begin = tree * splits
    at, child = begin.copy(), 1 - begin
    which, column = np.empty(len(at), feature.dtype), np.empty_like(at)
    value, bound, upper = (
        np.empty(len(at), np.float32),
        np.empty(len(at), np.float32),
        np.empty(len(at), bool),
    )
    for _ in range(trees.depth):
        # No place is out of bounds (unpacking has checked it), and "clip" is the quickest way to say so.
        np.take(feature, at, out=which, mode="clip")
        np.take(threshold, at, out=bound, mode="clip")
        np.add(which, row, out=column)
        np.take(flat, column, out=value, mode="clip")
        np.greater(value, bound, out=upper)
        at += at  # begin + 2 (at - begin) + 1, and one more for the upper child
        at += child
        at += upper
    at += tree  # a tree has one leaf more than splits
    at -= splits
    codes: NDArray[np.int16] = np.take(trees.leaf.ravel(), at, mode="clip")
    return codes
