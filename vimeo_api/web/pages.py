"""HTML pages with the headers that all of them share; `views.named` and `views.docs` send them."""

from flask import Response, make_response, render_template, request


def wants_json(*, default: bool) -> bool:
    """Return whether the client prefers JSON to HTML; `default` decides if it has no preference."""
    html, json = request.accept_mimetypes["text/html"], request.accept_mimetypes["application/json"]
    return default if html == json else json > html


def page(template: str, content_security_policy: str, **values: object) -> Response:
    """Render a template as a page with this policy, which sends no Referer to others and is revalidated each time."""
    response = make_response(render_template(template, **values))
    response.headers["Content-Security-Policy"] = content_security_policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    # With `no-referrer` a browser would send `Origin: null` from the page's own form, which `csrf` refuses.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-cache"
    return response
