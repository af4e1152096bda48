/* Fails on purpose, in every way that a program can fail at a file, and checks that it failed as it
   should. Run as an ordinary user. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int wrong;

static void fails(const char *what, long result, int want)
{
	int got = result < 0 ? errno : 0;
	printf("%s: %s\n", what, strerrorname_np(got) ? strerrorname_np(got) : "no error");
	if (got != want) {
		printf("  but should have been %s\n", strerrorname_np(want));
		wrong++;
	}
}

int main(void)
{
	static char longname[300], longpath[5000], big[1 << 16];
	char buf[16];
	struct stat st;
	memset(longname, 'n', sizeof longname - 1);
	memset(longpath, '/', sizeof longpath - 1);
	memset(big, 'x', sizeof big);

	mkdir("dir", 0755);
	mkdir("locked", 0700);
	close(open("locked/inside", O_CREAT | O_WRONLY, 0600));
	chmod("locked", 0);
	int fd = open("file", O_CREAT | O_RDWR, 0644);
	if (write(fd, "content", 7) != 7)
		return 2;
	close(open("dir/entry", O_CREAT | O_WRONLY, 0600));
	close(open("secret", O_CREAT | O_WRONLY, 0));
	symlink("loop2", "loop1");
	symlink("loop1", "loop2");
	symlink("nowhere", "dangling");

	fails("open missing", open("missing", O_RDONLY), ENOENT);
	fails("open dangling", open("dangling", O_RDONLY), ENOENT);
	fails("stat missing/x", stat("missing/x", &st), ENOENT);
	fails("unlink missing", unlink("missing"), ENOENT);
	fails("rename missing", rename("missing", "elsewhere"), ENOENT);
	fails("empty path", open("", O_RDONLY), ENOENT);
	fails("open secret", open("secret", O_RDONLY), EACCES);
	fails("open locked/inside", open("locked/inside", O_RDONLY), EACCES);
	fails("open locked", open("locked", O_RDONLY | O_DIRECTORY), EACCES);
	fails("stat locked/inside", stat("locked/inside", &st), EACCES);
	fails("mkdir locked/new", mkdir("locked/new", 0700), EACCES);
	fails("access secret", access("secret", R_OK), EACCES);
	fails("chdir locked", chdir("locked"), EACCES);
	fails("create exclusively", open("file", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	fails("mkdir dir", mkdir("dir", 0755), EEXIST);
	fails("symlink over file", symlink("x", "file"), EEXIST);
	fails("link over dir/entry", link("file", "dir/entry"), EEXIST);
	fails("rmdir dir", rmdir("dir"), ENOTEMPTY);
	mkdir("other", 0755);
	fails("rename over dir", rename("other", "dir"), ENOTEMPTY);
	fails("open loop", open("loop1", O_RDONLY), ELOOP);
	fails("open link nofollow", open("dangling", O_RDONLY | O_NOFOLLOW), ELOOP);
	fails("stat through loop", stat("loop2/x", &st), ELOOP);
	fails("long name", open(longname, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	fails("long path", stat(longpath, &st), ENAMETOOLONG);
	fails("mkdir long", mkdir(longname, 0755), ENAMETOOLONG);
	fails("through a file", open("file/x", O_RDONLY), ENOTDIR);
	fails("rmdir file", rmdir("file"), ENOTDIR);
	fails("write a directory", open("dir", O_WRONLY), EISDIR);
	fails("unlink a directory", unlink("dir"), EISDIR);
	fails("read closed", read(999, buf, sizeof buf), EBADF);
	fails("close closed", close(998), EBADF);
	fails("fsync closed", fsync(997), EBADF);
	int ro = open("file", O_RDONLY), wo = open("file", O_WRONLY);
	fails("write read-only", write(ro, "x", 1), EBADF);
	fails("read write-only", read(wo, buf, sizeof buf), EBADF);
	fails("fstatat from closed", fstatat(996, "file", &st, 0), EBADF);
	fails("openat from a file", openat(ro, "x", O_RDONLY), ENOTDIR);
	fails("seek before start", lseek(ro, -1, SEEK_SET), EINVAL);
	fails("truncate negative", ftruncate(wo, -1), EINVAL);
	fails("truncate read-only", ftruncate(ro, 0), EINVAL);
	fails("read a directory", read(open("dir", O_RDONLY), buf, sizeof buf), EISDIR);
	fails("readlink a file", readlink("file", buf, sizeof buf), EINVAL);
	fails("attribute missing", getxattr("file", "user.none", buf, sizeof buf), ENODATA);
	fails("attribute too small",
	      setxattr("file", "user.some", "0123456789abcdefXYZ", 19, 0)
		      ? -1
		      : getxattr("file", "user.some", buf, sizeof buf),
	      ERANGE);
	fails("attribute exists", setxattr("file", "user.some", "v", 1, XATTR_CREATE), EEXIST);
	char *volatile nowhere = (char *)8;
	fails("bad buffer", write(wo, nowhere, 4), EFAULT);
	fails("bad path", open(nowhere, O_RDONLY), EFAULT);
	fails("write to a full device", write(open("/dev/full", O_WRONLY), "x", 1), ENOSPC);
	fails("past the last offset", pwrite(wo, "x", 1, 0x7fffffffffffffff), EINVAL);
	if (setxattr("file", "user.big", big, sizeof big, 0) <
	    0) /* ext4 has no room for it, others have */
		fails("attribute too large", -1, ENOSPC);
	int p[2];
	fails("seek on a pipe", pipe(p) ? 0 : lseek(p[0], 0, SEEK_CUR), ESPIPE);
	printf("%d wrong\n", wrong);
	return wrong ? 1 : 7;
}
