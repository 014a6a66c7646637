"""Messages of the bus as answers of the API: one definition of a machine or an anomaly, not two."""

from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Response

from broker.messages import encode

REF = "#/components/schemas/{name}"

Shape = TypeVar("Shape", bound=msgspec.Struct)
_shapes: dict[str, type[msgspec.Struct]] = {}


def answer(body: msgspec.Struct, status: int = 200) -> Response:
    """Return a struct as JSON, with times as on the bus."""
    return Response(encode(body), status, media_type="application/json")


def answers(
    shape: type[msgspec.Struct], status: int = 200, text: str = "OK"
) -> dict[int | str, dict[str, Any]]:
    """Return what a route says in OpenAPI of its answer: `responses=answers(MachineList)`."""
    _shapes[shape.__name__] = shape
    content = {"application/json": {"schema": {"$ref": REF.format(name=shape.__name__)}}}
    return {status: {"description": text, "content": content}}


def describe(app: FastAPI) -> None:
    """Put the schemas of the shapes into the application's OpenAPI document."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            _, components = msgspec.json.schema_components(list(_shapes.values()), ref_template=REF)
            document.setdefault("components", {}).setdefault("schemas", {}).update(components)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
