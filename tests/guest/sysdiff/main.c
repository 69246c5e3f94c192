// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "sysdiff.h"

#include <signal.h>

static void calls(void)
{
	sd_run_calls();
	sd_run_numbers();
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sd_setup_modes();
	sd_memory_setup();
	sd_fixtures_once();
	test_part("calls", calls);
	test_part("restarts", sd_run_restarts);
	return test_end();
}
