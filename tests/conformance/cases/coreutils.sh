# SPDX-License-Identifier: GPL-2.0 OR MIT
# Files and pipelines; sort with threads.
mkdir -p tree/a/b tree/c
seq 1 2000 | sed 's/$/ the quick brown fox/' >tree/a/numbers
cp tree/a/numbers tree/c/copy
ln -s ../a/numbers tree/c/link
ln tree/c/copy tree/a/b/hard
find tree | sort
find tree -type f -size +10k -exec wc -l {} + | sort
sort -R --random-source=tree/a/numbers tree/a/numbers | sort -n --parallel=4 -S 64k | sha256sum
cut -d' ' -f1,4 tree/a/numbers | tr ' ' : | tail -n 2
split -l 500 tree/a/numbers part.
cat part.* | cmp - tree/a/numbers && ls part.*
dd if=tree/a/numbers of=blocks bs=4k count=3 2>/dev/null; stat -c '%s %h' blocks tree/c/copy
seq 40 | xargs -P 4 -n 5 echo | sort -n
grep -c '7 the' tree/a/numbers
diff tree/a/numbers tree/c/copy && echo same
du -b tree/a/numbers | cut -f1
paste -d, part.aa part.ab | head -n 2
seq 1000 | shuf --random-source=tree/a/numbers | md5sum
seq 1000 | factor | tail -n 1
yes | head -n 30000 | sort | uniq -c
comm -12 part.aa tree/c/copy 2>/dev/null | wc -l
rm -r tree; ls
ls nosuchfile; echo status $?
mkfifo fifo; (echo through a fifo >fifo) & cat fifo; wait
date -d @86400 +%F; nproc --all >/dev/null; tee copy1 copy2 <part.ad >/dev/null; cksum copy2
