"""Statements: what their errors reveal."""

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from vimeo_api.core.database import statements


def test_an_error_does_not_quote_what_the_statement_was_given(app: Flask) -> None:
    with pytest.raises(DBAPIError) as caught:
        statements.rows(text("SELECT x FROM nowhere WHERE y = :secret").bindparams(secret="hunter2"))
    assert "nowhere" in str(caught.value)
    assert "hunter2" not in str(caught.value)
