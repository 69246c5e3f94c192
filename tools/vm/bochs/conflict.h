// SPDX-License-Identifier: GPL-2.0 OR MIT
// What conflict.cc (accesses of operations) asks conflict_objects.cc: whose
// memory is it?
#ifndef DUNE_CONFLICT_H
#define DUNE_CONFLICT_H

#include "emuconflict.h"

// Fills the site's object, offset, object_size, library and name for its pa.
void emu_object_find(struct emuconflict_site *site);
// Nothing is a library's any more.
void emu_object_forget_libraries(void);

#endif
