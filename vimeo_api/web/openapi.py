"""The OpenAPI document: views state what they take and answer, and `document` joins that with the routes.

A view is decorated with `described`; paths, methods, path parameters and summaries come from the code itself.
`views.docs` serves the result. Source: OpenAPI Specification 3.1.1, whose schemas are JSON Schema 2020-12.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any, Literal, TypeVar

from flask import Flask
from werkzeug.routing import Rule

from vimeo_api.version import VERSION
from vimeo_api.web.hooks import auth

UNLISTED = frozenset({"HEAD", "OPTIONS"})  # answered wherever GET is, and everywhere

JSON = "application/json"
PLAIN_TEXT = "text/plain"
HTML = "text/html"
FORM = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
OCTET_STREAM = "application/octet-stream"
ANY = "*/*"

Json = dict[str, Any]
Schema = Mapping[str, Any]
View = TypeVar("View", bound=Callable[..., Any])

STRING: Schema = {"type": "string"}
BINARY_STRING: Schema = {"type": "string", "format": "binary"}

# What any view but a link may require; an operation lists the scopes that it needs.
TOKEN_SCHEME = "apiToken"  # noqa: S105 -- a name
TOKEN: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API token, if the operator requires them; links need none.",
}
TOKEN_ERRORS = frozenset({401, 403})


def closed(title: str, **properties: Schema) -> Schema:
    """Return the schema of an object that has all of these properties and no others."""
    return {
        "title": title,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Body:
    """A body in one media type; `filename` is that of a form's part `file`."""

    schema: Schema
    example: object
    filename: str = ""

    def listed(self) -> Json:
        """Return the Media Type Object."""
        listed: Json = {"schema": dict(self.schema), "example": self.example}
        if self.filename:
            disposition = f'form-data; name="file"; filename="{self.filename}"'
            header = {"description": "Names the file.", "schema": dict(STRING), "example": disposition}
            listed["encoding"] = {"file": {"headers": {"Content-Disposition": header}}}
        return listed


Content = Mapping[str, Body]  # by media type


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter; if its name is in the route it is a path parameter, whatever `place` says."""

    name: str
    description: str
    example: object
    schema: Schema = field(default_factory=lambda: STRING)
    place: Literal["query", "header"] = "query"
    required: bool = False

    def listed(self, rule: Rule) -> Json:
        """Return the Parameter Object for a route."""
        in_path = self.name in rule.arguments
        return {
            "name": self.name,
            "in": "path" if in_path else self.place,
            "required": in_path or self.required,
            "description": self.description,
            "schema": dict(self.schema),
            "example": self.example,
        }


@dataclass(frozen=True, slots=True)
class Response:
    """What an operation answers with one status; `headers` says what each header means."""

    description: str
    content: Content = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def listed(self) -> Json:
        """Return the Response Object."""
        listed: Json = {"description": self.description}
        if self.headers:
            listed["headers"] = {
                name: {"description": text, "schema": dict(STRING)} for name, text in self.headers.items()
            }
        if self.content:
            listed["content"] = _content(self.content)
        return listed


@dataclass(frozen=True, slots=True)
class Section:
    """What the operations of a surface share: the errors of its dialect, and those that any operation may answer."""

    name: str
    title: str
    description: str
    errors: Mapping[int, Response]
    everywhere: frozenset[int]
    security: Mapping[str, Schema] = field(default_factory=dict)

    def listed(self) -> Json:
        """Return the Tag Object; the responses common to all operations are our extension."""
        return {
            "name": self.name,
            "description": self.description,
            "x-displayName": self.title,
            "x-common-responses": [str(status) for status in sorted(self.everywhere)],
        }


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view takes and answers. `errors` are those of its section that it may answer besides the common ones."""

    section: Section
    curl: str
    description: str
    responses: Mapping[int, Response]
    errors: frozenset[int] = frozenset()
    parameters: tuple[Parameter, ...] = ()
    body: Content = field(default_factory=dict)
    body_required: bool = True
    secured: bool = False  # takes what the section's `security` lists, optionally

    def listed(self, rule: Rule, operation_id: str, summary: str, verb: str | None) -> Json:
        """Return the Operation Object; `verb` is the one that a token must allow."""
        listed: Json = {
            "tags": [self.section.name],
            "operationId": operation_id,
            "summary": summary,
            "description": self.description,
            "parameters": [parameter.listed(rule) for parameter in self.parameters],
            "responses": dict(sorted(self._responses(verb))),
            "x-codeSamples": [{"lang": "sh", "source": self.curl}],
        }
        if self.body:
            listed["requestBody"] = {"required": self.body_required, "content": _content(self.body)}
        if self.secured:
            listed["security"] = [{}, *({name: []} for name in self.section.security)]
        if verb is not None:
            # Resumable uploads name it; the page of one-time links is for `vimeo`.
            named = (rule.defaults or {}).get("surface", self.section.name)
            surface = "{surface}" if "<surface>" in rule.rule else named
            listed["security"] = [{}, {TOKEN_SCHEME: [f"{surface}:{verb}"]}]
        return listed

    def _responses(self, verb: str | None) -> Iterator[tuple[str, Json]]:
        refusals = (TOKEN_ERRORS if verb else frozenset()) | ({429} if verb == "write" else frozenset())
        for status in (self.errors | self.section.everywhere | refusals) - set(self.responses):
            yield str(status), {"$ref": f"#/components/responses/{_component(self.section, status)}"}
        for status, response in self.responses.items():
            yield str(status), response.listed()


