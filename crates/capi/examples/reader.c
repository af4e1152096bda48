/* Prints the calls of a trace, a line each: gcc -o reader reader.c -lreanimator */
#include <inttypes.h>
#include <stdio.h>

#include "reanimator.h"

static int failed(struct ra_error *error) {
	if (!error)
		return 0;
	fprintf(stderr, "reader: %s\n", ra_error_message(error));
	ra_error_free(error);
	return 1;
}

int main(int argc, char **argv) {
	ra_trace trace;
	if (argc != 2 || failed(ra_open(argv[1], &trace)))
		return 2;
	struct ra_item item;
	for (;;) {
		if (failed(ra_next(trace, &item)))
			return 2;
		if (item.end)
			break;
		printf("%" PRIu64 " %" PRIu32 " %s = %" PRId64, item.seq, item.call.tid, item.call.name, item.call.result);
		for (size_t i = 0; i < item.call.n_pieces; i++)
			if (item.call.pieces[i].kind == RA_STRING)
				printf(" \"%.*s\"", (int)item.call.pieces[i].len, (const char *)item.call.pieces[i].bytes);
			else if (item.call.pieces[i].kind == RA_DATA)
				printf(" %zu bytes", item.call.pieces[i].len);
		putchar('\n');
	}
	return failed(ra_close(trace)) ? 2 : 0;
}
