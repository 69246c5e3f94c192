# SPDX-License-Identifier: GPL-2.0 OR MIT
# gdb_attach.sh [DUNE-RUN OPTIONS...]: a debugger attaches to a program with threads that
# compute, read and wait, looks at it, changes it, stops it in its own code, and lets go.
"$@" "$ROOT/build/tests/conformance/debuggee" >log 2>&1 &
pid=$!
while ! grep -q ready log && kill -0 $pid; do sleep 0.1; done
gdb -nx -batch -p $pid -x "$ROOT/tools/dune-run/dune-gdb.py" -x "$CASES/gdb_attach.gdb" >out 2>err
grep '^\*' out
grep -i -e error -e exception err
# What gdb could not tell it: it would wait for ever.
grep -q '^\* write' out || { cat out err; kill -9 $pid; }
wait $pid
echo $?
cat log
