// Sets set-user-ID and set-group-ID bits and file capabilities by every call that can, on files and
// on directories, and looks at what came of it. Needs root.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static int file(const char *name, mode_t mode)
{
    return must(open(name, O_CREAT | O_WRONLY | O_EXCL, mode), name);
}

int main(void)
{
    umask(022);
    close(file("by-open", 04755));
    close(must(creat("by-creat", 06711), "by-creat"));
    struct open_how how = { .flags = O_CREAT | O_WRONLY, .mode = 06755 };
    close(must(syscall(SYS_openat2, AT_FDCWD, "by-openat2", &how, sizeof how), "by-openat2"));
    must(mknod("by-mknod", S_IFREG | 04711, 0), "by-mknod");
    must(mknodat(AT_FDCWD, "by-mknodat", S_IFREG | 02755, 0), "by-mknodat");
    close(file("by-chmod", 0700));
    must(chmod("by-chmod", 04755), "by-chmod");
    int fd = file("by-fchmod", 0700);
    must(fchmod(fd, 06755), "by-fchmod");
    close(fd);
    close(file("by-fchmodat", 0700));
    must(syscall(SYS_fchmodat, AT_FDCWD, "by-fchmodat", 02755), "by-fchmodat");
    close(file("by-fchmodat2", 0700));
    // Kernels before 6.6 do not have it.
    if (syscall(452, AT_FDCWD, "by-fchmodat2", 04755, AT_SYMLINK_NOFOLLOW) < 0)
        must(chmod("by-fchmodat2", 04755), "by-fchmodat2");
    must(symlink("by-link-target", "by-link"), "by-link");
    close(file("by-link-target", 0700));
    must(chmod("by-link", 04755), "by-link");

    // On directories the bits mean something else, and what is made in them follows.
    must(mkdir("directory", 0755), "directory");
    must(chmod("directory", 02775), "directory");
    must(mkdir("directory/below", 0755), "below");
    must(mkdir("other", 0755), "other");
    fd = must(open("other", O_RDONLY | O_DIRECTORY), "other");
    must(fchmod(fd, 06770), "other");
    close(fd);
    must(mkdir("third", 0755), "third");
    must(syscall(SYS_fchmodat, AT_FDCWD, "third", 03777), "third");

    uint32_t cap[5] = { VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, 1 << CAP_SETUID };
    char value[64], names[256];
    close(file("by-setxattr", 0755));
    must(setxattr("by-setxattr", "security.capability", cap, sizeof cap, 0), "by-setxattr");
    fd = file("by-fsetxattr", 0755);
    must(fsetxattr(fd, "security.capability", cap, sizeof cap, 0), "by-fsetxattr");
    must(fgetxattr(fd, "security.capability", value, sizeof value), "fgetxattr");
    must(flistxattr(fd, names, sizeof names), "flistxattr");
    close(fd);
    close(file("removed", 0755));
    must(setxattr("removed", "security.capability", cap, sizeof cap, 0), "removed");
    must(removexattr("removed", "security.capability"), "removexattr");

    const char *all[] = { "by-open", "by-creat", "by-openat2", "by-mknod", "by-mknodat", "by-chmod",
        "by-fchmod", "by-fchmodat", "by-fchmodat2", "by-link", "directory", "directory/below",
        "other", "third", "by-setxattr" };
    struct stat stat_of;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        must(stat(all[i], &stat_of), all[i]);
        printf("%s %o\n", all[i], stat_of.st_mode);
    }
    return 0;
}
