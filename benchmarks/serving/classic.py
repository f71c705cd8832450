"""One-time files in the classic way: Flask-SQLAlchemy's session, X-Accel-Redirect, Werkzeug's form parser.

A measure for ours, behind the same nginx, uWSGI and PostgreSQL. It does less: who comes second at the same moment gets
the file too, an aborted download uses the file up, nothing is fsynced, and nothing is ever removed.

    PUT POST  /classic/file          multipart, `file`   → 201 and the key
    GET       /classic/file/<key>    once
    GET       /classic/read/<key>    any number of times
"""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.serving.place import EMPTY_NAME


class Base(DeclarativeBase):
    """The declarative base of the one model."""


db = SQLAlchemy(model_class=Base)


class File(db.Model):  # type: ignore[name-defined, misc]
    """One uploaded file."""

    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    path: Mapped[str]  # below the root
    gone: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))


def create_app() -> Flask:
    """Return the app."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["CLASSIC_DATABASE_URL"]
    root = Path(os.environ["CLASSIC_ROOT"])
    db.init_app(app)

    @app.route("/classic/file", methods=["PUT", "POST"])
    def upload() -> ResponseReturnValue:
        sent = request.files["file"]
        key = secrets.token_hex(16)
        path = f"{EMPTY_NAME}/{key}"
        sent.save(root / path)
        db.session.add(File(key=key, name=sent.filename or "file", path=path))
        db.session.commit()
        return jsonify(key=key), 201

    @app.get("/classic/file/<key>")
    def once(key: str) -> Response:
        file = db.session.get(File, key) or abort(404)
        if file.gone:
            abort(410)
        file.gone = True
        path, name = file.path, file.name
        db.session.commit()
        return _sent(path, name)

    @app.get("/classic/read/<key>")
    def read(key: str) -> Response:
        file = db.session.get(File, key) or abort(404)
        return _sent(file.path, file.name)

    return app


def _sent(path: str, name: str) -> Response:
    response = Response(content_type="application/octet-stream")
    response.headers["X-Accel-Redirect"] = f"/_classic/{path}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


if __name__ == "__main__":
    app = create_app()
    with app.app_context():
        db.create_all()
