"""Model matrices of new data from a fitted formula."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from formulaic.errors import DataMismatchWarning


def new_rows(spec: Any, data: pd.DataFrame) -> np.ndarray:
    """Rows of the model matrix at new values of the variables.

    Parameters
    ----------
    spec : formulaic.ModelSpec
    data : DataFrame

    Returns
    -------
    ndarray, shape (n_rows, p)

    Raises
    ------
    ValueError
        For missing values, or categories the model has not seen.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            rows = spec.get_model_matrix(data).to_numpy(dtype=float)
        except DataMismatchWarning as fault:
            unseen = str(fault).partition("{")[2].partition("}")[0]
            raise ValueError(
                f"category {unseen} was not in the data of the model: use those that were."
            ) from None
    if len(rows) != len(data):
        raise ValueError("the new data hold missing values: fill them in or drop those rows.")
    return rows
