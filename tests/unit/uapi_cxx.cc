// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The ABI header compiles as C++; the asserts hold there too. */
#include "dune_abi_check.h"

extern "C" int uapi_cxx_vcpu_page_size(void)
{
	return sizeof(struct dune_vcpu_page);
}
