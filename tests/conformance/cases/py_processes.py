# SPDX-License-Identifier: GPL-2.0 OR MIT
"""subprocess, fork with threads, multiprocessing with all its start methods."""
import multiprocessing
import os
import signal
import subprocess
import sys
import threading


def square(x):
    return x * x


def fill(array, n):
    for i in range(n):
        with array.get_lock():
            array[i % 4] += 1


def main():
    print(subprocess.run(['sh', '-c', 'echo out; echo err >&2; exit 5'], capture_output=True))
    p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(p.communicate(b'x' * 200000)[0] == b'x' * 200000, p.returncode)
    p = subprocess.Popen(['sleep', '100'])
    p.terminate()
    print('terminated', p.wait())
    try:
        subprocess.run(['sleep', '100'], timeout=0.2)
    except subprocess.TimeoutExpired:
        print('timeout')
    try:
        subprocess.run(['/nonexistent'])
    except FileNotFoundError as e:
        print(e)
    print(subprocess.run('exit 3', shell=True, preexec_fn=os.setsid).returncode)
    print(subprocess.run(['cat'], stdin=subprocess.DEVNULL, close_fds=True,
                         start_new_session=True).returncode)

    stop = threading.Event()
    t = threading.Thread(target=stop.wait)
    t.start()
    pid = os.fork()
    if pid == 0:
        os._exit(42 if threading.active_count() == 1 else 1)
    print('forked', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    stop.set()
    t.join()

    pid = os.posix_spawn('/bin/sh', ['sh', '-c', 'kill -KILL $$'], os.environ)
    print('spawned', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    for method in sys.argv[1:] or ['fork']:
        ctx = multiprocessing.get_context(method)
        with ctx.Pool(2) as pool:
            print(method, sum(pool.map(square, range(50))))
        array = ctx.Array('i', 4)
        ps = [ctx.Process(target=fill, args=(array, 40)) for _ in range(2)]
        for p in ps:
            p.start()
        for p in ps:
            p.join()
        print(method, list(array), [p.exitcode for p in ps])
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(w, 1)
        os.execvp('sh', ['sh', '-c', f'echo through a pipe {signal.SIGTERM}'])
    os.close(w)
    print(os.fdopen(r).read().strip(), os.waitpid(pid, 0)[1])


if __name__ == '__main__':
    sys.stdout.reconfigure(line_buffering=True)
    main()
