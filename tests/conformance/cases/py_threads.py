# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Threads, locks, queues, timers, thread-local data; many short threads; a deep stack."""
import concurrent.futures
import queue
import sys
import threading

local = threading.local()
lock = threading.Lock()
total = 0


def work(n):
    global total
    local.sum = 0
    for i in range(n):
        local.sum += i
    with lock:
        total += local.sum


threads = [threading.Thread(target=work, args=(2000,)) for _ in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print('total', total)

with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print('pool', sum(pool.map(lambda x: x * x, range(200))))

q = queue.Queue(4)
seen = []


def consume():
    while (item := q.get()) is not None:
        seen.append(item)


c = threading.Thread(target=consume)
c.start()
for i in range(100):
    q.put(i)
q.put(None)
c.join()
print('queue', len(seen), sum(seen))

for _ in range(60):
    t = threading.Thread(target=lambda: None)
    t.start()
    t.join()
print('short threads done', threading.active_count())

event = threading.Event()
threading.Timer(0.05, event.set).start()
print('timer', event.wait(20))

barrier = threading.Barrier(5)
order = []
ts = [threading.Thread(target=lambda: (barrier.wait(), order.append(1))) for _ in range(5)]
for t in ts:
    t.start()
for t in ts:
    t.join()
print('barrier', len(order))


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


threading.stack_size(16 << 20)
sys.setrecursionlimit(20000)
t = threading.Thread(target=lambda: print('deep', deep(5000)))
t.start()
t.join()
