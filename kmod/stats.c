// SPDX-License-Identifier: GPL-2.0-only
/* See stats.h. */
#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/pid.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "places.h"
#include "stats.h"
#include "vcpu.h"

struct stats_user {
	refcount_t ref;
	kuid_t uid;			/* constant */
	struct list_head all;		/* users_lock */
	struct mutex lock;
	struct list_head vms;		/* lock; stats_vm.of_user */
	struct stats_totals gone;	/* lock; of ended vms */
};

static DEFINE_MUTEX(users_lock);
static LIST_HEAD(users);

/* Of the caller's effective uid: a setuid program's vm is not its caller's. */
static struct stats_user *user_get(void)
{
	kuid_t uid = current_euid();
	struct stats_user *user;

	mutex_lock(&users_lock);
	list_for_each_entry(user, &users, all) {
		if (uid_eq(user->uid, uid)) {
			refcount_inc(&user->ref);
			goto out;
		}
	}
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		goto out;
	refcount_set(&user->ref, 1);
	user->uid = uid;
	mutex_init(&user->lock);
	INIT_LIST_HEAD(&user->vms);
	list_add(&user->all, &users);
out:
	mutex_unlock(&users_lock);
	return user;
}

static void user_put(struct stats_user *user)
{
	if (!refcount_dec_and_mutex_lock(&user->ref, &users_lock))
		return;
	list_del(&user->all);
	mutex_unlock(&users_lock);
	WARN_ON(!list_empty(&user->vms));
	kfree(user);
}

static void add(u64 *to, const u64 *from, unsigned int nr)
{
	while (nr--)
		to[nr] += READ_ONCE(from[nr]);
}

static void add_totals(struct stats_totals *to, const struct stats_totals *from)
{
	add(to->vcpu, from->vcpu, DUNE_NR_VCPU_COUNTERS);
	add(to->vm, from->vm, DUNE_NR_VM_COUNTERS);
}

static void add_vcpu(struct stats_totals *to, const struct dune_vcpu *vcpu)
{
	/* [VP-2] Ordered by the address; see [VP-1] in vcpu.c. */
	add(to->vcpu, READ_ONCE(vcpu->page)->counters, DUNE_NR_VCPU_COUNTERS);
}

/* stats->user->lock held. Live vCPUs and what has gone; not the vm itself. */
static u32 add_vm_vcpus(struct stats_totals *to, struct stats_vm *stats)
{
	struct dune_vcpu *vcpu;
	u32 nr = 0;

	mutex_lock(&stats->lock);
	add_totals(to, &stats->gone);
	list_for_each_entry(vcpu, &stats->vcpus, of_stats) {
		add_vcpu(to, vcpu);
		nr++;
	}
	mutex_unlock(&stats->lock);
	return nr;
}

int stats_vm_begin(struct dune_vm *vm)
{
	struct stats_vm *stats = kzalloc(sizeof(*stats), GFP_KERNEL_ACCOUNT);

	if (!stats)
		return -ENOMEM;
	stats->user = user_get();
	if (!stats->user) {
		kfree(stats);
		return -ENOMEM;
	}
	refcount_set(&stats->ref, 1);
	stats->vm = vm;
	mutex_init(&stats->lock);
	INIT_LIST_HEAD(&stats->vcpus);

	mutex_lock(&stats->user->lock);
	list_add(&stats->of_user, &stats->user->vms);
	mutex_unlock(&stats->user->lock);
	/* Others find it from the list of vms: complete before it is seen. */
	smp_store_release(&vm->stats, stats);
	return 0;
}

/* What the vm counted, without its levels: they end with it. */
static void add_vm_events(struct stats_totals *to, struct dune_vm *vm)
{
	unsigned int i;

	for (i = 0; i < DUNE_NR_VM_COUNTERS; i++)
		if (!dune_vm_counter_is_level(i))
			to->vm[i] += vm_counter(vm, i);
}

