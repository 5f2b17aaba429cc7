"""GEE against ordinary regression with sandwich errors, and statsmodels called by formula."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose

from backpain_analysis.models.people.gee import gee
from tests.models.people.made_visits import at, made_visits


def test_with_one_visit_it_is_least_squares_with_sandwich_errors():
    visits = made_visits(missing=0.2, weeks=(0, 12))
    result = gee(visits, adjust=("baseline", "sex"))
    rows = at(visits, 12)
    fitted = smf.ols("value ~ dose + C(trial_id) + baseline + sex", rows).fit(cov_type="HC0")
    assert_allclose(result.params["dose, week 12"], fitted.params["dose"], rtol=1e-8)
    assert_allclose(result.bse["dose, week 12"], fitted.bse["dose"], rtol=1e-8)
    assert_allclose(result.pvalues["dose, week 12"], fitted.pvalues["dose"], rtol=1e-6)
    assert result.excluded["reason"].tolist() == ["no complete scores after baseline"] * (
        120 - len(rows)
    )


def test_several_visits_against_statsmodels():
    visits = made_visits(missing=0.2)
    result = gee(visits)
    rows = pd.concat([at(visits, 6), at(visits, 12)]).sort_values(["trial_id", "participant_id"])
    rows = rows.assign(person=rows["trial_id"] + rows["participant_id"])
    theirs = smf.gee(
        "value ~ C(week):dose + C(trial_id):C(week) + baseline",
        "person",
        rows,
        cov_struct=sm.cov_struct.Exchangeable(),
    ).fit()
    names = ["C(week)[6.0]:dose", "C(week)[12.0]:dose"]
    assert_allclose(result.params, theirs.params[names], rtol=1e-6)
    assert_allclose(result.bse, theirs.bse[names], rtol=1e-6)
    assert_allclose(result.correlation, theirs.cov_struct.dep_params, rtol=1e-5)
    naive = pd.Series(theirs.standard_errors("naive"), theirs.params.index)[names]
    assert_allclose(np.sqrt(np.diag(result.naive_cov)), naive, rtol=1e-5)
    assert result.n_scores == len(rows)


def test_predictions():
    result = gee(made_visits(), curve="quadratic")
    row = result.predict([90], reference=30, week=6).iloc[0]
    expected = 60 * result.params["dose, week 6"] + 7200 * result.params["dose^2, week 6"]
    assert_allclose(row["estimate"], expected)
    assert "robust standard errors" in result._repr_html_()


def test_what_cannot_be_fitted_is_refused():
    visits = made_visits(doses=(60.0,))
    with pytest.raises(ValueError, match="cannot tell the effects of dose at all visits apart"):
        gee(visits)
    visits = made_visits()
    with pytest.raises(ValueError, match="nobody has a score after baseline"):
        gee(visits.assign(age=np.nan), adjust=("age",))
