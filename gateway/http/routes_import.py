"""History into the database."""

from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from gateway.http.answers import answer, answers
from gateway.http.context import Engineer
from gateway.imports import ImportAnswer, Importer

router = APIRouter(tags=["export"])
_COLUMNS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["machine", "ts", "metrics"],
    "properties": {
        "machine": {"type": "string"},
        "ts": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "number"}]}},
        "metrics": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": ["number", "null"]}},
        },
        "arrived": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "number"}]}},
        "units": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [_COLUMNS, {"type": "array", "items": _COLUMNS}]}}
        },
    }
}


@router.post("/import", responses=answers(ImportAnswer), openapi_extra=_BODY)
async def take(_: Engineer, request: Request) -> Response:
    """Store readings of one machine or several, in columns; the same ones twice change nothing."""
    importer: Importer = request.app.state.importer
    return answer(await importer.take(await request.body(), datetime.now(UTC)))
