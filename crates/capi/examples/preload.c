/* A tracer without a tracer: an LD_PRELOAD library that notes what the C library is asked to do with files, and writes a trace that replays.

   gcc -shared -fPIC -o preload.so preload.c -lreanimator -lpthread
   TRACE=app.ra LD_PRELOAD=./preload.so app */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "reanimator.h"

static ra_trace trace;
static pid_t owner;
/* The library's own calls are not the program's. */
static __thread int inside;

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void complain(struct ra_error *error) {
	if (error)
		fprintf(stderr, "preload: %s\n", ra_error_message(error));
	ra_error_free(error);
}

__attribute__((constructor)) static void begin(void) {
	const char *path = getenv("TRACE");
	char *here = getcwd(NULL, 0);
	struct ra_about about = {.tracer = "preload.c", .directory = here, .began = now()};
	owner = getpid();
	inside = 1;
	if (path)
		complain(ra_create(path, &about, &trace));
	inside = 0;
	free(here);
}

__attribute__((destructor)) static void end(void) {
	inside = 1;
	if (trace && getpid() == owner)
		complain(ra_finish(trace));
	trace = 0;
}

static int watched(void) {
	return trace && !inside && getpid() == owner;
}

/* Notes a call; `result` as the C library gives it, errno beside it. */
static void note(const char *name, uint64_t entered, long result, const uint64_t args[6], const struct ra_piece *pieces, size_t n) {
	int error = errno;
	struct ra_call call = {.name = name, .tid = gettid(), .entered = entered, .returned = now(), .result = result < 0 ? -error : result, .pieces = pieces, .n_pieces = n};
	memcpy(call.args, args, sizeof call.args);
	inside = 1;
	complain(ra_add(trace, &call));
	inside = 0;
	errno = error;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define TEXT(i, text) {.arg = i, .kind = RA_STRING, .bytes = text, .len = strlen(text)}
#define NOTE(name, result, args, ...) note(name, entered, result, (uint64_t[6])args, (struct ra_piece[])__VA_ARGS__, sizeof((struct ra_piece[])__VA_ARGS__) / sizeof(struct ra_piece))
#define ARGS(...) {__VA_ARGS__}
#define P(pointer) (uint64_t)(uintptr_t)(pointer)

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
	uint64_t entered = now();
	int fd = real(path, flags, mode);
	if (watched())
		NOTE("openat", fd, ARGS((uint64_t)AT_FDCWD, P(path), flags, mode), {TEXT(1, path)});
	return fd;
}

int open(const char *path, int flags, ...) {
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return opened(REAL(open), path, flags, mode);
}

int open64(const char *path, int flags, ...) {
	va_list rest;
	va_start(rest, flags);
	mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return opened(REAL(open64), path, flags, mode);
}

int close(int fd) {
	uint64_t entered = now();
	int result = REAL(close)(fd);
	if (watched())
		note("close", entered, result, (uint64_t[6]){fd}, NULL, 0);
	return result;
}

ssize_t read(int fd, void *buffer, size_t count) {
	uint64_t entered = now();
	ssize_t n = REAL(read)(fd, buffer, count);
	if (watched())
		NOTE("read", n, ARGS(fd, P(buffer), count), {{.arg = 1, .kind = RA_DATA, .after = true, .bytes = buffer, .len = n > 0 ? n : 0}});
	return n;
}

ssize_t write(int fd, const void *buffer, size_t count) {
	uint64_t entered = now();
	ssize_t n = REAL(write)(fd, buffer, count);
	if (watched())
		NOTE("write", n, ARGS(fd, P(buffer), count), {{.arg = 1, .kind = RA_DATA, .after = true, .bytes = buffer, .len = n > 0 ? n : 0}});
	return n;
}

/* On 64-bit machines pwrite is the same under another name. */
ssize_t pwrite(int fd, const void *buffer, size_t count, off_t at) __attribute__((alias("pwrite64")));

ssize_t pwrite64(int fd, const void *buffer, size_t count, off64_t at) {
	uint64_t entered = now();
	ssize_t n = REAL(pwrite64)(fd, buffer, count, at);
	if (watched())
		NOTE("pwrite64", n, ARGS(fd, P(buffer), count, at), {{.arg = 1, .kind = RA_DATA, .after = true, .bytes = buffer, .len = n > 0 ? n : 0}});
	return n;
}

int mkdir(const char *path, mode_t mode) {
	uint64_t entered = now();
	int result = REAL(mkdir)(path, mode);
	if (watched())
		NOTE("mkdir", result, ARGS(P(path), mode), {TEXT(0, path)});
	return result;
}

int unlink(const char *path) {
	uint64_t entered = now();
	int result = REAL(unlink)(path);
	if (watched())
		NOTE("unlink", result, ARGS(P(path)), {TEXT(0, path)});
	return result;
}

int rename(const char *from, const char *to) {
	uint64_t entered = now();
	int result = REAL(rename)(from, to);
	if (watched())
		NOTE("rename", result, ARGS(P(from), P(to)), {TEXT(0, from), TEXT(1, to)});
	return result;
}
