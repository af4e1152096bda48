/* Prints the kernel's handle of a file: its type, then its bytes in hexadecimal. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv) {
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount;
	if (argc != 2 || name_to_handle_at(AT_FDCWD, argv[1], &u.h, &mount, 0))
		return 1;
	printf("%d", u.h.handle_type);
	for (unsigned i = 0; i < u.h.handle_bytes; i++)
		printf(" %02x", u.h.f_handle[i]);
	printf("\n");
	return 0;
}
