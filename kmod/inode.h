/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An inode of its own for the files of a vm. Linux finds mappings of a file's pages,
 * to take them away, by the inode's address_space; the one that /dev/dune has is all
 * processes', and that of anonymous inodes is also that of files that are not ours.
 */
#ifndef KMOD_INODE_H
#define KMOD_INODE_H

#include <linux/fs.h>

int inode_setup(void);
void inode_teardown(void);

/* A new one, for iput(), or ERR_PTR(-ENOMEM). May sleep. */
struct inode *inode_new(void);

/* What is mapped of the file from now on is found by inode. It has no mapping yet. */
static inline void inode_attach(struct inode *inode, struct file *file)
{
	file->f_mapping = inode->i_mapping;
}

#endif /* KMOD_INODE_H */
