# SPDX-License-Identifier: GPL-2.0 OR MIT
# Schedulers that are threads, many processes of Erlang, a port to a real one.
erl -noshell +S 2 -eval '
	Self = self(),
	Pids = [spawn(fun() -> Self ! {N, N * N} end) || N <- lists:seq(1, 200)],
	io:format("~p~n", [lists:sum([receive {N, S} -> S end || N <- lists:seq(1, length(Pids))])]),
	io:format("~s", [os:cmd("echo from a port")]),
	timer:sleep(50), {ok, L} = gen_tcp:listen(0, [{ip, {127,0,0,1}}, {active, false}]), {ok, P} = inet:port(L),
	spawn(fun() -> {ok, C} = gen_tcp:connect({127,0,0,1}, P, []), gen_tcp:send(C, "tcp") end),
	{ok, S} = gen_tcp:accept(L), io:format("~p~n", [gen_tcp:recv(S, 3)]), halt(3).'
