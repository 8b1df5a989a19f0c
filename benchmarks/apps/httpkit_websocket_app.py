"""The echo of messages as a user of httpkit would write it."""

from httpkit import App, WebSocket

app = App()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    """Send each message back."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)
