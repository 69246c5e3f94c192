# SPDX-License-Identifier: GPL-2.0 OR MIT
# Transactions, an index, WAL, two writers at once.
sqlite3 db "pragma journal_mode=wal; create table t(a integer primary key, b text);
	with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
	insert into t select i, 'row ' || (i * 7919 % 2000) from n;
	create index tb on t(b); select count(*), min(b), max(b) from t;
	select a from t where b = 'row 77'; pragma integrity_check;"
for w in 1 2; do
	for i in 1 2 3 4 5; do
		sqlite3 -cmd '.timeout 60000' db "insert into t(b) values('writer $w $i');" || echo failed
	done &
done
wait
sqlite3 db "select b from t where b like 'writer%' order by b;"
sqlite3 db "select nosuch from t" 2>&1 | head -n 1
