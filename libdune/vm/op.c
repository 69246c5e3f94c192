// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What every operation starts from: the thread's state, waiting, the engine's. */
#include "copy.h"
#include "op.h"
#include "pool.h"
#include "walk.h"

struct vm_state vm_state;
struct vm_vcpu vm_vcpus[DUNE_MAX_VCPUS];

/*
 * Of a thread that has no vCPU. A forked child inherits the pointer and not what
 * it points to: valid if of the vm's generation.
 */
static __thread struct vm_local *plain __attribute__((tls_model("initial-exec")));
static __thread u32 plain_generation __attribute__((tls_model("initial-exec")));

static struct vm_local *plain_get(void)
{
	return plain && plain_generation == hw_generation() ? plain : NULL;
}

void vm_relax(unsigned int turn)
{
	if (turn % 64 == 63)
		hw_yield();
	else
		plat_cpu_relax();
}

#define LOCK_TURNS	128u

void vm_lock_wait(u32 *lock)
{
	for (unsigned int turn = 0; turn < LOCK_TURNS; turn++) {
		u32 none = 0;

		if (plat_cas32(lock, &none, 1))
			return;
		plat_cpu_relax();
	}
	while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE))
		hw_wait(lock, 2);
}

void vm_lock_wake(u32 *lock)
{
	hw_wake(lock);
}

_Static_assert(sizeof(struct vm_local) <= PAGE_SIZE, "a page of the pool's");

static struct vm_local *plain_create(int *err)
{
	/* The pool wants a thread: this one, until there is another. */
	struct vm_local first = { .id = DUNE_MAX_VCPUS, .owner = OWNER_PLAIN };
	struct vm_local *local = pool_page(&first);

	if (local) {
		*local = first;
		plain_generation = hw_generation();
		hw_thread_ends(local);
		plain = local;
	} else {
		pool_drain(&first);
		*err = -ENOMEM;
	}
	return local;
}

struct vm_local *vm_local_find(int *err)
{
	struct vm_local *local;

	if (hw_in_guest())
		return hw_local();
	local = hw_local_plain();
	if (!local)
		local = plain_get();
	return local ? local : plain_create(err);
}

struct vm_local *vm_local_here(void)
{
	int err = 0;

	return vm_local_find(&err);
}

int vm_op_begin_plain(struct vm_op *op)
{
	int err = 0;

	if (!hw_alive())
		return -EINVAL;
	op->local = vm_local_find(&err);
	op->root = op->root ? op->root : vm_state.base;
	return err;
}

/* Its own memory goes as well, so it is the last user of the pool. */
void vm_local_end(struct vm_local *local)
{
	pt_cache_drain(&local->cache);
	copies_release(local);
	rcu_end(local);
	walk_end(local);
	pool_drain(local);
}

/* The thread has no vCPU and ends, or gets one: *local goes on where it was. */
static bool plain_take(struct vm_local *local)
{
	struct vm_local *old = plain_get();

	if (!old)
		return false;
	*local = *old;
	plain = local;
	pool_page_put(local, old);
	return true;
}

void vm_plain_adopt(struct vm_local *local)
{
	plain_take(local);
	plain = NULL;
}

void vm_plain_end(void)
{
	struct vm_local local;

	if (plain_take(&local)) {
		batch_end_all(&local);
		vm_local_end(&local);
	}
	plain = NULL;
}
