"""A WebSocket that says everything back: httpkit run examples.websocket_echo:app"""

from httpkit import App, Request, WebSocket

app = App()


@app.get("/")
async def index(request: Request) -> str:
    return "Open a WebSocket at /echo: python -m websockets ws://127.0.0.1:8000/echo\n"


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws:
        await ws.send(message)
