// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The ABI header: its layout as C sees it. uapi_cxx.cc does the same for C++. */
#include "dune_abi_check.h"
#include "check.h"

int uapi_cxx_vcpu_page_size(void);

static void c_and_cxx_agree_on_the_vcpu_page(void)
{
	CHECK_EQ(sizeof(struct dune_vcpu_page), uapi_cxx_vcpu_page_size());
}

int main(void)
{
	CASE(c_and_cxx_agree_on_the_vcpu_page);
	return CHECK_EXIT();
}
