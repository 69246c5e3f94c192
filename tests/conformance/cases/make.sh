# SPDX-License-Identifier: GPL-2.0 OR MIT
# A jobserver, pattern rules, a failing rule.
cat >Makefile <<'END'
all: $(patsubst %,%.out,1 2 3 4 5 6 7 8)
%.out: %.in
	@sed 's/in/out/' $< >$@ && cat $@ >>log
%.in:
	@echo "in $*" >$@
bad: ; @exit 3
.PRECIOUS: %.in
sub: ; @$(MAKE) --no-print-directory -f sub.mk
END
printf 'all: a b c\na b c: ; @echo sub $@ >>sublog\n' >sub.mk
make -j4 all; echo $?
sort log
make -j4 all; make -k bad; echo $?
make -j3 sub; sort sublog
