/* Many threads write one trace, each call told of at its entry and at its return; then all that can be misused is: gcc -o threads threads.c -lreanimator -lpthread */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "reanimator.h"

enum { THREADS = 8, CALLS = 2000 };
static ra_trace trace;
static atomic_ullong clock_ = 1000000000000000000ULL;
static atomic_int wrong;

static int ok(struct ra_error *error) {
	if (error)
		fprintf(stderr, "threads: %s\n", ra_error_message(error)), wrong++;
	ra_error_free(error);
	return !error;
}

/* It must be refused, with a message. */
static void refused(const char *what, struct ra_error *error) {
	if (!error || !*ra_error_message(error))
		printf("%s was not refused\n", what), wrong++;
	ra_error_free(error);
}

static void *work(void *arg) {
	uint32_t tid = 100 + (uint32_t)(size_t)arg;
	char name[32];
	snprintf(name, sizeof name, "/f%u", tid);
	struct ra_piece path = {.arg = 1, .kind = RA_STRING, .bytes = name, .len = strlen(name)};
	struct ra_call open = {.name = "openat", .tid = tid, .entered = clock_++, .args = {(uint64_t)-100, 1, 0102, 0644}, .pieces = &path, .n_pieces = 1};
	uint64_t token;
	if (!ok(ra_enter(trace, &open, &token)) || !ok(ra_leave(trace, token, clock_++, tid, NULL, 0)))
		return NULL;
	for (int i = 0; i < CALLS; i++) {
		struct ra_piece data = {.arg = 1, .kind = RA_DATA, .after = true, .bytes = name, .len = 3};
		struct ra_call call = {.name = "pwrite64", .tid = tid, .entered = clock_++, .args = {tid, 1, 3, (uint64_t)i * 3}};
		if (!ok(ra_enter(trace, &call, &token)) || !ok(ra_leave(trace, token, clock_++, 3, &data, 1)))
			return NULL;
	}
	return NULL;
}

int main(int argc, char **argv) {
	if (argc != 2 || !ok(ra_create(argv[1], NULL, &trace)))
		return 2;
	pthread_t running[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		if (i)
			ok(ra_thread(trace, 100 + i, 100, 0x10f00, clock_++));
		pthread_create(&running[i], NULL, work, (void *)i);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(running[i], NULL);
	struct ra_call call = {.name = "no such call", .tid = 100};
	struct ra_piece bad = {.arg = 9, .kind = RA_STRING, .bytes = "", .len = 0}, nothing = {.arg = 1, .kind = RA_STRING, .bytes = NULL, .len = 5}, odd = {.arg = 1, .kind = 77};
	ra_trace none;
	refused("an unknown call", ra_add(trace, &call));
	call.name = NULL, call.number = 99999;
	refused("an unknown number", ra_add(trace, &call));
	call.name = "openat", call.pieces = &bad, call.n_pieces = 1;
	refused("an argument that is none", ra_add(trace, &call));
	call.pieces = &nothing;
	refused("bytes at null", ra_add(trace, &call));
	call.pieces = &odd;
	refused("a kind that is none", ra_add(trace, &call));
	call.pieces = NULL;
	refused("pieces at null", ra_add(trace, &call));
	refused("a call at null", ra_add(trace, NULL));
	refused("a token that is none", ra_leave(trace, 12345678, 1, 0, NULL, 0));
	refused("reading a trace that is written", ra_next(trace, NULL));
	refused("a trace that is there", ra_create(argv[1], NULL, &none));
	refused("a path at null", ra_create(NULL, NULL, &none));
	refused("a trace that is none", ra_open("/dev/null", &none));
	ok(ra_finish(trace));
	refused("finishing twice", ra_finish(trace));
	refused("adding after the end", ra_add(trace, &call));
	ra_error_free(NULL);
	return wrong != 0;
}
