# SPDX-License-Identifier: GPL-2.0 OR MIT
"""asyncio: a server and its clients, subprocesses, executors; shared memory; mmap."""
import asyncio
import mmap
import os
from multiprocessing import shared_memory


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def client(port, n):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    out = []
    for i in range(10):
        writer.write(f'client {n} line {i}\n'.encode())
        out.append(await reader.readline())
    writer.close()
    return b''.join(out)


async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    replies = await asyncio.gather(*(client(port, n) for n in range(5)))
    print(len(replies), sum(map(len, replies)), replies[3][-20:])
    server.close()
    p = await asyncio.create_subprocess_exec('tr', 'a-z', 'A-Z', stdin=asyncio.subprocess.PIPE,
                                             stdout=asyncio.subprocess.PIPE)
    print(await p.communicate(b'through a process'), p.returncode)
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, range(1000)))
    try:
        await asyncio.wait_for(asyncio.sleep(50), 0.1)
    except asyncio.TimeoutError:
        print('timed out')


asyncio.run(main())

m = mmap.mmap(-1, 1 << 20)
if os.fork() == 0:
    m[:5] = b'child'
    m[-1] = 7
    os._exit(0)
os.wait()
print(m[:5], m[-1])
with open('file', 'w+b') as f:
    f.write(b'a' * 8192)
    f.flush()
    with mmap.mmap(f.fileno(), 0) as view:
        view[4096:4101] = b'hello'
        view.flush()
    f.seek(4096)
    print(f.read(5))
s = shared_memory.SharedMemory(create=True, size=4096)
s.buf[0] = 9
other = shared_memory.SharedMemory(s.name)
print(other.buf[0])
other.close()
s.close()
s.unlink()
