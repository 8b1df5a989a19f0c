"""WebSockets as a user of httpkit would write them: an echo, and a room."""

from benchmarks.messages import JOINED, SENT
from httpkit import App, Request, WebSocket

app = App()
room: set[WebSocket] = set()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """Send each message back."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)


@app.websocket("/room")
async def join(websocket: WebSocket) -> None:
    """Join the room, and stay until the client leaves."""
    await websocket.accept()
    room.add(websocket)
    try:
        await websocket.send(JOINED)
        async for _ in websocket:
            pass
    finally:
        room.discard(websocket)


@app.post("/room")
async def post(request: Request) -> bytes:
    """Send a message to everybody in the room."""
    await publish(await request.text())
    return SENT


async def publish(message: str) -> None:
    """Send a message to everybody in the room, one after another."""
    for member in list(room):
        await member.send(message)
