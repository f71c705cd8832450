"""Pages for people, with the headers that every page of ours has: `views.named` and `views.docs` answer with them."""

from flask import Response, make_response, render_template, request


def wants_json(*, default: bool) -> bool:
    """Return whether the client prefers JSON to HTML; `default` decides where it has no preference."""
    html, json = request.accept_mimetypes["text/html"], request.accept_mimetypes["application/json"]
    return default if html == json else json > html


def page(template: str, content_security_policy: str, **values: object) -> Response:
    """Return a template with its values as a page that keeps to the policy, tells no other site and is never stale."""
    response = make_response(render_template(template, **values))
    response.headers["Content-Security-Policy"] = content_security_policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-cache"
    return response