void stats_vm_end(struct dune_vm *vm)
{
	struct stats_vm *stats = vm->stats;
	struct stats_user *user = stats->user;

	mutex_lock(&user->lock);
	mutex_lock(&stats->lock);
	WARN_ON(!list_empty(&stats->vcpus));
	add_vm_events(&stats->gone, vm);
	mutex_unlock(&stats->lock);
	add_totals(&user->gone, &stats->gone);
	stats->vm = NULL;
	list_del_init(&stats->of_user);
	mutex_unlock(&user->lock);
}

struct stats_vm *stats_vm_get(struct stats_vm *stats)
{
	refcount_inc(&stats->ref);
	return stats;
}

void stats_vm_put(struct stats_vm *stats)
{
	if (!refcount_dec_and_test(&stats->ref))
		return;
	user_put(stats->user);
	kfree(stats);
}

void stats_vcpu_begin(struct dune_vcpu *vcpu)
{
	struct stats_vm *stats = vcpu->vm->stats;

	mutex_lock(&stats->lock);
	list_add(&vcpu->of_stats, &stats->vcpus);
	mutex_unlock(&stats->lock);
}

void stats_vcpu_end(struct dune_vcpu *vcpu)
{
	struct stats_vm *stats = vcpu->vm->stats;

	mutex_lock(&stats->lock);
	list_del(&vcpu->of_stats);
	add_vcpu(&stats->gone, vcpu);
	mutex_unlock(&stats->lock);
}

void stats_vm_settle(struct stats_vm *stats)
{
	mutex_lock(&stats->lock);
	mutex_unlock(&stats->lock);
}

bool stats_vm_uses_node(struct stats_vm *stats, int node)
{
	struct dune_vcpu *vcpu;
	bool uses = false;

	mutex_lock(&stats->lock);
	list_for_each_entry(vcpu, &stats->vcpus, of_stats)
		uses |= READ_ONCE(vcpu->node) == node;
	mutex_unlock(&stats->lock);
	return uses;
}

/* ---- the fd ---- */

struct stats_file {
	struct stats_user *user;	/* constant; of a user */
	struct stats_vm *vm;		/* constant; of a process, or NULL */
};

struct stats_reply {
	struct dune_stat_header header;
	struct stats_totals totals;
};

/* user->lock held. */
static void add_live_vm(struct stats_reply *reply, struct stats_vm *stats)
{
	unsigned int i;

	reply->header.nr_vcpus += add_vm_vcpus(&reply->totals, stats);
	if (!stats->vm)
		return;
	reply->header.nr_vms++;
	for (i = 0; i < DUNE_NR_VM_COUNTERS; i++)
		reply->totals.vm[i] += vm_counter(stats->vm, i);
}

static void sum_up(struct stats_file *f, struct stats_reply *reply)
{
	struct stats_user *user = f->user;
	struct stats_vm *stats;

	mutex_lock(&user->lock);
	if (f->vm) {
		add_live_vm(reply, f->vm);
	} else {
		add_totals(&reply->totals, &user->gone);
		list_for_each_entry(stats, &user->vms, of_user)
			add_live_vm(reply, stats);
	}
	mutex_unlock(&user->lock);
}

/* Always all of it, as of now: there is no position. */
static ssize_t stats_read(struct file *file, char __user *buf, size_t size,
			  loff_t *unused)
{
	struct stats_reply *reply;
	ssize_t ret = sizeof(*reply);

	if (size < sizeof(*reply))
		return -EINVAL;
	reply = kzalloc(sizeof(*reply), GFP_KERNEL_ACCOUNT);
	if (!reply)
		return -ENOMEM;
	reply->header.size = sizeof(reply->header);
	reply->header.nr_vcpu_counters = DUNE_NR_VCPU_COUNTERS;
	reply->header.nr_vm_counters = DUNE_NR_VM_COUNTERS;
	sum_up(file->private_data, reply);
	if (copy_to_user(buf, reply, sizeof(*reply)))
		ret = -EFAULT;
	kfree(reply);
	return ret;
}