_described: dict[Callable[..., Any], tuple[Operation, Mapping[str, Operation]]] = {}


def described(operation: Operation, **by_method: Operation) -> Callable[[View], View]:
    """State what a view takes and answers; give a method that differs its own operation, such as `post=`."""

    def note(view: View) -> View:
        _described[view] = (operation, by_method)
        return view

    return note


def document(app: Flask, root: str = "") -> Json:
    """Return the OpenAPI document of all routes, below the path `root`. Raises LookupError for an undescribed view."""
    paths: dict[str, Json] = {}
    sections: dict[str, Section] = {}
    for rule, method, operation, summary, verb in _routes(app):
        methods = (rule.methods or set()) - UNLISTED
        operation_id = rule.endpoint.replace(".", "_") + (f"_{method}" if len(methods) > 1 else "")
        paths.setdefault(_path(rule), {})[method] = operation.listed(rule, operation_id, summary, verb)
        sections[operation.section.name] = operation.section
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "vimeo_api",
            "version": VERSION,
            "summary": "An upload pipeline that speaks five dialects.",
            "description": (
                "One service, five HTTP dialects over one core; they do not see each other's files. Where GET is "
                "listed, HEAD answers the same without a body and changes nothing. OPTIONS answers every known path "
                "with `Allow`. Errors are in the dialect of the section that owns the path."
            ),
        },
        "servers": [{"url": root or "/"}],
        "tags": [section.listed() for section in sections.values()],
        "paths": paths,
        "components": {
            "responses": {
                _component(section, status): response.listed()
                for section in sections.values()
                for status, response in sorted(section.errors.items())
            },
            "securitySchemes": {
                TOKEN_SCHEME: dict(TOKEN),
                **{name: dict(scheme) for section in sections.values() for name, scheme in section.security.items()},
            },
        },
    }


def _routes(app: Flask) -> Iterator[tuple[Rule, str, Operation, str, str | None]]:
    """Yield route, method in lower case, operation, summary and verb of every view but the static files."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue
        view = app.view_functions[rule.endpoint]
        if view not in _described:
            raise LookupError(f"The view {rule.endpoint} is not described.")
        operation, by_method = _described[view]
        summary = (getdoc(view) or "").partition("\n")[0].removesuffix(".")
        for method in sorted((rule.methods or set()) - UNLISTED):
            yield rule, method.lower(), by_method.get(method.lower(), operation), summary, auth.verb_of(view)


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", r"{\1}", rule.rule)


def _component(section: Section, status: int) -> str:
    return f"{section.name}_{status}"


def _content(content: Content) -> Json:
    return {kind: body.listed() for kind, body in content.items()}
