// SPDX-License-Identifier: GPL-2.0-only
/* See inode.h. A file system that nobody can mount: inodes need one. */
#include <linux/err.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "inode.h"

#define DUNE_FS_MAGIC	0x44756e65

static struct vfsmount *mnt;

static int init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, DUNE_FS_MAGIC) ? 0 : -ENOMEM;
}

/* No owner: the mount below would be a reference that keeps the module loaded. */
static struct file_system_type dune_fs = {
	.name = "dune",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

struct inode *inode_new(void)
{
	return alloc_anon_inode(mnt->mnt_sb);
}

int inode_setup(void)
{
	mnt = kern_mount(&dune_fs);
	return PTR_ERR_OR_ZERO(mnt);
}

void inode_teardown(void)
{
	kern_unmount(mnt);
}
