# SPDX-License-Identifier: GPL-2.0 OR MIT
# Compiles two files of this project and runs what came of it.
cp "$ROOT"/tests/conformance/family.[ch] .
cat >main.c <<'END'
#include <stdio.h>
#include "family.h"
int main(void) { printf("%u children\n", family_size()); return 4; }
END
gcc -O2 -Wall -D_GNU_SOURCE -c family.c -o family.o && sha256sum family.o
gcc -O1 -pipe -c main.c && gcc main.o family.o -o prog && ./prog; echo $?
echo 'int x = ;' | gcc -c -xc - 2>&1 | head -n 1
