# SPDX-License-Identifier: GPL-2.0 OR MIT
# Counts words, with what is different between awks left out.
{ gsub(/[^a-zA-Z ]/, " "); for (i = 1; i <= NF; i++) n[tolower($i)]++ }
END { for (w in n) print w, n[w]; printf "%.6f %d\n", sqrt(2) * exp(1), length(n); "echo sub" | getline x; print x | "cat" }
