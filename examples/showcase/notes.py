"""A JSON API of notes: validated on the way in, problem+json for mistakes, kept in memory."""

from collections import OrderedDict
from datetime import UTC, datetime
from itertools import count
from typing import Annotated

from msgspec import Meta, Struct

from httpkit import HTTPError, Request, Response, Router

#: The oldest notes make room: this is a demo that anybody may write to.
MAX_NOTES = 100


class NewNote(Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1, max_length=200)]


class Note(Struct):
    id: int
    text: str
    created: datetime


notes = Router()
store: OrderedDict[int, Note] = OrderedDict()
numbers = count(1)


@notes.get("")
async def list_notes(request: Request) -> list[Note]:
    return list(store.values())


@notes.post("")
async def create_note(request: Request) -> Response:
    new = await request.json(NewNote)
    note = Note(next(numbers), new.text, datetime.now(UTC))
    store[note.id] = note
    while len(store) > MAX_NOTES:
        store.popitem(last=False)
    return Response.json(note, 201, {"location": str(request.url_for("note", id=note.id))})


@notes.get("/{id:int}", name="note")
async def get_note(request: Request, id: int) -> Note:
    return find(id)


@notes.delete("/{id:int}")
async def delete_note(request: Request, id: int) -> None:
    del store[find(id).id]


def find(id: int) -> Note:
    if id not in store:
        raise HTTPError(404, f"There is no note {id}.")
    return store[id]
