"""Several effect sizes of a trial made one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.engine.sampling import BlockCovariance, sampling_covariance
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.models.pairwise.inputs import numbers, value_faults


def aggregate(
    data: pd.DataFrame | Effects,
    cluster: str = "trial_id",
    *,
    rho: float | None = None,
    V: BlockCovariance | ArrayLike | None = None,
    yi: str = "yi",
    vi: str = "vi",
    weighted: bool = True,
) -> pd.DataFrame:
    """Make one effect size of all those of a trial.

    With y the effects of the trial and V their covariance, the weighted mean is
    `1'V^-1 y / 1'V^-1 1` with variance `1 / 1'V^-1 1`, the plain one `1'y / m` with `1'V1 / m^2`
    (Borenstein et al. 2009, Introduction to Meta-Analysis, ch. 24; Gleser & Olkin 2009 in The
    Handbook of Research Synthesis, ch. 19). What differs between the effects of a trial is lost:
    `multilevel` keeps it.

    Parameters
    ----------
    data : DataFrame or Effects
        A row an effect size. `Effects` carry their covariance: give neither `rho` nor `V`.
    cluster : str
        Column that names the trial.
    rho : float, optional
        Assumed correlation of the sampling errors of any two effects of one trial.
    V : BlockCovariance or array_like, shape (n_rows, n_rows), optional
        Their covariance, as `sampling_covariance` makes it, instead of `rho`.
    yi, vi : str
        Columns of effect sizes and sampling variances.
    weighted : bool

    Returns
    -------
    DataFrame
        A row a trial, in order of appearance: the trial, `yi, vi`, `n_effects`, and every other
        column that says the same in all rows of each trial.

    Raises
    ------
    ValueError
        For unknown columns, missing trials, unusable effects or variances, and for trials with
        several effects if neither `rho` nor `V` is given.
    CannotEstimate
        For a covariance that is not positive definite.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {"trial_id": ["a", "a", "b"], "yi": [-4.0, -8.0, -5.0], "vi": [4.0, 4.0, 3.0]}
    ... )
    >>> bp.aggregate(table, rho=0.5)
      trial_id   yi   vi  n_effects
    0        a -6.0  3.0          2
    1        b -5.0  3.0          1
    """
    refuse_evidence(data)
    if isinstance(data, Effects):
        if rho is not None or V is not None or cluster != "trial_id":
            raise ValueError("Effects carry their covariance: give neither rho, V nor cluster.")
        V, data = BlockCovariance(data.table["trial_id"].to_numpy(), data.covariance), data.table
    data = as_frame(data)
    need_columns([cluster, yi, vi], data)
    y, v = numbers(data[yi], yi), numbers(data[vi], vi)
    faults = value_faults(y, v, [f"row {label}" for label in data.index], vi)
    missing = data.index[data[cluster].isna()]
    if len(missing):
        faults.append(f"{cluster} is missing in rows {', '.join(map(str, missing))}")
    if rho is not None and V is not None:
        faults.append("give rho or V, not both")
    if faults:
        raise ValueError("; ".join(faults) + ".")
    codes, trials = pd.factorize(data[cluster])
    groups = [np.flatnonzero(codes == code) for code in range(len(trials))]
    blocks = _blocks(v, groups, codes, rho, V)
    rows: list[dict[str, Any]] = []
    for trial, members, block in zip(trials, groups, blocks, strict=True):
        if np.linalg.eigvalsh(block)[0] <= 1e-12 * np.trace(block):
            raise CannotEstimate(
                f"the sampling covariance of trial {str(trial)!r} is not positive definite",
                "two of its rows repeat each other, or its correlations cannot be together",
            )
        ones = np.ones(len(members))
        weights = np.linalg.solve(block, ones) if weighted else ones
        weights = weights / weights.sum()
        mean, variance = weights @ y[members], weights @ block @ weights
        rows.append({cluster: trial, yi: mean, vi: variance, "n_effects": len(members)})
    told = pd.DataFrame(rows)
    others = [name for name in data.columns if name not in told]
    same = data.groupby(codes)[others].nunique(dropna=False).max() == 1 if others else []
    first = data.iloc[[members[0] for members in groups]].reset_index(drop=True)
    return told.join(first[[name for name in others if same[name]]])


def _blocks(
    v: np.ndarray,
    groups: Sequence[np.ndarray],
    codes: np.ndarray,
    rho: float | None,
    V: BlockCovariance | ArrayLike | None,
) -> Sequence[np.ndarray]:
    """Sampling covariance of each trial's effects."""
    if V is None:
        if rho is None and max(map(len, groups)) > 1:
            raise ValueError("give rho or V: what correlates the effects of a trial.")
        return sampling_covariance(v, codes, rho=rho or 0.0).matrices
    dense = V.to_dense() if isinstance(V, BlockCovariance) else np.asarray(V, dtype=float)
    if dense.shape != (len(v), len(v)):
        raise ValueError(f"V has shape {dense.shape} for {len(v)} rows.")
    apart = codes[:, None] != codes
    if np.any(dense[apart] != 0):
        raise ValueError("V correlates effects of different trials: these cannot be made one.")
    if not np.allclose(np.diag(dense), v, rtol=1e-8, atol=0):
        raise ValueError("the diagonal of V differs from the sampling variances.")
    return [dense[np.ix_(members, members)] for members in groups]