static void file_free(struct stats_file *f)
{
	if (f->vm)
		stats_vm_put(f->vm);
	user_put(f->user);
	kfree(f);
}

static int stats_release(struct inode *inode, struct file *file)
{
	file_free(file->private_data);
	return 0;
}

static long get_places(struct stats_file *f, struct dune_places *req)
{
	void __user *to = (void __user *)(unsigned long)req->places;
	struct dune_place *out;
	long err = 0;

	if (!f->vm || !req->nr || req->nr > PLACES_MAX || req->reserved0 ||
	    memchr_inv(req->reserved, 0, sizeof(req->reserved)))
		return -EINVAL;
	out = kcalloc(req->nr, sizeof(*out), GFP_KERNEL_ACCOUNT);
	if (!out)
		return -ENOMEM;
	mutex_lock(&f->user->lock);
	places_collect(f->vm, req, out);
	mutex_unlock(&f->user->lock);
	if (copy_to_user(to, out, req->nr * sizeof(*out)))
		err = -EFAULT;
	kfree(out);
	return err;
}

static long stats_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct dune_places req;
	long err;

	if (cmd != DUNE_GET_PLACES)
		return -ENOTTY;
	if (copy_from_user(&req, (void __user *)arg, sizeof(req)))
		return -EFAULT;
	err = get_places(file->private_data, &req);
	if (!err && copy_to_user((void __user *)arg, &req, sizeof(req)))
		err = -EFAULT;
	return err;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.unlocked_ioctl = stats_ioctl,
	.release = stats_release,
};

/* As ptrace would allow to read: what it asks is not exported. */
static bool may_see(const struct stats_vm *stats, struct mm_struct *mm)
{
	return capable(CAP_SYS_PTRACE) ||
	       (uid_eq(current_euid(), stats->user->uid) &&
		get_dumpable(mm) == SUID_DUMP_USER);
}

static struct stats_vm *stats_of_pid(pid_t nr)
{
	struct stats_vm *stats = ERR_PTR(-ESRCH);
	struct task_struct *task;
	struct mm_struct *mm;
	struct pid *pid;

	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_TGID);
	put_pid(pid);
	if (!task)
		return stats;
	mm = get_task_mm(task);
	put_task_struct(task);
	if (!mm)
		return stats;
	stats = vm_stats_of(mm);
	if (!stats) {
		stats = ERR_PTR(-ESRCH);
	} else if (!may_see(stats, mm)) {
		stats_vm_put(stats);
		stats = ERR_PTR(-EPERM);
	}
	mmput(mm);
	return stats;
}

static struct stats_file *file_of_user(void)
{
	struct stats_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return ERR_PTR(-ENOMEM);
	f->user = user_get();
	if (!f->user) {
		kfree(f);
		return ERR_PTR(-ENOMEM);
	}
	return f;
}

static struct stats_file *file_of_process(pid_t pid)
{
	struct stats_vm *stats = stats_of_pid(pid);
	struct stats_file *f;

	if (IS_ERR(stats))
		return ERR_CAST(stats);
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f) {
		stats_vm_put(stats);
		return ERR_PTR(-ENOMEM);
	}
	f->vm = stats;
	f->user = stats->user;
	refcount_inc(&f->user->ref);
	return f;
}

int stats_open(const struct dune_stat_open *req)
{
	struct stats_file *f;
	int fd;

	if (memchr_inv(req->reserved, 0, sizeof(req->reserved)))
		return -EINVAL;
	if (req->scope == DUNE_STAT_USER && req->pid == 0)
		f = file_of_user();
	else if (req->scope == DUNE_STAT_PROCESS && req->pid > 0)
		f = file_of_process(req->pid);
	else
		return -EINVAL;
	if (IS_ERR(f))
		return PTR_ERR(f);
	fd = anon_inode_getfd("[dune-stat]", &stats_fops, f,
			      O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		file_free(f);
	return fd;
}
