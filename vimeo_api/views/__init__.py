"""The dialects: one module each; they never import each other. To add one, add it to SURFACES."""

from http import HTTPStatus

from flask import Request, Response, jsonify, request

from vimeo_api.views import docs, manage, named, operations, share, store, streams, transfer, uploads, vimeo
from vimeo_api.views.uploads import at_surfaces
from vimeo_api.web import pages, problems
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.problems import Problem
from vimeo_api.web.surface import Surface

SURFACES: tuple[Surface, ...] = (
    vimeo.surface,
    streams.surface,
    store.surface,
    named.surface,
    transfer.surface,
    uploads.surface,
    share.surface,
    manage.surface,
    docs.surface,
    operations.surface,
)

_OWNERS = {segment: surface for surface in SURFACES for segment in surface.first_segments}


def init_app(app: Pipeline) -> None:
    """Register the surfaces; every error, a missing route included, is rendered by the surface that owns the path."""
    for surface in SURFACES:
        app.register_blueprint(surface.blueprint)
    app.extensions["resumable"] = {surface.name: surface.resumable for surface in SURFACES if surface.resumable}
    app.before(at_surfaces.begin)  # after all hooks
    app.after(at_surfaces.tell)

    @app.errorhandler(Exception)
    def answer(error: Exception) -> Response:
        problem = problems.from_exception(error)
        surface = owner(request.path)
        response = surface.render(problem) if surface else _unknown_path(problem)
        response.status_code = problem.status
        response.headers.update(problem.headers)
        return response


def _unknown_path(problem: Problem) -> Response:
    if pages.wants_json(default=True):
        return jsonify(error=problem.phrase)
    return pages.error(problem.status, pages.NOWHERE if problem.status == HTTPStatus.NOT_FOUND else problem.reason)


def owner(path: str) -> Surface | None:
    """Return the surface that owns a path, by its first segment."""
    return _OWNERS.get(path.removeprefix("/").split("/", 1)[0])


def file_of(req: Request) -> tuple[str, str] | None:
    """Return surface and key of the file that a request is about, each "" if there is none.

    Return None if the request's refusals must not be cached.
    """
    surface = owner(req.path)
    if surface is None:
        return "", ""
    return (surface.name, surface.key_of(req)) if surface.remembers else None
