# SPDX-License-Identifier: GPL-2.0 OR MIT
# Archives, through pipes and with compressors as children.
cp -r "$ROOT/smp" src
tar -cf a.tar --sort=name src
tar -tf a.tar | wc -l
tar -czf a.tgz src && mkdir x && tar -xzf a.tgz -C x && diff -r src x/src && echo same
tar -cf - src | tar -xf - -C x --strip-components=1 && diff -r src x >/dev/null; ls x | wc -l
find src -name '*.h' -print0 | xargs -0 -n 3 -P 3 cat | sort | sha256sum
find src -name '*.c' -exec grep -l atomic {} + | wc -l
tar -xf nosuch.tar 2>&1 | sed 's/.*: //'
