/* libreanimator: write and read traces of system calls. Generated from crates/capi/src: do not edit. */

#ifndef REANIMATOR_H
#define REANIMATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Data that the call moved: as many as its result says.
 */
#define RA_DATA 0

/**
 * A struct or other bytes.
 */
#define RA_BYTES 1

/**
 * A string, a path: without its NUL.
 */
#define RA_STRING 2

/**
 * Strings, each with its NUL (argv).
 */
#define RA_STRINGS 3

/**
 * `struct iovec[]`, as it stood in memory.
 */
#define RA_IOVECS 4

/**
 * What went wrong. Free it with ra_error_free().
 */
struct ra_error;

/**
 * A trace that is being written or read. 0 is none.
 */
typedef uint64_t ra_trace;

/**
 * Memory that an argument led to.
 */
struct ra_piece {
  /**
   * The argument, from 0.
   */
  uint8_t arg;
  /**
   * RA_DATA, RA_BYTES, RA_STRING, RA_STRINGS, RA_IOVECS.
   */
  uint8_t kind;
  /**
   * As it was after the call, else before it.
   */
  bool after;
  /**
   * The bytes.
   */
  const void *bytes;
  /**
   * How many.
   */
  uintptr_t len;
  /**
   * How many there were, if more than these; else 0.
   */
  uint64_t wanted;
};

/**
 * A system call.
 */
struct ra_call {
  /**
   * Its name, as in the kernel's table ("pread64"); null: by its number.
   */
  const char *name;
  /**
   * Its number on x86-64, if it has no name.
   */
  uint32_t number;
  /**
   * The thread that made it.
   */
  uint32_t tid;
  /**
   * When it was entered: nanoseconds since 1970.
   */
  uint64_t entered;
  /**
   * When it returned; 0: it did not.
   */
  uint64_t returned;
  /**
   * Its result as the kernel gives it: a negative errno if it failed.
   */
  int64_t result;
  /**
   * Its arguments, as in the registers.
   */
  uint64_t args[6];
  /**
   * What they led to.
   */
  const struct ra_piece *pieces;
  /**
   * How many.
   */
  uintptr_t n_pieces;
};

/**
 * What a reader gives.
 */
struct ra_item {
  /**
   * There was nothing more: all else means nothing.
   */
  bool end;
  /**
   * The call's place in the trace.
   */
  uint64_t seq;
  /**
   * The process that made it.
   */
  uint32_t pid;
  /**
   * The call. Its name and its pieces are there until the next ra_next() or ra_close() of this
   * trace.
   */
  struct ra_call call;
};

/**
 * What is known of a recording as a whole. Zeros and nulls are what is not known.
 */
struct ra_about {
  /**
   * The tracer's name.
   */
  const char *tracer;
  /**
   * The working directory of the first thread, absolute.
   */
  const char *directory;
  /**
   * When it began: nanoseconds since 1970, as all times here.
   */
  uint64_t began;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The message of an error, in UTF-8: valid until the error is freed. Null gives an empty text.
 *
 * # Safety
 * `error` is null or came from this library and was not freed.
 */
const char *ra_error_message(const struct ra_error *error);

/**
 * Frees an error; null is nothing.
 *
 * # Safety
 * `error` is null or came from this library and was not freed.
 */
void ra_error_free(struct ra_error *error);

/**
 * Opens a trace to read its calls in the order in which they were entered. `*trace` is its number.
 *
 * # Safety
 * `path` ends with a NUL; `trace` leads to a number.
 */
struct ra_error *ra_open(const char *path, ra_trace *trace);

/**
 * The next call; after the last, `item->end` is true.
 *
 * # Safety
 * `item` leads to an item.
 */
struct ra_error *ra_next(ra_trace trace, struct ra_item *item);

/**
 * Closes a trace that is read.
 */
struct ra_error *ra_close(ra_trace trace);

/**
 * Begins a trace: the directory `path`, which must not exist. `*trace` is its number.
 *
 * # Safety
 * `path` and the texts of `about` end with a NUL; `about` may be null; `trace` leads to a number.
 */
struct ra_error *ra_create(const char *path, const struct ra_about *about, ra_trace *trace);

/**
 * Thread `tid` begins, made by `parent` with these flags of clone(2). Threads that are not told of
 * are there from their first call.
 */
struct ra_error *ra_thread(ra_trace trace,
                           uint32_t tid,
                           uint32_t parent,
                           uint64_t flags,
                           uint64_t time);

/**
 * Descriptor `fd` of thread `tid` was open when the recording began, on `path`, with these flags
 * of open(2).
 *
 * # Safety
 * `path` ends with a NUL.
 */
struct ra_error *ra_descriptor(ra_trace trace,
                               uint32_t tid,
                               int32_t fd,
                               const char *path,
                               uint32_t flags,
                               uint64_t time);

/**
 * Thread `tid` ended with this wait status.
 */
struct ra_error *ra_exit(ra_trace trace, uint32_t tid, uint64_t status, uint64_t time);

/**
 * A signal reached thread `tid`.
 */
struct ra_error *ra_signal(ra_trace trace, uint32_t tid, uint64_t signal, uint64_t time);

/**
 * Adds a whole call. Calls of all threads come in the order in which they returned, as nearly as
 * may be; any thread may bring them.
 *
 * # Safety
 * `call` and all that it points to are there.
 */
struct ra_error *ra_add(ra_trace trace,
                        const struct ra_call *call);

/**
 * A call is entered: `*token` names it until ra_leave(). What the call's result and time of return
 * are, ra_leave() says.
 *
 * # Safety
 * `call` and all that it points to are there; `token` leads to a number.
 */
struct ra_error *ra_enter(ra_trace trace,
                          const struct ra_call *call,
                          uint64_t *token);

/**
 * The call with this token returned; `more` pieces tell what its arguments led to then. Any thread
 * may say so.
 *
 * # Safety
 * `more` leads to `n_more` pieces.
 */
struct ra_error *ra_leave(ra_trace trace,
                          uint64_t token,
                          uint64_t returned,
                          int64_t result,
                          const struct ra_piece *more,
                          uintptr_t n_more);

/**
 * Ends a thread's calls and makes the trace whole and durable; its number means nothing then.
 * Calls that were entered and did not return are kept as such.
 */
struct ra_error *ra_finish(ra_trace trace);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* REANIMATOR_H */
