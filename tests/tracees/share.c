/* Threads share descriptors of many files while others close them, so that a number may change its
   meaning while a call uses it. Each thread counts what it did:
   how often a descriptor is already gone is not known beforehand. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 8, THREADS = 4, ROUNDS = 1500 };
static atomic_int slot[SLOTS];
static atomic_long opened, closed, moved, gone, strange;

static void *work(void *arg)
{
	unsigned me = (unsigned)(long)arg, seed = me * 7919 + 1;
	char name[32], buf[64];
	for (int i = 0; i < ROUNDS; i++) {
		seed = seed * 1103515245 + 12345;
		unsigned s = (seed >> 16) % SLOTS;
		switch ((seed >> 8) % 5) {
		case 0: {
			snprintf(name, sizeof name, "f%u.%u", me, s);
			int fd = open(name, O_CREAT | O_RDWR | (seed & 1 ? O_APPEND : 0), 0644),
			    was = atomic_exchange(&slot[s], fd);
			if (fd < 0) {
				strange++;
				break;
			}
			opened++;
			if (was > 0)
				close(was) ? gone++ : closed++;
			break;
		}
		case 1: {
			int fd = atomic_exchange(&slot[s], 0);
			if (fd > 0)
				close(fd) ? gone++ : closed++;
			break;
		}
		case 2:
		case 3: {
			int fd = atomic_load(&slot[s]), n;
			if (fd <= 0)
				break;
			memset(buf, 'a' + me, sizeof buf);
			n = pwrite(fd, buf, 40 + me, (off_t)me * 4096 + i);
			n < 0 ? (errno == EBADF ? gone++ : strange++) : (moved += n);
			break;
		}
		default: {
			int fd = atomic_load(&slot[s]), n;
			if (fd <= 0)
				break;
			n = pread(fd, buf, sizeof buf, (off_t)me * 4096);
			n < 0 ? (errno == EBADF ? gone++ : strange++) : (moved += n);
		}
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, work, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int s = 0; s < SLOTS; s++)
		if (slot[s] > 0)
			close(slot[s]) ? gone++ : closed++;
	if (opened != closed + gone && opened < closed)
		strange++;
	printf("%ld strange\n", (long)strange);
	return strange ? 1 : 0;
}
