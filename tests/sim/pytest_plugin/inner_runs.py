"""What the runs of pytest in these tests share: how they start, a test that passes, a server to talk to."""

# This suite switches pytest-asyncio off; here each run says whether it is there.
ALONE = ("-p", "no:asyncio", "-p", "no:cacheprovider")

PASSES = """
@pytest.mark.simulated(seeds=5, network="wan")
async def test_time_is_virtual(simulation):
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.sleep(1000)
    assert loop.time() - before == 1000
    assert "test" in simulation.nodes
"""

ECHO = """
async def echo(reader, writer):
    writer.write(await reader.read(100))
    writer.close()

async def serve():
    server = await asyncio.start_server(echo, "0.0.0.0", 7)
    async with server:
        await server.serve_forever()

async def ask(text):
    reader, writer = await asyncio.open_connection("server", 7)
    writer.write(text)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
"""
