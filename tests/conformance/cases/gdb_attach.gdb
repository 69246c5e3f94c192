# SPDX-License-Identifier: GPL-2.0 OR MIT
# For gdb_attach.sh; prints nothing that natively would be another thing.
set confirm off
set pagination off
set debuginfod enabled off
set print thread-events off
python
def threads():
    return sorted(gdb.selected_inferior().threads(), key=lambda t: t.num)

def switch(name):
    next(t for t in threads() if t.name == name).switch()

# Of the program's own functions: compute, which calls itself, to main
def frames():
    names, frame = [], gdb.newest_frame()
    while frame:
        if frame.function() and frame.function().symtab.filename.endswith('debuggee.c'):
            names.append(frame.name())
        frame = frame.older()
    return ' '.join(n for n in names if n not in ('work', 'beat'))

def show(text):
    print('* ' + str(text))

def value(text):
    return int(gdb.parse_and_eval(text))

gdb.execute('dune-symbols')
for t in threads():
    t.switch()
    show('%s: %s' % (t.name, frames()))
show('text is %s' % gdb.parse_and_eval('(char *)text').string())
gdb.execute('set var text = "after"')
switch('computer')
show('halved(5) is %s' % gdb.parse_and_eval('halved(5)'))
show('beats %s' % ('some' if value('beats') > 9 else 'none'))
# A breakpoint in what the thread computes, with right registers.
gdb.execute('tbreak beat')
gdb.execute('continue', to_string=True)
show('stopped in %s of %s, argument %s' % (gdb.newest_frame().name(), gdb.selected_thread().name,
                                         'right' if value('number') == value('beats') else 'wrong'))
show(frames())
pc = value('$pc')
gdb.execute('stepi', to_string=True)
show('stepi: %d bytes on in %s' % (value('$pc') - pc, gdb.newest_frame().name()))
gdb.execute('finish', to_string=True)
show('finish: in %s' % gdb.newest_frame().name())
# It is in plain mode now: hardware watches it.
gdb.execute('set var step_over = 1')
gdb.execute('watch watched')
gdb.execute('continue', to_string=True)
show('watched changed in %s' % gdb.newest_frame().name())
gdb.execute('delete')
# One in libc, for whoever comes: main().
gdb.execute('set var told = 1')
gdb.execute('break write if $rdx == 1')
gdb.execute('continue', to_string=True)
show('write of %d byte by %s: %s' % (value('$rdx'), gdb.selected_thread().name, frames()))
gdb.execute('delete')
gdb.execute('detach')
end
