# SPDX-License-Identifier: GPL-2.0 OR MIT
# Repository, commits, branches, a merge, packing with threads, a clone.
export GIT_AUTHOR_DATE='@1700000000 +0000' GIT_COMMITTER_DATE='@1700000000 +0000'
export GIT_CONFIG_NOSYSTEM=1
git config --global user.name N; git config --global user.email n@example.org
git config --global init.defaultBranch main; git config --global pack.threads 2
git init -q repo && cd repo || exit
cp "$ROOT"/smp/*.c .
git add . && git commit -qm first
git checkout -qb side && echo side >side && git add side && git commit -qm side
git checkout -q main && echo main >main && git add main && git commit -qm main
git merge -q side -m merge
git log --format='%h %s' --graph
git diff --stat HEAD~1
git repack -adq && git fsck --no-progress && git count-objects -v | grep in-pack
git clone -q . ../clone && git -C ../clone log --oneline | wc -l
git gc -q --prune=now; git grep -c barrier | wc -l
git show nosuch 2>&1 | head -n 1
