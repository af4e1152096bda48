/* Files that share blocks: whole, a range, a range to the end, and over what was there. Needs a
   file system with reflinks. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BLOCK = 65536 };

int main(void)
{
	static char bytes[4 * BLOCK + 100], got[8 * BLOCK];
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = 'a' + i % 23 + i / BLOCK;
	int from = open("from", O_CREAT | O_RDWR, 0644), to = open("to", O_CREAT | O_RDWR, 0644),
	    whole = open("whole", O_CREAT | O_WRONLY, 0644);
	if (write(from, bytes, sizeof bytes) != sizeof bytes || fsync(from))
		return 90;
	if (ioctl(whole, FICLONE, from))
		return perror("FICLONE"), 91;
	struct file_clone_range range = {
		.src_fd = from, .src_offset = BLOCK, .src_length = 2 * BLOCK, .dest_offset = BLOCK};
	struct file_clone_range rest = {
		.src_fd = from, .src_offset = 4 * BLOCK, .src_length = 0, .dest_offset = 3 * BLOCK};
	struct file_clone_range over = {
		.src_fd = from, .src_offset = 0, .src_length = BLOCK, .dest_offset = 2 * BLOCK};
	if (ioctl(to, FICLONERANGE, &range) || ioctl(to, FICLONERANGE, &rest) ||
	    ioctl(to, FICLONERANGE, &over))
		return perror("FICLONERANGE"), 92;
	ssize_t n = pread(to, got, sizeof got, 0);
	return n != 3 * BLOCK + 100 || memcmp(got + 3 * BLOCK, bytes + 4 * BLOCK, 100) ||
			       memcmp(got + 2 * BLOCK, bytes, BLOCK)
		       ? 93
		       : 0;
}
